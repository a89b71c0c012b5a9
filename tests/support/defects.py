"""Small sources of each kind with a defect for each reason of the quarantine, written as that kind is."""

import json
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pillsnap.sources.aihub_name import counted_drugs
from pillsnap.sources.settings import Source
from tests.support.aihub_files import label, write_zip
from tests.support.archives import BOXES, HEIGHT, WIDTH, photo_png
from tests.support.hostile import Record, records_of, write_hostile

RED, BLUE, RARE, LOST, TESTED = (f"K-{number:06d}" for number in (1, 2, 3, 4, 5))
"""Drugs: two that are trained, one of a single photograph, one that loses its training photographs, one of the test
part alone."""
DRUGS = (RED, BLUE, RARE, LOST, TESTED)
Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Label:
    """A label: its drug, box in pixels, and what is written in place of something, in the words of its kind."""

    drug: str = RED
    box: Box = BOXES[0]
    changes: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Photo:
    """A photograph below its part: file name, bytes (`None`: it is not there), labels (`None`: there is no label)."""

    part: str
    file: str
    data: bytes | None
    labels: tuple[Label, ...] | None
    named: str
    """The file name in the labels."""


class World:
    """A source that is being made."""

    def __init__(self) -> None:
        self.photos: list[Photo] = []
        for drug in (RED, BLUE):
            for part, number in (("train", 10), ("val", 3), ("test", 2)):
                for shot in range(number):
                    self.add(f"good_{drug}_{part}_{shot}", Label(drug), part=part)

    def add(
        self,
        stem: str,
        *labels: Label,
        picture: bytes | None = b"drawn",
        part: str = "train",
        ending: str = ".png",
        named: str = "",
    ) -> None:
        """Add a photograph; without labels it has no label file."""
        drawn = photo_png(max(1, len(labels)), seed=len(self.photos) + 1)
        data = drawn if picture == b"drawn" else picture
        self.photos.append(Photo(part, f"{stem}{ending}", data, labels or None, f"{named or stem}{ending}"))


class AihubFolders(World):
    """Folders `TS_2_단일`, and `TS_2_조합` for a combination's name, beside zips with what only zips can have."""

    kind = "aihub"

    def write(self, root: Path) -> Source:
        for number, photo in enumerate(self.photos):
            folder, side = ("2.Validation", "V") if photo.part == "test" else ("1.Training", "T")
            place = root / folder
            word = "조합" if counted_drugs(Path(photo.file).stem) else "단일"
            if photo.data is not None:
                _write(place / "원천데이터" / f"{side}S_2_{word}" / photo.file, photo.data)
            for copy, one in enumerate(photo.labels or ()):
                name = one.changes.get("own_name", f"{Path(photo.named).stem}{'x' * copy}")
                target = place / "라벨링데이터" / f"{side}L_2_{word}" / f"{number}_json" / f"{name}.json"
                _write(target, self._label(photo, one))
        self._zips(root / "1.Training")
        _write(root / "test_images/photo_of_test_images.png", photo_png(seed=903))
        return Source(kind="aihub", root=str(root))

    def _label(self, photo: Photo, one: Label) -> bytes:
        if "bytes" in one.changes:
            return one.changes["bytes"]
        changes = dict(one.changes)
        encoding, _ = changes.pop("encoding", "utf-8"), changes.pop("own_name", "")
        made = label(photo.named, one.drug, changes.pop("bbox", list(one.box)), **changes.pop("image", {}))
        return json.dumps(json.loads(made) | changes, ensure_ascii=False).encode(encoding)

    def _zips(self, folder: Path) -> None:
        photos = {f"{name}.png": photo_png(seed=900 + place) for place, name in enumerate(("zipped", "encrypted"))}
        labels = {f"{name}.json": label(f"{name}.png", RED, BOXES[0]) for name in ("zipped", "encrypted")}
        records = [*records_of(photos), Record(name="name_repeated.png", data=photos["zipped.png"])]
        records = [
            Record(name=one.name, data=one.data, flags=0x801 if "encrypted" in one.name else 0x800) for one in records
        ]
        write_hostile(folder / "원천데이터" / "TS_1_단일.zip", [*records, records[-1]])
        labels["name_repeated.json"] = label("name_repeated.png", RED, BOXES[0])
        write_zip(folder / "라벨링데이터" / "TL_1_단일.zip", labels)
        whole = write_zip(folder / "원천데이터" / "TS_9_단일.zip", photos)
        whole.write_bytes(whole.read_bytes()[:-100])
        write_zip(folder / "라벨링데이터" / "TL_9_단일.zip", labels)


class YoloFolders(World):
    """`images/<part>` and `labels/<part>`."""

    kind = "yolo"

    def write(self, root: Path) -> Source:
        for photo in self.photos:
            if photo.data is not None:
                _write(root / "images" / photo.part / photo.file, photo.data)
            if photo.labels is not None:
                text = "".join(f"{self._line(one)}\n" for one in photo.labels)
                encodings = [one.changes["encoding"] for one in photo.labels if "encoding" in one.changes]
                target = root / "labels" / photo.part / f"{Path(photo.named).stem}.txt"
                _write(target, text.encode(*encodings))
        (root / "data.yaml").write_text(f"names: [{', '.join(DRUGS)}]\n")
        return Source(kind="yolo", root=str(root))

    def _line(self, one: Label) -> str:
        x, y, w, h = one.box
        numbers = (x + w / 2) / WIDTH, (y + h / 2) / HEIGHT, w / WIDTH, h / HEIGHT
        return one.changes.get("line", f"{DRUGS.index(one.drug)} {' '.join(map(repr, numbers))}")


class CocoFiles(World):
    """`<part>/_annotations.coco.json` beside the photographs."""

    kind = "coco"

    def write(self, root: Path) -> Source:
        values: dict[str, dict[str, list]] = defaultdict(lambda: defaultdict(list))
        for number, photo in enumerate(self.photos):
            value = values[photo.part]
            if photo.data is not None:
                _write(root / photo.part / photo.file, photo.data)
            if photo.labels is None:
                continue
            changes = photo.labels[0].changes
            size = {"width": WIDTH, "height": HEIGHT}
            value["images"].append({"id": number, "file_name": photo.named, **size, **changes.get("image", {})})
            for one in photo.labels if "background" not in changes else ():
                given = {"id": 10 * number + len(value["annotations"]) % 10, "image_id": number}
                given |= {"category_id": DRUGS.index(one.drug), "bbox": list(one.box), "iscrowd": 0}
                given |= {key: word for key, word in one.changes.items() if key not in ("image", "without")}
                given.pop(one.changes.get("without", ""), None)
                value["annotations"].append(None if "unparsable" in one.changes else given)
        for part, value in values.items():
            value["categories"] = [{"id": n, "name": name} for n, name in enumerate((*DRUGS, "unlabelled pill"))]
            _write(root / part / "_annotations.coco.json", json.dumps(value).encode())
        return Source(kind="coco", root=str(root))


class ClassFolders(World):
    """`<part>/<drug>`, and photographs without a label beside these folders; of several drugs there can be no label."""

    kind = "folders"

    def write(self, root: Path) -> Source:
        for photo in self.photos:
            if photo.data is not None and len(photo.labels or ()) < 2:
                place = root / photo.part / photo.labels[0].drug if photo.labels else root
                _write(place / photo.file, photo.data)
        return Source(kind="folders", root=str(root), box="whole")


WORLDS: dict[str, Callable[[], AihubFolders | YoloFolders | CocoFiles | ClassFolders]] = {
    world.kind: world for world in (AihubFolders, YoloFolders, CocoFiles, ClassFolders)
}


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
