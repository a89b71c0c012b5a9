"""Photographs that were resized after they were labelled, or labelled as they are stored, on their side: the boxes
follow them, whatever the kind of source."""

import io
import json
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from PIL import Image

from pillsnap.manifest.archive_photos import labelled_box
from pillsnap.pictures.decode import decode_photo
from pillsnap.sources.settings import Source
from tests.support.archives import BOXES, HEIGHT, WIDTH, hand_made, prepare_source
from tests.support.picture_bytes import before_turn, stored

UPRIGHT, TURNED_RIGHT = 1, 6
"""EXIF orientations: as stored, and stored with its upper edge on the right."""


def jpeg(data: bytes, size: tuple[int, int], orientation: int = UPRIGHT) -> bytes:
    """The photograph as a JPEG of that upright size, stored as the EXIF orientation says."""
    return stored(Image.open(io.BytesIO(data)).resize(size), orientation)


def as_aihub(root: Path, size: tuple[int, int], orientation: int) -> Source:
    raw = hand_made().only("TS_1_단일")
    for members in raw.photos.values():
        for name in list(members):
            members[name.replace(".png", ".jpg")] = jpeg(members.pop(name), size, orientation)
    return raw.write(root)


def as_coco(root: Path, size: tuple[int, int], orientation: int) -> Source:
    """The same photographs, of one pill, in one folder."""
    raw = hand_made().photos["TS_1_단일"]
    images, annotations = [], []
    for number, (member, data) in enumerate(sorted(raw.items())):
        name = Path(member).with_suffix(".jpg").name
        root.mkdir(exist_ok=True)
        (root / name).write_bytes(jpeg(data, size, orientation))
        images.append({"id": number, "file_name": name, "width": WIDTH, "height": HEIGHT})
        category = int(member[2:8])
        annotations.append({"id": number, "image_id": number, "category_id": category, "bbox": BOXES[0]})
    categories = [{"id": number, "name": f"drug {number}"} for number in (1, 2, 3)]
    value = {"images": images, "annotations": annotations, "categories": categories}
    (root / "labels.json").write_text(json.dumps(value))
    return Source(kind="coco", root=str(root))


TURNED = (HEIGHT - BOXES[0][1] - BOXES[0][3], BOXES[0][0], BOXES[0][3], BOXES[0][2])
"""The labelled box after a turn to the right."""


@pytest.mark.parametrize("write", [as_aihub, as_coco])
@pytest.mark.parametrize(
    ("size", "orientation", "box", "repairs"),
    [
        ((WIDTH, HEIGHT), TURNED_RIGHT, BOXES[0], []),
        ((2 * WIDTH, 2 * HEIGHT), TURNED_RIGHT, np.multiply(BOXES[0], 2), ["box_scaled"]),
        ((WIDTH // 2, HEIGHT // 2), UPRIGHT, np.multiply(BOXES[0], (48 / 97, 0.5, 48 / 97, 0.5)), ["box_scaled"]),
        ((HEIGHT, WIDTH), TURNED_RIGHT, TURNED, ["box_turned"]),
        ((2 * HEIGHT, 2 * WIDTH), TURNED_RIGHT, np.multiply(TURNED, 2), ["box_scaled", "box_turned"]),
        ((HEIGHT, WIDTH), UPRIGHT, BOXES[0], ["size_corrected"]),
        ((2 * HEIGHT, 2 * WIDTH), UPRIGHT, BOXES[0], ["size_corrected"]),
        ((2 * WIDTH, HEIGHT), UPRIGHT, BOXES[0], ["size_corrected"]),
        ((2 * HEIGHT, WIDTH), TURNED_RIGHT, BOXES[0], ["size_corrected"]),
    ],
)
def test_boxes_follow_the_photograph(tmp_path, write, size, orientation, box, repairs) -> None:
    run = prepare_source(write(tmp_path / "raw", size, orientation), tmp_path / "run")
    run.build_manifest()
    kept = run.pills()
    assert set(zip(kept["width"], kept["height"], strict=True)) == {size}
    assert kept[list("xywh")].to_numpy() == pytest.approx(np.tile(box, (len(kept), 1)))
    assert run.summary()["repaired"] == dict.fromkeys(repairs, len(kept))
    assert run.quarantine().empty and len(kept) == 30


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("labelled", ["upright", "as stored", "without a size"])
def test_box_is_where_its_pill_is_however_the_picture_is_turned(kind, orientation, labelled) -> None:
    """Labels of the stored picture are known by its size, where it lies on its side; all others are of the upright one,
    which ultralytics trains on."""
    shown = np.zeros((HEIGHT, WIDTH), np.uint8)
    x, y, w, h = BOXES[0]
    shown[y : y + h, x : x + w] = 250
    picture = Image.fromarray(shown).convert("RGB")
    by_stored = labelled == "as stored" and orientation >= 5
    frame = before_turn(picture, orientation) if by_stored else picture
    width, height = (0, 0) if labelled == "without a size" else frame.size
    left, top, right, bottom = frame.convert("L").getbbox()
    pill = SimpleNamespace(width=width, height=height, x=left, y=top, w=right - left, h=bottom - top)
    raw = stored(picture, orientation, kind)
    bright = decode_photo(raw)[..., 0] > 125
    box, repairs = labelled_box(pill, WIDTH, HEIGHT, raw)
    assert box == cv2.boundingRect(bright.astype(np.uint8)) == BOXES[0]
    assert [reason for reason, _ in repairs] == ["box_turned"] * by_stored + ["size_corrected"] * (width == 0)


def test_boxes_of_a_square_photograph_are_of_the_upright_picture() -> None:
    raw = stored(Image.new("RGB", (WIDTH, WIDTH)), TURNED_RIGHT)
    pill = SimpleNamespace(width=WIDTH, height=WIDTH, **dict(zip("xywh", BOXES[0], strict=True)))
    assert labelled_box(pill, WIDTH, WIDTH, raw) == (BOXES[0], [])
