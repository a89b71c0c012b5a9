"""Log a training to TensorBoard: scalars of its epochs, events of steering, images."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from pillsnap.files import write_json
from pillsnap.training.steering import Event
from pillsnap.training.tolerant_read import read_mapping

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

TAGS = {
    "loss": "loss/train",
    "box_loss": "loss/box",
    "cls_loss": "loss/class",
    "dfl_loss": "loss/distribution",
    "train_top1": "accuracy/train_top1",
    "val_top1": "accuracy/val_top1",
    "val_top5": "accuracy/val_top5",
    "precision": "detection/precision",
    "recall": "detection/recall",
    "map50": "detection/mAP@0.5",
    "map50_95": "detection/mAP@0.5:0.95",
    "learning_rate": "learning_rate",
}
"""Tags of the history's columns; any other column is `training/<column>`."""


class TensorBoardLog:
    """TensorBoard's event files, in `tensorboard` of the training's folder.

    Each epoch is there once, however often the training was killed, resumed or rolled back: `logged.json` beside the
    event files says how far they reach, and a repeated epoch replaces the logged one.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "tensorboard"
        self._writer: SummaryWriter | None = None
        logged = read_mapping(self._folder / "logged.json").get("epoch")
        self._logged = logged if isinstance(logged, int) else 0
        self._logged_events = 0

    def epoch(self, history: Sequence[Mapping[str, float | None]], events: Sequence[Event]) -> None:
        """Log the epochs that are not logged yet, and all events where there are new ones."""
        done = int(history[-1]["epoch"] or 0)
        if done <= self._logged:
            self._rewind(done)
        writer = self._open()
        for row in history:
            if (row["epoch"] or 0) > self._logged:
                _add_row(writer, row)
        if len(events) != self._logged_events:
            writer.add_text("events", "\n".join(f"- after epoch {event.epoch}: {event.said}" for event in events), done)
            self._logged_events = len(events)
        writer.flush()
        self._save_logged(done)

    def picture(self, name: str, picture: np.ndarray, *, epoch: int) -> None:
        """Log a picture, uint8 (height, width, 3)."""
        if epoch < self._logged:  # an image of the last epoch does not mean that it is repeated
            self._rewind(epoch)
        self._open().add_image(name, picture, epoch, dataformats="HWC")

    def close(self) -> None:
        """End the event file."""
        if self._writer:
            self._writer.close()
            self._writer = None

    def _rewind(self, epoch: int) -> None:
        """Repeat `epoch`: it and later ones are purged by the next event file."""
        self.close()
        self._save_logged(epoch - 1)

    def _save_logged(self, epoch: int) -> None:
        self._logged = epoch
        write_json(self._folder / "logged.json", {"epoch": epoch})

    def _open(self) -> "SummaryWriter":
        if self._writer is None:
            from torch.utils.tensorboard import SummaryWriter

            self._writer = SummaryWriter(str(self._folder), purge_step=self._logged + 1)
        return self._writer


def _add_row(writer: "SummaryWriter", row: Mapping[str, float | None]) -> None:
    for column, value in row.items():
        if column != "epoch" and value is not None:
            writer.add_scalar(TAGS.get(column, f"training/{column}"), value, int(row["epoch"] or 0))
