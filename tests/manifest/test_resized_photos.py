"""Photographs that were resized after they were labelled: one factor scales the boxes, whatever the kind of source."""

import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pillsnap.sources.settings import Source
from tests.support.archives import BOXES, HEIGHT, WIDTH, hand_made, prepare_source

UPRIGHT, TURNED_RIGHT = 1, 6
"""EXIF orientations: as stored, and stored with its upper edge on the right."""


def jpeg(data: bytes, size: tuple[int, int], orientation: int = UPRIGHT) -> bytes:
    """The photograph as a JPEG of that upright size, stored as the EXIF orientation says."""
    picture = Image.open(io.BytesIO(data)).resize(size)
    if orientation == TURNED_RIGHT:
        picture = picture.transpose(Image.Transpose.ROTATE_90)
    exif = Image.Exif()
    exif[0x0112] = orientation
    stream = io.BytesIO()
    picture.save(stream, "JPEG", quality=95, exif=exif)
    return stream.getvalue()


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


@pytest.mark.parametrize("write", [as_aihub, as_coco])
@pytest.mark.parametrize(
    ("size", "orientation", "scale", "repair"),
    [
        ((WIDTH, HEIGHT), TURNED_RIGHT, (1, 1), ""),
        ((2 * WIDTH, 2 * HEIGHT), TURNED_RIGHT, (2, 2), "box_scaled"),
        ((WIDTH // 2, HEIGHT // 2), UPRIGHT, (48 / 97, 0.5), "box_scaled"),
        ((HEIGHT, WIDTH), TURNED_RIGHT, (1, 1), "size_corrected"),
        ((2 * HEIGHT, 2 * WIDTH), UPRIGHT, (1, 1), "size_corrected"),
        ((2 * WIDTH, HEIGHT), UPRIGHT, (1, 1), "size_corrected"),
    ],
)
def test_boxes_follow_the_photograph(tmp_path, write, size, orientation, scale, repair) -> None:
    run = prepare_source(write(tmp_path / "raw", size, orientation), tmp_path / "run")
    run.build_manifest()
    kept = run.pills()
    assert set(zip(kept["width"], kept["height"], strict=True)) == {size}
    assert kept[list("xywh")].to_numpy() == pytest.approx(np.tile(np.multiply(BOXES[0], scale * 2), (len(kept), 1)))
    assert run.summary()["repaired"] == ({repair: len(kept)} if repair else {})
    assert run.quarantine().empty and len(kept) == 30
