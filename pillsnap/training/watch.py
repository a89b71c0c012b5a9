"""Write the files that show a running training: progress, history, events, resources and TensorBoard's log."""

import contextlib
import math
import os
import platform
import statistics
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from pillsnap.files import write_json
from pillsnap.progress import Counter, counting
from pillsnap.training.history import write_history
from pillsnap.training.resources import ResourceSampler, epoch_seconds, resources_of
from pillsnap.training.steering import Event, events_to_json
from pillsnap.training.tensorboard import TensorBoardLog
from pillsnap.training.tolerant_read import read_rows

SECONDS_BETWEEN_WRITES = 1.0
_RECENT_EPOCHS = 5
_RATE_SMOOTHING = 0.8


class TrainingWatch:
    """Writer of what `pillsnap monitor`, TensorBoard and the report show, into the training's folder.

    `history.csv` and `events.json` change with every epoch, `progress.json` at most once a second, `resources.csv`
    grows while the block runs, and `tensorboard` holds TensorBoard's log. On a terminal the steps of an epoch are a
    bar, elsewhere a line a minute at most.

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
        self._folder = folder
        self._facts: dict[str, Any] = {"model": model, "epochs": epochs, "steps": steps, "pictures": pictures}
        self._sampler = ResourceSampler(folder, seconds=sample_seconds)
        self._tensorboard = TensorBoardLog(folder)
        self._pace = _Pace(epochs, steps)
        self._running = contextlib.ExitStack()
        self._counter: Counter | None = None
        self._bar_epoch = 0
        self._written = 0.0

    def __enter__(self) -> "TrainingWatch":
        self._folder.mkdir(parents=True, exist_ok=True)
        self._facts |= {"pid": os.getpid(), "host": platform.node(), "running": True, "started": _now()}
        self._pace.seconds = epoch_seconds(read_rows(self._folder / "history.csv"))
        self._write()
        self._running.enter_context(self._sampler)
        self._running.callback(self._tensorboard.close)
        self._counter = self._running.enter_context(counting())
        return self

    def __exit__(self, *_: object) -> None:
        self._running.close()
        self._facts["running"] = False
        self._write()

    def step(self, *, epoch: int, step: int, loss: float) -> None:
        """Report a finished step of `epoch`; both are counted from 1, and `loss` is the epoch's mean so far."""
        self._update_bar(epoch, step)
        self._facts |= {"epoch": epoch, "step": step, "loss": loss if math.isfinite(loss) else None}
        self._pace.step(epoch, step)
        if time.monotonic() - self._written >= SECONDS_BETWEEN_WRITES:
            self._write()

    def epoch(self, history: Sequence[Mapping[str, float | None]], events: Sequence[Event]) -> None:
        """Report a finished epoch: the whole history and all events so far."""
        write_history(history, self._folder / "history.csv")
        write_json(self._folder / "events.json", events_to_json(events))
        self._tensorboard.epoch(history, events)
        self._pace.seconds = epoch_seconds(history)
        self._pace.epoch_ended(int(history[-1]["epoch"] or 0))
        phases = [event for event in events if event.kind == "phase"]
        self._facts["phase"] = max(phases, key=lambda event: event.epoch).name if phases else None
        self._write()

    def picture(self, name: str, picture: np.ndarray, *, epoch: int) -> None:
        """Log a picture, uint8 (height, width, 3), under `name`."""
        self._tensorboard.picture(name, picture, epoch=epoch)

    def resources(self) -> dict[str, Any]:
        """Resources of the training until now, over all its runs: see `resources_of`."""
        if self._facts.get("running"):
            self._sampler.sample()
        return resources_of(self._folder, pictures=self._facts["pictures"])

    def _update_bar(self, epoch: int, step: int) -> None:
        """Move the bar; one that resumes within an epoch has only the epoch's remaining steps."""
        if self._counter is None:
            return
        if epoch != self._bar_epoch:
            self._bar_epoch = epoch
            title = f"{self._facts['model']}, epoch {epoch} of {self._facts['epochs']}"
            self._counter.begin(total=self._facts["steps"] - step + 1, title=title, unit="steps")
        self._counter.update()

    def _write(self) -> None:
        self._written = time.monotonic()
        pace = {"steps_per_second": self._pace.steps_per_second, "seconds_left": self._pace.seconds_left}
        facts = self._facts | pace | {"gpu": self._sampler.gpu, "updated": _now()}
        write_json(self._folder / "progress.json", facts)


class _Pace:
    """Steps per second, and the estimated time that is left; tqdm's rate would restart with each epoch's bar.

    Attributes:
        seconds: duration of each epoch so far, with its validation.
    """

    def __init__(self, epochs: int, steps: int) -> None:
        self._epochs, self._steps = epochs, steps
        self._window: tuple[float, int, int] | None = None
        self._done = 0.0
        self.seconds: list[float] = []
        self.steps_per_second: float | None = None

    def step(self, epoch: int, step: int) -> None:
        """Count a finished step; the rate is an exponential moving average over windows of about a second."""
        now = time.monotonic()
        self._done = epoch - 1 + step / self._steps
        if self._window is None or self._window[1] != epoch:
            self._window = (now, epoch, step)
        elif now - self._window[0] >= SECONDS_BETWEEN_WRITES:
            rate = (step - self._window[2]) / (now - self._window[0])
            known = self.steps_per_second
            self.steps_per_second = rate if known is None else _RATE_SMOOTHING * known + (1 - _RATE_SMOOTHING) * rate
            self._window = (now, epoch, step)

    def epoch_ended(self, epoch: int) -> None:
        """Count `epoch` epochs as finished."""
        self._done, self._window = float(epoch), None
        if self.steps_per_second is None and self.seconds:
            self.steps_per_second = self._steps / max(self.seconds[-1], 1e-3)

    @property
    def seconds_left(self) -> float | None:
        """By the last epochs, or in the first one by its steps; `None` before anything is measured."""
        left = max(0.0, self._epochs - self._done)
        if self.seconds:
            return left * statistics.fmean(self.seconds[-_RECENT_EPOCHS:])
        return left * self._steps / self.steps_per_second if self.steps_per_second else None


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
