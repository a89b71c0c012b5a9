"""What a training of the detector is given, and how ultralytics is told."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pillsnap.config.training import Detector, Steering
from pillsnap.training.checkpoints import Checkpoints
from pillsnap.training.watch import TrainingWatch

CLOSING = "closing.json"
"""File with the validation of an end that is off the schedule."""


@dataclass(frozen=True)
class DetectorJob:
    """What a training of the detector is given.

    Attributes:
        dataset: folder of `build_yolo_dataset`.
        folder: of the training's state.
        settings, steering: sections of the configuration.
        seed, threads: as in `train_detector`.
        device: `cpu` or `cuda`.
        processes: GPUs that share a batch.
        backup: folder that gets a copy of every kept checkpoint.
        watch: for people; `None` in all processes but the first.
    """

    dataset: Path
    folder: Path
    settings: Detector
    steering: Steering
    seed: int
    device: str
    threads: int
    processes: int
    backup: Path | None = None
    watch: TrainingWatch | None = None

    @property
    def checkpoints(self) -> Checkpoints:
        """Those in the folder."""
        return Checkpoints(self.folder, recipe=self.settings, backup=self.backup)

    def arguments(self, parts: int) -> dict[str, Any]:
        """ultralytics' own arguments, with a batch computed in so many parts."""
        settings = self.settings
        at_once = -(-settings.batch // self.processes // parts) * self.processes
        return {
            "model": settings.model,
            "data": str(self.dataset.absolute() / "data.yaml"),
            "project": str(self.folder.absolute()),
            "name": "run",
            "exist_ok": True,
            "imgsz": settings.image_size,
            # what ultralytics derives from its epochs belongs to the horizon; where it ends is set apart
            "epochs": settings.horizon,
            "batch": at_once,
            # a step at every part: `optimizer_step` counts them
            "nbs": at_once,
            "optimizer": "AdamW",
            "lr0": settings.learning_rate,
            "weight_decay": settings.weight_decay,
            "warmup_epochs": settings.warmup_epochs,
            "warmup_bias_lr": settings.learning_rate,
            # a pill has no upright side, but turning a photograph would loosen its boxes: mirrored only
            "flipud": 0.5,
            "fliplr": 0.5,
            "scale": 0.3,
            "mosaic": 0.0,
            "close_mosaic": 0,
            "single_cls": True,
            "device": ",".join(map(str, range(self.processes))) if self.device == "cuda" else "cpu",
            "workers": self.threads,
            "seed": self.seed,
            "deterministic": True,
            "amp": False,
            "plots": False,
            "verbose": False,
        }


def over(saved: Mapping[str, Any] | None, settings: Detector) -> bool:
    """Whether a saved state has all epochs that are asked for, or patience has run out."""
    if saved is None:
        return False
    validated = saved["epoch"] % settings.validate_every == 0
    return saved["epoch"] >= settings.epochs or (
        validated and saved["epoch"] - saved["best_epoch"] >= settings.patience
    )
