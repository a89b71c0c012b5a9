"""Parse one label of AIHub data set 576: a JSON file's bytes to the facts that the pipeline uses."""

import json
import re
import unicodedata
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import orjson

from pillsnap.sources.labels import LabelError, clean_text, decode_label, shown

_K_CODE = re.compile(r"K-[0-9]{6}")
_EDI_CODE = re.compile(r"[A-Za-z0-9]+")
_NO_CODE = {"none", "null", "nan", "na"}
_LARGEST_SIDE = 10**6
_LOOK = ("form_code_name", "drug_shape", "color_class1", "color_class2", "print_front", "print_back")
_LONGEST_LOOK = 80
_LONGEST_NAME, _LONGEST_CODES = 300, 2000
"""Characters: tables hold those of every label, and a label may have 1 MiB."""


@dataclass(slots=True)
class AihubLabel:
    """A parsed label.

    Attributes:
        image, annotation: its `images[0]` and `annotations[0]`; the annotation is empty where there is none.
        repairs: reason and detail of each repair.
    """

    image: dict[str, Any]
    annotation: dict[str, Any]
    repairs: list[tuple[str, str]] = field(default_factory=list)

    @property
    def file_name(self) -> str:
        """The photograph's file name; empty where the label has none."""
        name = self.image.get("file_name")
        return name if isinstance(name, str) else ""

    def size(self) -> tuple[int, int]:
        """Return width and height, 0 and 0 where the label lacks them; the decoded photograph decides in the end."""
        width, height = (self.image.get(key) for key in ("width", "height"))
        if type(width) is int and type(height) is int and 0 < min(width, height) <= max(width, height) < _LARGEST_SIDE:
            return width, height
        return 0, 0

    def k_code(self) -> str:
        """Return the drug's K-code; raises `LabelError` where there is no valid one."""
        code = self.image.get("dl_mapping_code") or self.image.get("drug_N")
        if not isinstance(code, str):
            raise LabelError("label_field_missing", f"dl_mapping_code {shown(code)}"[:200])
        if _K_CODE.fullmatch(code):
            return code
        mended = unicodedata.normalize("NFKC", code).strip().upper()  # digits of full width, too
        if not _K_CODE.fullmatch(mended):
            raise LabelError("k_code_malformed", ascii(code)[:200])
        self.repairs.append(("k_code_normalised", f"{code!r} to {mended}"))
        return mended

    def edi_codes(self) -> str:
        """Return the EDI codes separated by commas; empty where the label has none."""
        value = self.image.get("di_edi_code")
        given = ",".join(map(_written, value)) if isinstance(value, list) else "" if value is None else _written(value)
        # a list cut short could end in half a code
        codes, dropped = _edi_codes(given) if len(given) <= _LONGEST_CODES else ("", [given])
        if dropped:
            self.repairs.append(("edi_code_dropped", ascii(dropped)[:200]))
        return codes

    def drug_name(self) -> str:
        """Return the drug's name; empty where the label has none."""
        given = self.image.get("dl_name")
        given = "" if given is None else _written(given)
        name = _clean(given[:_LONGEST_NAME])
        if name != given:
            self.repairs.append(("text_cleaned", ascii(given)[:200]))
        return name

    def look(self) -> tuple[str, str, str, str, str]:
        """Return form, shape, colours (separated by commas), imprint on front and back; empty where missing."""
        given = (self.image.get(name) for name in _LOOK)
        return _look(*[value[:_LONGEST_NAME] if isinstance(value, str) else "" for value in given])


def parse_label(data: bytes) -> AihubLabel:
    """Parse a label file.

    Raises:
        LabelError: `label_unparsable`, or `label_of_several_pills` where it holds more than one image or annotation.
    """
    repairs: list[tuple[str, str]] = []
    try:
        value = orjson.loads(data)
    except orjson.JSONDecodeError:
        value, repairs = _parse_slowly(data)
    try:
        images, annotations = value["images"], value.get("annotations") or [{}]
        image, annotation = images[0], annotations[0]
        several = len(images) > 1 or len(annotations) > 1
    except (KeyError, IndexError, TypeError, AttributeError) as error:
        raise LabelError("label_unparsable", f"{type(error).__name__}: {error}"[:200]) from error
    if not isinstance(image, dict) or not isinstance(annotation, dict):
        raise LabelError("label_unparsable", "images[0] and annotations[0] must be objects")
    if several:
        raise LabelError("label_of_several_pills", f"{len(images)} images, {len(annotations)} annotations")
    if annotation.get("iscrowd") not in (0, 1, None):
        repairs.append(("iscrowd_ignored", shown(annotation["iscrowd"])))
    return AihubLabel(image, annotation, repairs)


def _parse_slowly(data: bytes) -> tuple[Any, list[tuple[str, str]]]:
    """Parse what orjson refuses: other encodings than UTF-8, NaN, lone surrogates."""
    try:
        text, repairs = decode_label(data)
        return json.loads(text), repairs
    except (ValueError, RecursionError) as error:
        raise LabelError("label_unparsable", ascii(f"{type(error).__name__}: {error}")[1:-1][:200]) from error


@lru_cache(4096)  # all labels of a drug hold the same text
def _edi_codes(given: str) -> tuple[str, list[str]]:
    """Return the valid codes, joined, and the other parts."""
    parts = [part.strip() for part in given.split(",") if part.strip()]
    good = [part for part in parts if _EDI_CODE.fullmatch(part) and part.lower() not in _NO_CODE]
    return ",".join(good), [part for part in parts if part not in good]


@lru_cache(4096)  # all labels of a drug say the same
def _look(*given: str) -> tuple[str, str, str, str, str]:
    form, shape, first, second, front, back = map(_text, given)
    named = [colour.strip() for colour in f"{first},{second}".split(",")]
    return form, shape, ",".join(dict.fromkeys(colour for colour in named if colour)), front, back


def _written(value: Any) -> str:
    """Return a text as it is, and what is shown of any other value."""
    return value if isinstance(value, str) else shown(value)


def _text(value: str) -> str:
    text = clean_text(value)[:_LONGEST_LOOK]
    return "" if text.lower() in _NO_CODE else text


_clean = lru_cache(4096)(clean_text)
