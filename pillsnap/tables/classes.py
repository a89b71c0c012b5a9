"""The ordered class list of drugs, written by `build_manifest` and read by every later rule."""

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from pillsnap.files import read_json, write_json

UNLABELLED = "unlabelled pill"
"""Category, in COCO files, of a box of which nobody has said which drug it is; no label is made of it."""
_K_CODE = re.compile(r"K-[0-9]{6}")


def is_k_code(name: str) -> bool:
    """Whether a class is named by its drug's K-code."""
    return bool(_K_CODE.fullmatch(name))


@dataclass(frozen=True)
class DrugClass:
    """A class of the classifier: index of its logit, K-code, EDI codes and name."""

    index: int
    k_code: str
    edi_codes: tuple[str, ...]
    name: str


def write_classes(classes: Sequence[DrugClass], path: str | Path) -> None:
    """Write the class list as JSON."""
    write_json(path, classes_to_json(classes))


def read_classes(path: str | Path) -> list[DrugClass]:
    """Read the class list of `write_classes`."""
    return classes_from_json(read_json(path))


def classes_to_json(classes: Sequence[DrugClass]) -> list[dict[str, object]]:
    """Return the class list as JSON values."""
    return [asdict(drug) for drug in classes]


def classes_from_json(values: list[dict]) -> list[DrugClass]:
    """Return the class list from JSON values; raises `ValueError` where the order is broken."""
    classes = [DrugClass(**value | {"edi_codes": tuple(value["edi_codes"])}) for value in values]
    if [drug.index for drug in classes] != list(range(len(classes))):
        raise ValueError("The class list is not numbered from 0 without gaps. Make it again with build_manifest.")
    return classes
