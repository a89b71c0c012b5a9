"""Crops for the classifier: each pill from its labelled box, and from the detector's box that matches it."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from archives import BOXES, ZIP_OF, DataRun, hand_made, prepare_source

from pillsnap.boxes import cut_crop
from pillsnap.config import Crops
from pillsnap.cut_crops import DETECTION_BATCH, Detect, _cut, _photos, cut_crops
from pillsnap.files import ShardWriter, read_from_shard, read_json, sha256_of
from pillsnap.pictures import PictureError, decode_jpeg, decode_photo
from pillsnap.tables import CROPS, make_table, read_table
from pillsnap.train_detector import prepare_ultralytics

SETTINGS = Crops(size=48)


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> DataRun:
    folder = tmp_path_factory.mktemp("run")
    run = prepare_source(hand_made().write(folder / "raw"), folder / "results")
    run.build_manifest()
    return run


def photo_of(image_id: str) -> np.ndarray:
    """The raw photograph, RGB."""
    archive, stem = image_id.split(".")
    photos = hand_made().photos[ZIP_OF[archive]]
    return decode_photo(next(data for member, data in photos.items() if Path(member).stem == stem))


def finder(change: Callable[[np.ndarray], np.ndarray]) -> Detect:
    """A detector that sees every place of `BOXES`, as `change` moves it, in photographs of any size."""

    def find(pictures: list[np.ndarray]) -> list[np.ndarray]:
        assert len(pictures) <= DETECTION_BATCH
        scales = [np.array([p.shape[1] / 97, p.shape[0] / 128] * 2) for p in pictures]
        return [change(np.array(BOXES, float)) * scale for scale in scales]

    return find


def cut_with(run: DataRun, folder: Path, find: Detect, settings: Crops = SETTINGS) -> tuple[pd.DataFrame, Path]:
    """The index of the training part's crops, and their shard."""
    with ShardWriter(folder / "train.bin") as shard:
        photos = _photos(run.pills("train"), run.prepared, find)
        rows = [row for photo in photos for row in _cut(photo, "train", shard, settings)]
    return make_table(rows, CROPS), folder / "train.bin"


def write_untrained_detector(path: Path, work: Path) -> None:
    """An ultralytics checkpoint of random weights."""
    prepare_ultralytics(work)
    import torch
    from ultralytics import YOLO

    torch.manual_seed(0)
    YOLO("yolo11n.yaml", verbose=False).save(path)


def crop_of(shard: Path, row: pd.Series) -> np.ndarray:
    with shard.open("rb") as stream:
        return decode_jpeg(read_from_shard(stream, int(row["offset"]), int(row["length"])))


def pills_of(rows: pd.DataFrame) -> dict[tuple[str, ...], int]:
    """How often each drug is in each photograph."""
    return rows.groupby(["image_id", "k_code", "class_index", "split", "domain"]).size().to_dict()


def test_a_pill_is_cut_from_its_label_and_from_the_detectors_box(run, tmp_path) -> None:
    moved = np.array([2, -1, 1, 2])
    index, shard = cut_with(run, tmp_path, finder(lambda boxes: boxes + moved))
    pills = run.pills("train")
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
        crop = crop_of(shard, row)
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
    index, _ = cut_with(run, tmp_path, finder(change))
    found = index[index["box_from"] == "detector"]
    assert (index.loc[index["box_from"] == "label", "iou"] == 1).all()
    if iou is None:
        assert found.empty
    else:
        assert len(found) == len(run.pills("train"))
        assert found["iou"].to_numpy() == pytest.approx(iou, abs=0.01)


def test_bytes_that_are_no_picture_are_still_told_once_ultralytics_is_imported(tmp_path) -> None:
    prepare_ultralytics(tmp_path)
    import ultralytics.utils  # replaces Pillow's open by one that looks for a HEIF plugin  # noqa: F401

    with pytest.raises(PictureError, match=r"photo_unreadable: no known picture format, begins with b'no pictu'"):
        decode_photo(b"no picture")


def test_crops_of_a_real_detector(run, tmp_path) -> None:
    write_untrained_detector(tmp_path / "best.pt", tmp_path / "work")
    # random weights hardly find a pill: any overlap counts
    settings = Crops(size=48, min_iou=0.01)
    for name in ("first", "second"):
        cut_crops(
            manifest=run.manifest("train", "val"),
            prepared=run.prepared,
            detector=tmp_path / "best.pt",
            crops=tmp_path / name,
            work=tmp_path / "work",
            settings=settings,
            image_size=64,
            min_score=1e-5,
            device="cpu",
            threads=1,
        )
    assert sha256_of(tmp_path / "first") == sha256_of(tmp_path / "second")
    index = read_table(tmp_path / "first/index.parquet", CROPS)
    facts = read_json(tmp_path / "first/summary.json")
    pills = run.pills("train", "val")
    labelled, found = (index[index["box_from"] == name] for name in ("label", "detector"))
    assert pills_of(labelled) == pills_of(pills)
    assert len(found) > 0
    assert found["iou"].between(0.01, 1).all()
    assert not found.duplicated("pill_id").any()
    for split, rows in index.groupby("split"):
        assert facts[split]["pills"] == (pills["split"] == split).sum()
        assert facts[split]["found_by_detector"] == (rows["box_from"] == "detector").sum()
        shard = tmp_path / "first" / f"{split}.bin"
        assert rows["length"].sum() == shard.stat().st_size
        assert all(crop_of(shard, row).shape == (48, 48, 3) for _, row in rows.iterrows())
    assert not set(index["image_id"]) & set(run.pills("test")["image_id"])
