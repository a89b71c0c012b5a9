"""The detector's pass over training and validation: every photograph once, boxes in its own pixels."""

import numpy as np
import pandas as pd
import pytest

from pillsnap.detector.detect_pills import _detections_of, detect_pills
from pillsnap.detector.inference import DETECTION_BATCH, _boxes, build_detect
from pillsnap.detector.weights import prepare_ultralytics
from pillsnap.files import sha256_of
from pillsnap.pictures.boxes import iou_matrix
from pillsnap.pictures.decode import PictureError, decode_photo
from pillsnap.tables.files import check_table, read_table
from pillsnap.tables.schemas import DETECTIONS
from tests.support.archives import BOXES, DataRun, photo_png, run_by_hand
from tests.support.detectors import write_untrained_detector
from tests.support.workflow import PROJECT


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> DataRun:
    return run_by_hand(tmp_path_factory.mktemp("run"))


def detect(pictures: list[np.ndarray]) -> list[np.ndarray]:
    """A detector that sees every place of `BOXES`, the last one best, in photographs of any size."""
    assert len(pictures) <= DETECTION_BATCH
    return [
        np.array([[*np.multiply(box, picture.shape[1] / 97), 0.5 + place / 10] for place, box in enumerate(BOXES)])
        for picture in pictures
    ]


def test_boxes_are_in_pixels_of_the_raw_photograph_best_first(run) -> None:
    pills = run.pills("train")
    table = check_table(
        _detections_of(pills, run.prepared, detect, "train", 1)[list(DETECTIONS.columns)], DETECTIONS, "found"
    )
    assert list(table["image_id"]) == [image_id for image_id in sorted(set(pills["image_id"])) for _ in BOXES]
    for _, rows in table.groupby("image_id"):
        assert rows[list("xywh")].to_numpy() == pytest.approx(np.array(BOXES[::-1], float), rel=0.02)
        assert list(rows["score"]) == pytest.approx([0.7, 0.6, 0.5])


def test_photographs_without_detection_have_no_row(run) -> None:
    table = _detections_of(
        run.pills("val"), run.prepared, lambda pictures: [np.zeros((0, 5))] * len(pictures), "val", 1
    )
    assert table.empty


def test_a_split_without_photographs_has_no_row(run) -> None:
    assert _detections_of(run.pills("unseen_val"), run.prepared, detect, "unseen_val", 1).empty


def test_a_box_that_is_cut_off_to_nothing_is_none() -> None:
    rows = np.array([[1, 2, 4, 6, 0.9, 0], [5, 5, 5, 9, 0.8, 0], [0, 3, 2, 3, 0.7, 0]], np.float32)
    assert _boxes(rows) == pytest.approx(np.array([[1, 2, 3, 4, 0.9]]))


def test_a_real_detector(run, tmp_path) -> None:
    write_untrained_detector(tmp_path / "best.safetensors", tmp_path / "work")
    for name in ("first", "second"):
        detect_pills(
            manifest=run.manifest("train", "val"),
            backgrounds=run.folder / "manifest/backgrounds.csv",
            prepared=run.prepared,
            detector=tmp_path / "best.safetensors",
            detections=tmp_path / f"{name}.parquet",
            work=tmp_path / "work",
            image_size=64,
            # random weights hardly find a pill
            lowest_score=1e-5,
            nms_iou=0.3,
            device="cpu",
            threads=1,
        )
    assert sha256_of(tmp_path / "first.parquet") == sha256_of(tmp_path / "second.parquet")
    table = read_table(tmp_path / "first.parquet", DETECTIONS)
    pills = run.pills("train", "val")
    assert len(table) > 0
    assert table["score"].min() > 1e-5
    assert not set(table["image_id"]) - set(pills["image_id"])
    assert (
        table["split"] == table["image_id"].map(pills.drop_duplicates("image_id").set_index("image_id")["split"])
    ).all()
    ordered = table.sort_values(["split", "image_id", "score"], ascending=[True, True, False], kind="stable")
    pd.testing.assert_frame_equal(table, ordered)
    assert (table[["x", "y"]] >= 0).all(axis=None)
    assert ((table["x"] + table["w"]).max(), (table["y"] + table["h"]).max()) <= (97.01, 128.01)


def test_boxes_that_overlap_are_dropped_from_the_asked_overlap_on(tmp_path) -> None:
    prepare_ultralytics(tmp_path)
    picture = decode_photo(photo_png(3, width=256, height=256))
    numbers = []
    for nms_iou in (0.2, 0.9):
        detect = build_detect(
            PROJECT / "weights/pill-detector.safetensors",
            work=tmp_path,
            image_size=160,
            lowest_score=1e-4,
            nms_iou=nms_iou,
            device="cpu",
            threads=1,
        )
        (found,) = detect([picture])
        inner = found[((found[:, :2] > 0) & (found[:, :2] + found[:, 2:4] < 256)).all(axis=1), :4]
        assert np.triu(iou_matrix(inner, inner), 1).max() <= nms_iou + 1e-3
        numbers.append(len(inner))
    assert 1 < numbers[0] < numbers[1]


def test_bytes_that_are_no_picture_are_still_told_once_ultralytics_is_imported(tmp_path) -> None:
    prepare_ultralytics(tmp_path)
    import ultralytics.utils  # replaces Pillow's open by one that looks for a HEIF plugin  # noqa: F401

    with pytest.raises(PictureError, match=r"photo_unreadable: no known picture format, begins with b'no pictu'"):
        decode_photo(b"no picture")
