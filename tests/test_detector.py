"""Training of the detector on a tiny data set: outputs, taking over, and the same bytes again."""

import re
from pathlib import Path
from typing import Any

import pytest
import torch
from models import DETECTOR_SIZE, draw_photo, tiny_stage

from pillsnap.build_yolo_dataset import build_yolo_dataset
from pillsnap.config import Detector
from pillsnap.config_data import Yolo
from pillsnap.files import read_json, sha256_of
from pillsnap.history import DETECTOR_COLUMNS, read_history
from pillsnap.train_detector import train_detector

pytestmark = pytest.mark.slow

SETTINGS = Detector(image_size=DETECTOR_SIZE, epochs=2, batch=4, warmup_epochs=0.5)


def job(base: Path, folder: Path, **changes: Any) -> dict[str, Any]:
    """Arguments of `train_detector` that write into `folder`."""
    return {
        "dataset": base / "tiny-yolo",
        "best": folder / "best.pt",
        "history": folder / "history.csv",
        "record": folder / "detector.json",
        "work": folder / "work",
        "settings": SETTINGS,
        "seed": 576,
        "device": "cpu",
        "threads": 1,
    } | changes


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Arguments of a finished training."""
    base = tmp_path_factory.getbasetemp()
    stage = tiny_stage(base)
    manifest = {split: stage.manifest[split] for split in ("train", "val")}
    build_yolo_dataset(
        manifest=manifest, prepared=[stage.prepared], dataset=base / "tiny-yolo", settings=Yolo(), seed=576
    )
    done = job(base, tmp_path_factory.mktemp("detector"))
    train_detector(**done)
    return done


def test_outputs(trained: dict[str, Any]) -> None:
    history = read_history(trained["history"])
    assert list(history[0]) == list(DETECTOR_COLUMNS)
    assert [row["epoch"] for row in history] == [1, 2]
    assert all(0 < row["seconds"] < 60 and row["box_loss"] > 0 and 0 <= row["map50"] <= 1 for row in history)
    record = read_json(trained["record"])
    assert record["inputs"] == {"dataset": sha256_of(trained["dataset"])}
    assert (record["settings"], record["seed"]) == (SETTINGS.model_dump(), 576)


def test_published_weights_find_pills(trained: dict[str, Any]) -> None:
    """The checkpoint is one that ultralytics loads, of the one class `pill`."""
    from ultralytics import YOLO

    model = YOLO(trained["best"])
    assert model.names == {0: "pill"}
    picture = draw_photo([0, 1, 2])[0][..., ::-1].copy()
    (result,) = model.predict(picture, imgsz=DETECTOR_SIZE, conf=1e-6, device="cpu", verbose=False)
    assert set(result.boxes.cls.tolist()) == {0.0}


def test_published_checkpoint_tells_nothing_of_machine_and_day(trained: dict[str, Any]) -> None:
    checkpoint = torch.load(trained["best"], weights_only=False)
    assert (checkpoint["date"], checkpoint["git"], checkpoint["train_results"]) == (None, None, None)
    content = trained["best"].read_bytes()
    for path in (trained["work"], Path(__file__).parents[1], Path.home()):
        assert str(path).encode() not in content
    assert not re.search(rb"20[2-9]\d-[01]\d-[0-3]\d", content)


def test_finished_training_is_taken_over(trained: dict[str, Any], tmp_path: Path) -> None:
    """Outputs that were lost come back out of the state; the state is not touched."""
    before = sha256_of(trained["work"] / "run")
    again = trained | job(trained["dataset"].parent, tmp_path, work=trained["work"])
    train_detector(**again)
    assert sha256_of(trained["work"] / "run") == before
    for name in ("best", "history"):
        assert again[name].read_bytes() == trained[name].read_bytes()


def test_killed_training_ends_with_the_same_bytes(trained: dict[str, Any], tmp_path: Path) -> None:
    """What a killed run left behind is thrown away, and another folder changes nothing: the same bytes."""
    again = job(trained["dataset"].parent, tmp_path)
    train_detector(**again)
    finished = again["work"] / "finished.json"
    assert again["best"].read_bytes() == trained["best"].read_bytes()
    finished.unlink()
    (again["work"] / "run" / "results.csv").write_text("epoch,time\n1,")
    (again["work"] / "run" / "weights" / "best.pt").write_bytes(b"half")
    again["best"].unlink()
    train_detector(**again)
    assert again["best"].read_bytes() == trained["best"].read_bytes()
    assert [row["map50"] for row in read_history(again["history"])] == [
        row["map50"] for row in read_history(trained["history"])
    ]


def test_another_seed_trains_anew(trained: dict[str, Any], tmp_path: Path) -> None:
    other = job(trained["dataset"].parent, tmp_path, seed=1, settings=SETTINGS.model_copy(update={"epochs": 1}))
    train_detector(**other)
    assert other["best"].read_bytes() != trained["best"].read_bytes()
    assert len(read_history(other["history"])) == 1
