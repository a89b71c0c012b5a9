"""benchmarks/train_input.py at a tiny size: every contestant trains on the same crops, and how its page is computed."""

import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from train_input_page import page

from pillsnap.config.load import read_config
from pillsnap.crops.dataset import CropDataset
from pillsnap.files import read_json
from pillsnap.pictures.decode import decode_photo
from tests.support.workflow import PROJECT

CONFIG = (PROJECT / "config.yaml", PROJECT / "tests/workflow/tiny.yaml")
CLASSIFIERS = ["limit", "ours", "ours, not kept", "torchvision", "timm"]
DETECTORS = ["limit", "prepared JPEGs", "raw PNGs"]


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the script writes, without its ending; turns of two batches."""
    folder = tmp_path_factory.mktemp("train-input")
    words = ["--config", *map(str, CONFIG), "--photos=2", "--warm-up=1", "--steps=1", "--repeats=2", "--batch=4"]
    done = subprocess.run(
        [sys.executable, "benchmarks/train_input.py", *words, "--device=cpu", "--out", str(folder / "out")],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return folder / "out"


def made(**changes: Any) -> dict[str, Any]:
    """A result with chosen rates: three repeats, of which the second ran on a machine half as fast."""
    rates = {"limit": [100.0, 50.0, 100.0], "ours": [96.0, 49.0, 97.0], "ours, not kept": [90.0, 45.0, 95.0]}
    rates |= {"torchvision": [48.0, 20.0, 50.0], "timm": [60.0, 30.0, 60.0]}
    training = {"limit": [20.0, 10.0, 20.0], "prepared JPEGs": [19.0, 9.5, 18.0], "raw PNGs": [10.0, 5.0, 9.0]}
    config = read_config(*CONFIG)
    return {
        "command": "python benchmarks/train_input.py",
        "date": "2026-01-02",
        "device": "a device",
        "commit": {"hash": "0123456789abcdef", "dirty": True},
        "versions": {"torch": "1"},
        "cores": 2,
        "threads": 2,
        "precision": "fp32",
        "turn": {"warm_up": 3, "steps": 10, "repeats": 3},
        "pictures": {"photos": 60, "copies": 4, "crops": 832},
        "settings": {n: getattr(config, n).model_dump() for n in ("prepare", "crops", "classifier", "detector")},
        "classifier": {
            "workers_tried": {"torchvision": {"0": 40.0, "1": 48.0}, "timm": {"0": 60.0, "1": 58.0}},
            "load": [0.1, 0.2, 0.3],
            "training": rates,
        },
        "detector": {
            "load": [0.4, 0.5, 0.6],
            "loader": {"prepared JPEGs": [600.0, 300.0, 640.0], "raw PNGs": [50.0, 20.0, 40.0]},
            "training": training,
        },
    } | changes


def test_ratios_are_those_of_one_repeat() -> None:
    text = page(made())
    assert "| ours | 96.0 (49.0 to 97.0) | 97.0% (96.0% to 98.0%) | 2.00 (1.94 to 2.45) |" in text
    assert "| prepared JPEGs | 600.0 (300.0 to 640.0) | 18.0 (9.5 to 19.0) | 95.0% (90.0% to 95.0%) |" in text
    assert "the loader gives **15.00 (12.00 to 16.00)** times" in text
    assert "**1.90 (1.90 to 2.00)** times as many" in text


def test_other_loaders_have_their_best_workers() -> None:
    text = page(made())
    assert "the best for each: torchvision 1, timm 0." in text
    assert "| torchvision | 40.0 | 48.0 |" in text
    assert "`0123456789`, with changes" in text
    assert "0.1, 0.2, 0.3, 0.4, 0.5, 0.6" in text


@pytest.mark.parametrize(
    ("cores", "choices"), [(1, [0, 1]), (2, [0, 1, 2]), (6, [0, 1, 2, 4, 6]), (16, [0, 1, 2, 4, 8, 16])]
)
def test_other_loaders_are_tried_up_to_all_cores(cores: int, choices: list[int]) -> None:
    from train_input_classifier import worker_choices

    assert worker_choices(cores) == choices


@pytest.mark.campaign
def test_every_contestant_is_timed_in_every_repeat(out: Path) -> None:
    result = read_json(out.with_suffix(".json"))
    assert list(result["classifier"]["training"]) == CLASSIFIERS
    assert list(result["detector"]["training"]) == DETECTORS
    assert list(result["detector"]["loader"]) == DETECTORS[1:]
    for part in (result["classifier"], result["detector"]):
        assert len(part["load"]) == 2
    for rates in (result["classifier"]["training"], result["detector"]["training"], result["detector"]["loader"]):
        assert all(len(values) == 2 and all(0 < value < math.inf for value in values) for values in rates.values())
    assert out.with_suffix(".md").read_text(encoding="utf-8") == page(result)
    assert "--photos=2" in result["command"]


@pytest.mark.campaign
def test_all_readers_get_the_same_pictures(tmp_path: Path) -> None:
    config = read_config(*CONFIG)
    from train_input_photos import draw_pictures

    drawn = draw_pictures(tmp_path, config, photos=3, copies=2, crops=7, processes=1)
    data = CropDataset(drawn.crops, "train")
    files = sorted(drawn.crop_files.glob("*/*.jpg"), key=lambda file: file.name)
    assert (len(data), data.crops, len(files)) == (7, 7, 7)
    for number, file in enumerate(files):
        picture, _ = data[(number, 0.0)]
        assert (picture.permute(1, 2, 0).numpy() == decode_photo(file.read_bytes())).all()
    assert len({file.read_bytes() for file in files}) == 7, "no crop twice"
    names = [
        {kind: sorted(file.stem for file in (folder / kind / "train").iterdir()) for kind in ("images", "labels")}
        for folder in (drawn.dataset, drawn.raw_dataset)
    ]
    assert names[0] == names[1]
    assert len(names[0]["images"]) == 6 and names[0]["images"] == names[0]["labels"]
    for name in names[0]["images"]:
        photo = decode_photo((drawn.raw_dataset / f"images/train/{name}.png").read_bytes())
        small = decode_photo((drawn.dataset / f"images/train/{name}.jpg").read_bytes())
        assert sorted(photo.shape) == [3, 976, 1280]
        assert max(small.shape) == config.prepare.photo_size
        labels = [(folder / f"labels/train/{name}.txt").read_text() for folder in (drawn.dataset, drawn.raw_dataset)]
        assert labels[0] == labels[1]


def test_committed_page_is_that_of_the_committed_figures() -> None:
    result = read_json(PROJECT / "benchmarks" / "train_input.json")
    assert (PROJECT / "benchmarks" / "train_input.md").read_text(encoding="utf-8") == page(result)
