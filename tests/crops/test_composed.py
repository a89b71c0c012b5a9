"""Pills of composed scenes among the training crops: which ones, how many, and nowhere else."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pillsnap.answers.calibrate_answers import _first_of_each
from pillsnap.crops.crop import cut_crop
from pillsnap.crops.dataset import CropDataset
from pillsnap.files import ShardWriter, read_json, sha256_of
from pillsnap.pictures.decode import decode_jpeg, encode_jpeg
from pillsnap.tables.files import make_table, write_table
from pillsnap.tables.schemas import COMPOSED, SCENE_PILLS, SCENES
from tests.support.archives import DRUGS, DataRun, run_by_hand
from tests.support.crop_runs import SETTINGS, cut, seen

SIDE = 160
PILLS = (
    ("composed.000000", DRUGS[0], 0, (10, 12, 40, 30), 1.0),
    ("composed.000001", DRUGS[1], 1, (60, 70, 24, 50), 0.7),
)
"""Pills of two scenes that are seen well."""


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> DataRun:
    return run_by_hand(tmp_path_factory.mktemp("run"))


def picture_of(scene: int) -> np.ndarray:
    shade = np.linspace(20 + 90 * scene, 130 + 90 * scene, SIDE).astype(np.uint8)
    return np.repeat(np.tile(shade, (SIDE, 1))[..., None], 3, axis=2)


def compose(folder: Path, *pills: tuple) -> Path:
    """Two scenes as `compose_scenes` writes them."""
    folder.mkdir()
    with ShardWriter(folder / "scenes.bin") as shard:
        rows = []
        for number in range(2):
            offset, length = shard.add(encode_jpeg(picture_of(number), 95))
            place = {"offset": offset, "length": length}
            rows.append({"scene": f"composed.{number:06d}", "ground": "plain", "width": SIDE, "height": SIDE} | place)
    write_table(make_table(rows, SCENES), folder / "scenes.parquet", SCENES)
    labels = [
        {"scene": scene, "k_code": drug, "class_index": index, "visible": visible} | dict(zip("xywh", box, strict=True))
        for scene, drug, index, box, visible in pills
    ]
    write_table(make_table(labels, SCENE_PILLS), folder / "pills.parquet", SCENE_PILLS)
    return folder


def both(run: DataRun, folder: Path, *pills: tuple) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The index of the crops without scenes, and with them."""
    detections = seen(run.pills("train", "val"), lambda boxes: boxes)
    scenes = compose(folder / "scenes", *pills)
    return (cut(run, folder / "without", detections), cut(run, folder / "crops", detections, scenes=[scenes]))


def test_composed_pills_are_trained_on_and_count_nowhere_else(run, tmp_path) -> None:
    without, index = both(run, tmp_path, *PILLS)
    composed = index[index["domain"] == COMPOSED].reset_index(drop=True)
    assert list(composed["pill_id"]) == [f"{scene}:{drug}:0" for scene, drug, *_ in PILLS]
    assert set(composed["split"]) == {"train"} and list(composed["class_index"]) == [0, 1]
    pd.testing.assert_frame_equal(index[index["domain"] != COMPOSED].reset_index(drop=True), without)
    assert sha256_of(tmp_path / "crops/val.bin") == sha256_of(tmp_path / "without/val.bin")
    summary = read_json(tmp_path / "crops/summary.json")
    assert summary.pop(COMPOSED) == {"pills": 2} and summary == read_json(tmp_path / "without/summary.json")
    shard = (tmp_path / "crops/train.bin").read_bytes()
    for number, (row, (*_, box, _)) in enumerate(zip(composed.itertuples(), PILLS, strict=True)):
        crop = decode_jpeg(shard[row.offset : row.offset + row.length]).astype(int)
        direct = cut_crop(picture_of(number), box, size=SETTINGS.size, margin=SETTINGS.margin)
        assert np.abs(crop - direct).mean() < 2


@pytest.mark.parametrize(
    ("drug", "class_index", "box", "visible"),
    [
        (DRUGS[0], 0, (10, 12, 40, 30), 0.69),
        (DRUGS[0], 0, (10, 12, 9, 8), 1.0),
        ("K-999999", 3, (10, 12, 40, 30), 1.0),
    ],
    ids=["hidden", "small", "drug that no photograph trains"],
)
def test_pills_that_teach_nothing_are_left_out(run, tmp_path, drug, class_index, box, visible) -> None:
    without, index = both(run, tmp_path, ("composed.000000", drug, class_index, box, visible))
    pd.testing.assert_frame_equal(index, without)
    assert read_json(tmp_path / "crops/summary.json")[COMPOSED] == {"pills": 0}


def test_of_each_drug_no_more_than_photographs_show(run, tmp_path) -> None:
    _, index = both(run, tmp_path, *[PILLS[0]] * 90)
    photographed = (run.pills("train")["k_code"] == DRUGS[0]).sum()
    assert (index["domain"] == COMPOSED).sum() == photographed < 90


def test_drugs_are_placed_by_photographs_alone(run, tmp_path) -> None:
    both(run, tmp_path, *PILLS)
    data = CropDataset(tmp_path / "crops", "train")
    photographed = data.pills["domain"].to_numpy() != COMPOSED
    assert (~photographed).sum() == 2
    chosen = _first_of_each(data.targets.numpy(), photographed, 1000)
    assert photographed[chosen].all() and len(chosen) == photographed.sum()
