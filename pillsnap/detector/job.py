"""Settings of a detector's training, and the arguments of ultralytics that follow from them."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pillsnap.config.training import Detector, Steering
from pillsnap.training.batch_size import BatchChoice
from pillsnap.training.checkpoints import Checkpoints
from pillsnap.training.watch import TrainingWatch

FINAL_VALIDATION = "final_validation.json"
"""File with the validation of a last epoch that `validate_every` does not reach."""


@dataclass(frozen=True)
class DetectorJob:
    """Everything that does not change while a training runs.

    Attributes:
        dataset: its folder, unpacked.
        folder: of the training's state.
        settings, steering: sections of the configuration.
        seed, threads: as in `train_detector`.
        device: `cpu` or `cuda`.
        world_size: processes, one per GPU, that share a batch.
        chosen: the batch that `batch: auto` became; `None` where the recipe has a number.
        backup: folder that gets a copy of every kept checkpoint.
        watch: of the main process; `None` in the others.
    """

    dataset: Path
    folder: Path
    settings: Detector
    steering: Steering
    seed: int
    device: str
    threads: int
    world_size: int
    chosen: BatchChoice | None = None
    backup: Path | None = None
    watch: TrainingWatch | None = None

    @property
    def checkpoints(self) -> Checkpoints:
        """Those in the folder."""
        return Checkpoints(self.folder, recipe=self.settings, backup=self.backup)

    def ultralytics_args(self, accumulation_steps: int) -> dict[str, Any]:
        """Arguments of ultralytics' trainer, whose batch is one micro-batch over all processes."""
        settings = self.settings
        micro_batch = -(-settings.global_batch_size // self.world_size // accumulation_steps) * self.world_size
        return {
            "model": settings.start,
            "data": str(self.dataset.absolute() / "data.yaml"),
            "project": str(self.folder.absolute()),
            "name": "run",
            "exist_ok": True,
            "imgsz": settings.image_size,
            # what ultralytics derives from its epochs belongs to the horizon; the trainer sets the last epoch itself
            "epochs": settings.horizon,
            "batch": micro_batch,
            # `optimizer_step` is called for every micro-batch, and accumulates
            "nbs": micro_batch,
            "optimizer": "AdamW",
            "lr0": settings.learning_rate,
            "weight_decay": settings.weight_decay,
            "warmup_epochs": settings.warmup_epochs,
            "warmup_bias_lr": settings.learning_rate,
            # a pill has no upright side, but rotating a photograph would loosen its boxes: flipped only
            "flipud": 0.5,
            "fliplr": 0.5,
            "scale": 0.3,
            "mosaic": 0.0,
            "close_mosaic": 0,
            "single_cls": True,
            "device": ",".join(map(str, range(self.world_size))) if self.device == "cuda" else "cpu",
            "workers": self.threads,
            "seed": self.seed,
            # no bits are promised on a GPU (docs/training.md), and deterministic kernels are not its fastest
            "deterministic": self.device == "cpu",
            "amp": False,
            "plots": False,
            "verbose": False,
        }


def is_finished(saved: Mapping[str, Any] | None, settings: Detector) -> bool:
    """Whether a checkpoint has all requested epochs, or early stopping has run out of patience."""
    if saved is None:
        return False
    validated = saved["epoch"] % settings.validate_every == 0
    return saved["epoch"] >= settings.epochs or (
        validated and saved["epoch"] - saved["best_epoch"] >= settings.patience
    )
