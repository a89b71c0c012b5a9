"""Crops for the classifier: each pill from its labelled box, and from the detector's box that matches it."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pillsnap.crops.crop import cut_crop
from pillsnap.files import read_from_shard, read_json, sha256_of
from pillsnap.pictures.decode import decode_jpeg, decode_photo
from pillsnap.tables.files import make_table
from pillsnap.tables.schemas import DETECTIONS
from tests.support.archives import ZIP_OF, DataRun, hand_made, prepare_source, run_by_hand
from tests.support.crop_runs import SETTINGS, cut, seen


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> DataRun:
    return run_by_hand(tmp_path_factory.mktemp("run"))


def photo_of(image_id: str) -> np.ndarray:
    """The raw photograph, RGB."""
    archive, stem = image_id.split(".")
    photos = hand_made().photos[ZIP_OF[archive]]
    return decode_photo(next(data for member, data in photos.items() if Path(member).stem == stem))


def crop_of(crops: Path, row: pd.Series) -> np.ndarray:
    with (crops / f"{row['split']}.bin").open("rb") as stream:
        return decode_jpeg(read_from_shard(stream, int(row["offset"]), int(row["length"])))


def pills_of(rows: pd.DataFrame) -> dict[tuple[str, ...], int]:
    """How often each drug is in each photograph."""
    return rows.groupby(["image_id", "k_code", "class_index", "split", "domain"]).size().to_dict()


def test_a_pill_is_cut_from_its_label_and_from_the_detectors_box(run, tmp_path) -> None:
    moved = np.array([2, -1, 1, 2])
    pills = run.pills("train", "val")
    index = cut(run, tmp_path / "crops", seen(pills, lambda boxes: boxes + moved))
    assert list(index["box_from"]) == ["label", "detector"] * len(pills)
    assert index["pill_id"].nunique() == len(pills)
    combos = index[index["domain"] == "combo"]
    assert len(combos) > 0
    for _, row in combos.iterrows():
        rows = pills[pills["image_id"] == row["image_id"]].reset_index(drop=True)
        pill = rows.loc[int(row["pill_id"].rsplit(":", 1)[1])]
        assert (row["k_code"], row["class_index"]) == (pill["k_code"], pill["class_index"])
        box = pill[list("xywh")].to_numpy(float) + (moved if row["box_from"] == "detector" else 0)
        direct = cut_crop(photo_of(row["image_id"]), box, size=SETTINGS.size, margin=SETTINGS.margin)
        crop = crop_of(tmp_path / "crops", row)
        assert crop.shape == (48, 48, 3)
        # two JPEGs lie between, and a window that begins between two pixels may be rounded to either
        assert np.abs(crop.astype(int) - direct).mean() < 9


@pytest.mark.parametrize(
    ("change", "iou"),
    [
        (lambda boxes: boxes, 1.0),
        (lambda boxes: boxes * [1, 1, 1, 0.8], 0.8),
        (lambda boxes: boxes * [1, 1, 1, 0.4], None),
        (lambda boxes: boxes[:0], None),
        (lambda boxes: boxes[::-1], 1.0),
    ],
)
def test_only_boxes_that_match_are_cut_and_their_iou_is_kept(run, tmp_path, change, iou) -> None:
    pills = run.pills("train", "val")
    index = cut(run, tmp_path / "crops", seen(pills, change))
    found = index[index["box_from"] == "detector"]
    assert (index.loc[index["box_from"] == "label", "iou"] == 1).all()
    if iou is None:
        assert found.empty
    else:
        assert len(found) == len(pills)
        assert found["iou"].to_numpy() == pytest.approx(iou, abs=0.01)


def test_crops_hold_every_pill_and_nothing_of_the_test_part(run, tmp_path) -> None:
    pills = run.pills("train", "val")
    found = seen(pills, lambda boxes: boxes[:2])
    indices = [cut(run, tmp_path / name, found, threads=threads) for name, threads in (("first", 1), ("second", 2))]
    assert sha256_of(tmp_path / "first") == sha256_of(tmp_path / "second")
    index, facts = indices[0], read_json(tmp_path / "first/summary.json")
    labelled, found = (index[index["box_from"] == name] for name in ("label", "detector"))
    assert pills_of(labelled) == pills_of(pills)
    assert not found.duplicated("pill_id").any()
    for split, rows in index.groupby("split"):
        assert facts[split]["pills"] == (pills["split"] == split).sum()
        assert facts[split]["found_by_detector"] == (rows["box_from"] == "detector").sum() > 0
        assert rows["length"].sum() == (tmp_path / "first" / f"{split}.bin").stat().st_size
        assert all(crop_of(tmp_path / "first", row).shape == (48, 48, 3) for _, row in rows.iterrows())
    assert not set(index["image_id"]) & set(run.pills("test")["image_id"])


@pytest.mark.parametrize(("score", "found"), [(0.3, True), (0.29, False)])
def test_weak_detections_are_not_cut(run, tmp_path, score: float, found: bool) -> None:
    index = cut(run, tmp_path / "crops", seen(run.pills("train", "val"), lambda boxes: boxes, score))
    assert (index["box_from"] == "detector").any() == found


def test_no_detection_at_all(run, tmp_path) -> None:
    index = cut(run, tmp_path / "crops", make_table([], DETECTIONS))
    assert len(index) == len(run.pills("train", "val"))
    assert read_json(tmp_path / "crops/summary.json")["train"]["mean_iou"] is None


def test_labelled_pills_of_a_partly_labelled_photo_are_cut(tmp_path) -> None:
    raw = hand_made()
    del raw.labels["TS_1_조합"][min(raw.labels["TS_1_조합"])]
    run = prepare_source(raw.write(tmp_path / "raw"), tmp_path / "results")
    run.build_manifest()
    partly = run.pills("train", "val").query("not fully_labelled")
    index = cut(run, tmp_path / "crops", make_table([], DETECTIONS))
    assert len(partly) == 1
    assert pills_of(index[index["image_id"].isin(partly["image_id"])]) == pills_of(partly)
