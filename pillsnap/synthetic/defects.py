"""Defects that people met in the real data, planted one to a photograph."""

import json
from collections.abc import Callable, Sequence
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
    """A photograph of an archive before it is drawn: its member name, how it is drawn, the names of its labels."""

    name: str
    draw: Callable[[], tuple[bytes, Labels]]
    label_names: tuple[str, ...] = ()
    defect: str = ""

    def files(self) -> tuple[Photos, dict[str, bytes]]:
        """Draw: photo members and label members with their bytes, the planted defect done to them."""
        photo, labels = self.draw()
        photos = {self.name: photo}
        if self.defect:
            DEFECTS[self.defect](photos, labels)
        encoded = {
            name: label if isinstance(label, bytes) else json.dumps(label, ensure_ascii=False).encode()
            for name, label in labels.items()
        }
        return photos, encoded


def plant_defects(members: Sequence[Member], each: int, rng: np.random.Generator) -> list[Member]:
    """The members with `each` defects of every kind that fits planted, every one in a different photograph."""
    combo = any(len(member.label_names) > 1 for member in members)
    kinds = [kind for kind in DEFECTS if combo or kind not in COMBO_ONLY]
    places = [number for number, member in enumerate(members) if member.label_names]
    wanted = [kind for kind in kinds for _ in range(each)]
    wanted = wanted[: len(places) // PHOTOS_PER_DEFECT]
    chosen = rng.choice(places, len(wanted), replace=False) if wanted else []
    damaged = dict(zip((int(place) for place in chosen), wanted, strict=True))
    return [replace(member, defect=damaged.get(number, "")) for number, member in enumerate(members)]


def _first(labels: Labels) -> Any:
    return labels[min(labels)]


def _set_box(change: Callable[[list[int]], list[Any]]) -> Callable[[Photos, Labels], None]:
    def damage(photos: Photos, labels: Labels) -> None:
        annotation = _first(labels)["annotations"][0]
        annotation["bbox"] = change(annotation["bbox"])

    return damage


def _truncate(photos: Photos, labels: Labels) -> None:
    name = min(photos)
    photos[name] = photos[name][: len(photos[name]) * 3 // 5]


def _empty(photos: Photos, labels: Labels) -> None:
    photos[min(photos)] = b""


def _drop_photo(photos: Photos, labels: Labels) -> None:
    photos.clear()


def _drop_labels(photos: Photos, labels: Labels) -> None:
    labels.clear()


def _break_json(photos: Photos, labels: Labels) -> None:
    text = json.dumps(_first(labels), ensure_ascii=False).encode()
    labels[min(labels)] = text[: len(text) // 2]


def _in_cp949(photos: Photos, labels: Labels) -> None:
    labels[min(labels)] = json.dumps(_first(labels), ensure_ascii=False).encode("cp949")


def _add_apple_double(photos: Photos, labels: Labels) -> None:
    path = PurePosixPath(min(photos))
    photos[str(path.with_name("._" + path.name))] = b"\x00\x05\x16\x07" + bytes(78)


def _wrong_size(photos: Photos, labels: Labels) -> None:
    for label in labels.values():
        label["images"][0] |= {"width": 1280, "height": 976}


def _drop_one_label(photos: Photos, labels: Labels) -> None:
    del labels[max(labels)]


def _share_box(photos: Photos, labels: Labels) -> None:
    first, second = sorted(labels)[:2]
    labels[second]["annotations"][0]["bbox"] = list(labels[first]["annotations"][0]["bbox"])


def _label_twice(photos: Photos, labels: Labels) -> None:
    name = min(labels)
    labels[name.removesuffix(".json") + "_1.json"] = labels[name]


DEFECTS: dict[str, Callable[[Photos, Labels], None]] = {
    "photo_truncated": _truncate,
    "photo_empty": _empty,
    "photo_without_label": _drop_labels,
    "label_without_photo": _drop_photo,
    "label_unparsable": _break_json,
    "label_cp949": _in_cp949,
    "bbox_missing": _set_box(lambda box: []),
    "bbox_malformed": _set_box(lambda box: [box[0] + 0.649, box[1] * 100 + box[2], box[3]]),
    "bbox_outside": _set_box(lambda box: [box[0] * 10 + 1000, *box[1:]]),
    "bbox_zero_size": _set_box(lambda box: [*box[:3], 0]),
    "apple_double": _add_apple_double,
    "size_corrected": _wrong_size,
    "partly_labelled": _drop_one_label,
    "bbox_shared": _share_box,
    "label_duplicated": _label_twice,
}
"""Every kind that can be planted, named after what the manifest says of it."""

COMBO_ONLY = {"partly_labelled", "bbox_shared", "label_duplicated"}
"""Kinds that need a photograph of several pills."""
