"""What people watch while a training runs: its log, its history so far, how far it is, and what it takes."""

import logging
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from pillsnap.files import write_json
from pillsnap.history import write_history
from pillsnap.training.steering import Event, events_to_json

log = logging.getLogger(__name__)

SECONDS_BETWEEN_WRITES = 1.0


class TrainingWatch:
    """Writes `history.csv`, `events.json`, `progress.json` into the training's folder, for `pillsnap monitor`.

    Args:
        folder: of the training's state.
        model: `detector` or `classifier`.
        epochs: epochs in all.
        steps: optimizer steps of an epoch.
        pictures: pictures of an epoch.
        sample_seconds: from one measurement of the resources to the next.
    """

    def __init__(
        self, folder: Path, *, model: str, epochs: int, steps: int, pictures: int, sample_seconds: float
    ) -> None:
        self._folder, self._model = folder, model
        self._facts = {"model": model, "epochs": epochs, "steps": steps, "pictures": pictures, "pid": os.getpid()}
        self._written = 0.0

    def __enter__(self) -> "TrainingWatch":
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def step(self, *, epoch: int, step: int, loss: float) -> None:
        """A step of `epoch` is done; both are counted from 1, and `loss` is the epoch's mean so far."""
        now = time.monotonic()
        if now - self._written >= SECONDS_BETWEEN_WRITES:
            self._written = now
            write_json(self._folder / "progress.json", self._facts | {"epoch": epoch, "step": step, "loss": loss})

    def epoch(self, history: Sequence[Mapping[str, float | None]], events: Sequence[Event]) -> None:
        """An epoch has ended: the whole history and all events so far."""
        write_history(history, self._folder / "history.csv")
        write_json(self._folder / "events.json", events_to_json(events))

    def picture(self, name: str, picture: np.ndarray, *, epoch: int) -> None:
        """Show a picture, uint8 (height, width, 3), under `name`."""

    def resources(self) -> dict[str, float | None]:
        """Peaks and rates since the training began, over all its runs."""
        return {}
