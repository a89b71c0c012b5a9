"""Plant defects known from the real data, and similar ones, at most one in a photograph."""

import json
import struct
import zlib
from collections.abc import Callable, Collection, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import Any

import numpy as np

PHOTOS_PER_DEFECT = 10
"""At most one photograph in this many is damaged, so that small archives stay usable."""

Photos = dict[str, bytes]
Labels = dict[str, Any]
"""Label members by name: a JSON value, or bytes where the file is meant to be no valid JSON."""


@dataclass(frozen=True)
class Member:
    """A photograph of an archive before it is drawn.

    Attributes:
        name: its member name.
        draw: returns its PNG, and its labels by member name.
        label_names: member names of its labels.
        defect: the planted defect, empty for none.
        other_photo: member name of a photograph of another drug in the archive, for defects that mix up two.
    """

    name: str
    draw: Callable[[], tuple[bytes, Labels]]
    label_names: tuple[str, ...] = ()
    defect: str = ""
    other_photo: str = ""

    def files(self) -> tuple[Photos, dict[str, bytes]]:
        """Draw it; returns photo members and label members with their bytes, damaged by the planted defect."""
        photo, labels = self.draw()
        sample = Sample({self.name: photo}, labels, self.other_photo)
        if self.defect in DEFECTS:
            DEFECTS[self.defect](sample)
        encoded = {
            name: label if isinstance(label, bytes) else json.dumps(label, ensure_ascii=False).encode()
            for name, label in sample.labels.items()
        }
        return sample.photos, encoded


@dataclass(frozen=True)
class Sample:
    """A drawn photograph with its labels, to be damaged; `other_photo` as in `Member`."""

    photos: Photos
    labels: Labels
    other_photo: str

    @property
    def photo(self) -> str:
        """Name of the photograph."""
        return min(self.photos)

    @property
    def label(self) -> str:
        """Name of its first label."""
        return min(self.labels)

    @property
    def image(self) -> dict[str, Any]:
        """`images[0]` of the first label."""
        return self.labels[self.label]["images"][0]

    @property
    def annotation(self) -> dict[str, Any]:
        """`annotations[0]` of the first label."""
        return self.labels[self.label]["annotations"][0]


Damage = Callable[[Sample], None]


def plant_defects(
    members: Sequence[Member], each: int, rng: np.random.Generator, spared: Collection[str] = ()
) -> list[Member]:
    """Return the members with `each` defects of every applicable kind planted, each in a photograph of its own.

    Photographs of the views `spared` (names up to the longitude) stay intact: the split drops them before the decode.
    """
    combo = any(len(member.label_names) > 1 for member in members)
    kinds = [kind for kind in DEFECTS if kind not in (SINGLE_ONLY if combo else COMBO_ONLY)]
    places = [
        number
        for number, member in enumerate(members)
        if member.label_names and member.name.rsplit("_", 2)[0] not in spared
    ]
    wanted = [kind for kind in kinds for _ in range(each)]
    wanted = wanted[: len(places) // PHOTOS_PER_DEFECT]
    chosen = rng.choice(places, len(wanted), replace=False).tolist() if wanted else []
    damaged = dict(zip(chosen, wanted, strict=True))
    names = [members[place].name for place in places]
    return [
        replace(m, defect=damaged[number], other_photo=_other_photo(m.name, names)) if number in damaged else m
        for number, m in enumerate(members)
    ]


def _other_photo(name: str, names: Sequence[str]) -> str:
    """Return the next photograph of another folder, thus of another drug or combination."""
    start = names.index(name)
    folder = name.split("/")[0]
    return next((other for other in [*names[start:], *names[:start]] if other.split("/")[0] != folder), name)


def _box(change: Callable[[list[int]], list[Any]]) -> Damage:
    def damage(sample: Sample) -> None:
        sample.annotation["bbox"] = change(sample.annotation["bbox"])

    return damage


def _image(**fields: Any) -> Damage:
    """Set fields of the first label."""
    return lambda sample: sample.image.update(fields)


def _every_image(**fields: Any) -> Damage:
    """Set fields of every label of the photograph."""

    def damage(sample: Sample) -> None:
        for label in sample.labels.values():
            label["images"][0] |= fields

    return damage


def _add_text(field: str, text: str) -> Damage:
    def damage(sample: Sample) -> None:
        sample.image[field] += text

    return damage


def _encoded(encoding: str) -> Damage:
    def damage(sample: Sample) -> None:
        sample.labels[sample.label] = json.dumps(sample.labels[sample.label], ensure_ascii=False).encode(encoding)

    return damage


def _photo(change: Callable[[bytes], bytes]) -> Damage:
    def damage(sample: Sample) -> None:
        sample.photos[sample.photo] = change(sample.photos[sample.photo])

    return damage


def promise_too_much(png: bytes) -> bytes:
    """Return the PNG with a header of 60,000 x 60,000 pixels."""
    header = b"IHDR" + struct.pack(">II", 60_000, 60_000) + png[24:29]
    return png[:12] + header + struct.pack(">I", zlib.crc32(header)) + png[33:]


def _break_json(sample: Sample) -> None:
    text = json.dumps(sample.labels[sample.label], ensure_ascii=False).encode()
    sample.labels[sample.label] = text[: len(text) // 2]


def _add_apple_double(sample: Sample) -> None:
    path = PurePosixPath(sample.photo)
    sample.photos[str(path.with_name("._" + path.name))] = b"\x00\x05\x16\x07" + bytes(78)


def _drop_one_label(sample: Sample) -> None:
    del sample.labels[max(sample.labels)]


def _share_box(sample: Sample) -> None:
    second = sorted(sample.labels)[1]
    sample.labels[second]["annotations"][0]["bbox"] = list(sample.annotation["bbox"])


def _label_again(change: Callable[[list[int]], list[int]]) -> Damage:
    """A second label of the same pill."""

    def damage(sample: Sample) -> None:
        again = deepcopy(sample.labels[sample.label])
        again["annotations"][0]["bbox"] = change(again["annotations"][0]["bbox"])
        sample.labels[sample.label.removesuffix(".json") + "_1.json"] = again

    return damage


def _two_annotations(sample: Sample) -> None:
    sample.labels[sample.label]["annotations"] *= 2


def _other_drug(sample: Sample) -> None:
    sample.image["dl_mapping_code"] = "K-999999"


def _small_letters(sample: Sample) -> None:
    sample.image["dl_mapping_code"] = f" {sample.image['dl_mapping_code'].lower()}"


def _name_other_photo(sample: Sample) -> None:
    sample.image["file_name"] = PurePosixPath(sample.other_photo).name


def copy_name(photo: str, folder: str = "") -> str:
    """Return the name of a copy of a single-pill photograph, in its own folder or another drug's."""
    own, stem = photo.removesuffix(".png").split("/")
    folder = folder or own
    return f"{folder}/{folder}{stem.removeprefix(own).removesuffix('200')}201.png"


def _copy(sample: Sample, folder: str = "") -> None:
    name = copy_name(sample.photo, folder)
    folder, stem = name.removesuffix(".png").split("/")
    label = deepcopy(sample.labels[sample.label])
    label["images"][0] |= {"file_name": f"{stem}.png", "dl_mapping_code": folder, "drug_N": folder}
    sample.labels[f"{folder}_json/{stem}.json"] = label
    sample.photos[name] = sample.photos[sample.photo]


TEST_ONLY, SHARED_GROUP = "class_only_in_test_part", "group_held_out"
"""Defects of the validation part: a drug that only it has, and views of capture groups of the training part."""

DEFECTS: dict[str, Damage] = {
    "photo_truncated": _photo(lambda png: png[: len(png) * 3 // 5]),
    "photo_empty": _photo(lambda png: b""),
    "photo_unreadable": _photo(lambda png: bytes(100)),
    "photo_too_large": _photo(promise_too_much),
    "photo_without_label": lambda sample: sample.labels.clear(),
    "photo_identical": _copy,
    "photo_identical_other_drug": lambda sample: _copy(sample, sample.other_photo.split("/")[0]),
    "label_without_photo": lambda sample: sample.photos.clear(),
    "label_unparsable": _break_json,
    "label_cp949": _encoded("cp949"),
    "label_utf16": _encoded("utf-16"),
    "label_field_missing": _image(dl_mapping_code=None, drug_N=None),
    "label_of_several_pills": _two_annotations,
    "label_names_other_photo": _name_other_photo,
    "file_name_missing": _image(file_name=""),
    "k_code_malformed": _image(dl_mapping_code="K-12"),
    "k_code_not_in_name": _other_drug,
    "k_code_normalised": _small_letters,
    "edi_code_missing": _image(di_edi_code=None),
    "edi_code_dropped": _add_text("di_edi_code", ",-"),
    "text_cleaned": _add_text("dl_name", "\x00"),
    "iscrowd_ignored": lambda sample: sample.annotation.update(iscrowd=58548),
    "bbox_missing": _box(lambda box: []),
    "bbox_malformed": _box(lambda box: [box[0] + 0.649, box[1] * 100 + box[2], box[3]]),
    "bbox_outside": _box(lambda box: [box[0] * 10 + 1000, *box[1:]]),
    "bbox_whole_photo": _box(lambda box: [1, 1, 974, 1278]),
    "bbox_zero_size": _box(lambda box: [*box[:3], 0]),
    "bbox_too_small": _box(lambda box: [*box[:2], 2, 2]),
    "bbox_clipped": _box(lambda box: [-1.5, box[1], box[0] + box[2] + 1.5, box[3]]),
    "bbox_ambiguous": _label_again(lambda box: [box[0] + box[2], *box[1:]]),
    "apple_double": _add_apple_double,
    "size_corrected": _every_image(width=1280, height=976),
    "size_missing": _every_image(width=None, height=None),
    "partly_labelled": _drop_one_label,
    "bbox_shared": _share_box,
    "label_duplicated": _label_again(lambda box: [box[0] + 1, *box[1:]]),
}
"""Every kind of defect for a photograph, by the reason that the manifest gives for it."""

COMBO_ONLY = {"partly_labelled", "bbox_shared"}
"""Kinds that need a photograph of several pills."""

SINGLE_ONLY = {"photo_identical", "photo_identical_other_drug", "bbox_ambiguous"}
"""Kinds that need a photograph of one pill."""
