"""Defects that people met in the real data, and their like, planted one to a photograph."""

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
"""At most one photograph of so many is damaged, so that small archives stay usable."""

Photos = dict[str, bytes]
Labels = dict[str, Any]
"""Label members by name: a JSON value, or bytes where the file is to be no clean JSON."""


@dataclass(frozen=True)
class Member:
    """A photograph of an archive before it is drawn.

    Attributes:
        name: its member name.
        draw: draws it: PNG, and its labels by member name.
        label_names: the names of its labels.
        defect: the planted defect, empty for none.
        stranger: member name of a photograph of another drug in the archive, for defects that mix up two.
    """

    name: str
    draw: Callable[[], tuple[bytes, Labels]]
    label_names: tuple[str, ...] = ()
    defect: str = ""
    stranger: str = ""

    def files(self) -> tuple[Photos, dict[str, bytes]]:
        """Draw: photo members and label members with their bytes, the planted defect done to them."""
        photo, labels = self.draw()
        victim = Victim({self.name: photo}, labels, self.stranger)
        if self.defect in DEFECTS:
            DEFECTS[self.defect](victim)
        encoded = {
            name: label if isinstance(label, bytes) else json.dumps(label, ensure_ascii=False).encode()
            for name, label in victim.labels.items()
        }
        return victim.photos, encoded


@dataclass(frozen=True)
class Victim:
    """A drawn photograph with its labels, to be damaged; `stranger` as in `Member`."""

    photos: Photos
    labels: Labels
    stranger: str

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


Damage = Callable[[Victim], None]


def plant_defects(
    members: Sequence[Member], each: int, rng: np.random.Generator, spared: Collection[str] = ()
) -> list[Member]:
    """The members with `each` defects of every kind that fits planted, every one in a different photograph.

    Photographs of the views `spared` (names up to the longitude) stay whole: the split leaves them out undecoded.
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
    chosen = rng.choice(places, len(wanted), replace=False) if wanted else []
    damaged = dict(zip((int(place) for place in chosen), wanted, strict=True))
    names = [members[place].name for place in places]
    return [
        replace(member, defect=damaged[number], stranger=_stranger(member.name, names)) if number in damaged else member
        for number, member in enumerate(members)
    ]


def _stranger(name: str, names: Sequence[str]) -> str:
    """The next photograph of another folder, which is another drug or combination."""
    start = names.index(name)
    folder = name.split("/")[0]
    return next((other for other in [*names[start:], *names[:start]] if other.split("/")[0] != folder), name)


def _box(change: Callable[[list[int]], list[Any]]) -> Damage:
    def damage(victim: Victim) -> None:
        victim.annotation["bbox"] = change(victim.annotation["bbox"])

    return damage


def _image(**fields: Any) -> Damage:
    """Set fields of the first label."""
    return lambda victim: victim.image.update(fields)


def _every_image(**fields: Any) -> Damage:
    """Set fields of every label of the photograph."""

    def damage(victim: Victim) -> None:
        for label in victim.labels.values():
            label["images"][0] |= fields

    return damage


def _add_text(field: str, text: str) -> Damage:
    def damage(victim: Victim) -> None:
        victim.image[field] += text

    return damage


def _encoded(encoding: str) -> Damage:
    def damage(victim: Victim) -> None:
        victim.labels[victim.label] = json.dumps(victim.labels[victim.label], ensure_ascii=False).encode(encoding)

    return damage


def _photo(change: Callable[[bytes], bytes]) -> Damage:
    def damage(victim: Victim) -> None:
        victim.photos[victim.photo] = change(victim.photos[victim.photo])

    return damage


def promise_too_much(png: bytes) -> bytes:
    """The PNG with a header that promises 60,000 x 60,000 pixels."""
    header = b"IHDR" + struct.pack(">II", 60_000, 60_000) + png[24:29]
    return png[:12] + header + struct.pack(">I", zlib.crc32(header)) + png[33:]


def _break_json(victim: Victim) -> None:
    text = json.dumps(victim.labels[victim.label], ensure_ascii=False).encode()
    victim.labels[victim.label] = text[: len(text) // 2]


def _add_apple_double(victim: Victim) -> None:
    path = PurePosixPath(victim.photo)
    victim.photos[str(path.with_name("._" + path.name))] = b"\x00\x05\x16\x07" + bytes(78)


def _drop_one_label(victim: Victim) -> None:
    del victim.labels[max(victim.labels)]


def _share_box(victim: Victim) -> None:
    second = sorted(victim.labels)[1]
    victim.labels[second]["annotations"][0]["bbox"] = list(victim.annotation["bbox"])


def _label_again(change: Callable[[list[int]], list[int]]) -> Damage:
    """A second label of the same pill."""

    def damage(victim: Victim) -> None:
        again = deepcopy(victim.labels[victim.label])
        again["annotations"][0]["bbox"] = change(again["annotations"][0]["bbox"])
        victim.labels[victim.label.removesuffix(".json") + "_1.json"] = again

    return damage


def _two_annotations(victim: Victim) -> None:
    victim.labels[victim.label]["annotations"] *= 2


def _other_drug(victim: Victim) -> None:
    victim.image["dl_mapping_code"] = "K-999999"


def _small_letters(victim: Victim) -> None:
    victim.image["dl_mapping_code"] = f" {victim.image['dl_mapping_code'].lower()}"


def _name_stranger(victim: Victim) -> None:
    victim.image["file_name"] = PurePosixPath(victim.stranger).name


def copy_name(photo: str, folder: str = "") -> str:
    """Name of a copy of a photograph of one pill: of the same view, or of the same view of another drug's folder."""
    own, stem = photo.removesuffix(".png").split("/")
    folder = folder or own
    return f"{folder}/{folder}{stem.removeprefix(own).removesuffix('200')}201.png"


def _copy(victim: Victim, folder: str = "") -> None:
    name = copy_name(victim.photo, folder)
    folder, stem = name.removesuffix(".png").split("/")
    label = deepcopy(victim.labels[victim.label])
    label["images"][0] |= {"file_name": f"{stem}.png", "dl_mapping_code": folder, "drug_N": folder}
    victim.labels[f"{folder}_json/{stem}.json"] = label
    victim.photos[name] = victim.photos[victim.photo]


TEST_ONLY, SHARED_GROUP = "class_only_in_test_part", "group_held_out"
"""Defects of whole parts of the data: a drug that the validation part alone has, a view of a training group in it."""

DEFECTS: dict[str, Damage] = {
    "photo_truncated": _photo(lambda png: png[: len(png) * 3 // 5]),
    "photo_empty": _photo(lambda png: b""),
    "photo_unreadable": _photo(lambda png: bytes(100)),
    "photo_too_large": _photo(promise_too_much),
    "photo_without_label": lambda victim: victim.labels.clear(),
    "photo_identical": _copy,
    "photo_identical_other_drug": lambda victim: _copy(victim, victim.stranger.split("/")[0]),
    "label_without_photo": lambda victim: victim.photos.clear(),
    "label_unparsable": _break_json,
    "label_cp949": _encoded("cp949"),
    "label_utf16": _encoded("utf-16"),
    "label_field_missing": _image(dl_mapping_code=None, drug_N=None),
    "label_of_several_pills": _two_annotations,
    "label_names_other_photo": _name_stranger,
    "file_name_missing": _image(file_name=""),
    "k_code_malformed": _image(dl_mapping_code="K-12"),
    "k_code_not_in_name": _other_drug,
    "k_code_normalised": _small_letters,
    "edi_code_missing": _image(di_edi_code=None),
    "edi_code_dropped": _add_text("di_edi_code", ",-"),
    "text_cleaned": _add_text("dl_name", "\x00"),
    "iscrowd_ignored": lambda victim: victim.annotation.update(iscrowd=58548),
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
"""Every kind that can be planted in a photograph, named after what the manifest says of it."""

COMBO_ONLY = {"partly_labelled", "bbox_shared"}
"""Kinds that need a photograph of several pills."""

SINGLE_ONLY = {"photo_identical", "photo_identical_other_drug", "bbox_ambiguous"}
"""Kinds that need a photograph of one pill."""
