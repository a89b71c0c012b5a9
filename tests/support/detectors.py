"""Trainings of the detector on a tiny data set, for tests."""

from pathlib import Path
from typing import Any

from safetensors.torch import load_file

from pillsnap.config.config import Detector
from pillsnap.config.data import Yolo
from pillsnap.config.training import Steering, Trainings
from pillsnap.detector.build_yolo_dataset import build_yolo_dataset
from pillsnap.detector.weights import build_detector, prepare_ultralytics, save_detector
from pillsnap.training.history import read_history
from tests.support.models import DETECTOR_SIZE, tiny_stage
from tests.support.once import once_in_a_run

SETTINGS = Detector(image_size=DETECTOR_SIZE, epochs=2, horizon=4, batch=4, warmup_epochs=0.5)


@once_in_a_run
def tiny_yolo(base: Path) -> Path:
    """One YOLO set for all tests of a run; change none of its files."""
    stage = tiny_stage(base)
    manifest = {split: stage.manifest[split] for split in ("train", "val")}
    build_yolo_dataset(
        manifest=manifest, prepared=[stage.prepared], dataset=base / "tiny-yolo", settings=Yolo(), seed=576
    )
    return base / "tiny-yolo"


def detector_job(base: Path, folder: Path, **changes: Any) -> dict[str, Any]:
    """Arguments of `train_detector` that write into `folder`; `changes` replace some, or settings by their names."""
    recipe = {name: changes.pop(name) for name in list(changes) if name in Detector.model_fields}
    return {
        "dataset": tiny_yolo(base),
        "best": folder / "best.pt",
        "weights": folder / "best.safetensors",
        "history": folder / "history.csv",
        "events": folder / "events.json",
        "resources": folder / "resources.json",
        "work": folder / "work",
        "settings": SETTINGS.model_copy(update=recipe),
        "steering": Steering(),
        "training": Trainings(),
        "seed": 576,
        "device": "cpu",
        "threads": 1,
    } | changes


def detector_run(base: Path, folder: Path, **changes: Any) -> dict[str, Any]:
    """Train as `detector_job` says; gives its arguments."""
    from pillsnap.detector.train_detector import train_detector

    job = detector_job(base, folder, **changes)
    train_detector(**job)
    return job


@once_in_a_run
def unbroken(base: Path, epochs: int = 4, **changes: Any) -> dict[str, Any]:
    """One training of all epochs at once for all tests of a run; change none of its files."""
    folder = base / "-".join(["unbroken", str(epochs), *(f"{name}={value}" for name, value in changes.items())])
    return detector_run(base, folder, epochs=epochs, **changes)


def rows(job: dict[str, Any], *without: str) -> list[dict[str, float | None]]:
    """History without what differs between two equal runs."""
    left_out = {"seconds", *without}
    return [{key: value for key, value in row.items() if key not in left_out} for row in read_history(job["history"])]


def same_weights(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """Whether both delivered the same weights, to the bit."""
    ours, theirs = load_file(one["weights"]), load_file(other["weights"])
    return ours.keys() == theirs.keys() and all(bool((ours[name] == theirs[name]).all()) for name in ours)


def write_untrained_detector(path: Path, work: Path) -> None:
    """Published weights, random ones."""
    prepare_ultralytics(work)
    import torch

    torch.manual_seed(0)
    save_detector(path, build_detector("yolo11n.yaml"), image_size=64)
