"""What is known of a stage's trainings while they run or afterwards, read out of their folders and logs.

Everything is read as it is at this moment: a file that is missing, empty or half written leaves its facts unknown.
"""

import functools
import os
import platform
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from pillsnap.config.config import Config
from pillsnap.training.milestones import Reached, milestones_reached
from pillsnap.training.tolerant_read import Row, read_mapping, read_mappings, read_rows

MODELS = ("detector", "classifier")
SILENT_SECONDS = 120
"""A training of another machine that wrote nothing for so long counts as stopped."""
LARGEST = 1e15
"""No number of a training is so large; one that is comes of a damaged file."""
_LOG_TAIL = 32_768


class StageError(ValueError):
    """A stage that there is no such of, or that has not begun; the message says what to do."""


@dataclass(frozen=True)
class Watched:
    """A training as it is now.

    Attributes:
        model: `detector` or `classifier`.
        state: `waiting` (its folder is not there), `starting`, `running`, `finished` or `stopped`.
        progress: content of `progress.json`.
        history: one mapping an epoch.
        samples: measured resources, by time.
        milestones: asked and reached.
        events: what steering said and did.
        log: last lines of its log.
    """

    model: str
    state: str
    progress: Mapping[str, Any]
    history: Sequence[Row]
    samples: Sequence[Row]
    milestones: Sequence[Reached]
    events: Sequence[Mapping[str, Any]]
    log: Sequence[str]

    @property
    def epochs_done(self) -> int:
        """Epochs of the history."""
        return int(max((row.get("epoch") or 0 for row in self.history), default=0))

    def number(self, key: str) -> float | None:
        """A number of `progress.json`; `None` where it has none there."""
        value = self.progress.get(key)
        usable = isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < LARGEST
        return value if usable else None

    def values(self, column: str) -> list[float]:
        """What the history knows of a column, by epoch."""
        return [value for row in self.history if (value := row.get(column)) is not None]


@dataclass(frozen=True)
class WatchedStage:
    """A stage's trainings, and the log file that was written last: its path and how many seconds ago."""

    stage: str
    trainings: Sequence[Watched]
    newest_log: tuple[Path, float] | None


def watch_stage(stage: str, config: Config, *, work: Path | None = None) -> WatchedStage:
    """Look at a stage.

    Args:
        stage: its name.
        config: the configuration; its folders, and its milestones.
        work: folder of the trainings' states; `None` for the configuration's.

    Raises:
        StageError: there is no such stage, or nothing of it has begun.
    """
    names = list(type(config.stages).model_fields)
    if stage not in names:
        raise StageError(f"--stage {stage}: there is no such stage; known are {', '.join(names)}.")
    states, logs = (work or Path(config.pathvars.work)) / stage, Path(config.pathvars.logs) / stage
    if not states.is_dir() and not logs.is_dir():
        raise StageError(
            f"{stage} has not begun: there is neither {states} nor {logs}. "
            f"`snakemake --cores all -- {config.pathvars.results}/{stage}/report.html` starts it."
        )
    stones = [stone.model_dump() for stone in config.steering.milestones]
    trainings = [_look(states / f"train_{model}", logs / f"train_{model}.log", model, stones) for model in MODELS]
    return WatchedStage(stage, trainings, _newest(logs))


def _look(folder: Path, log: Path, model: str, milestones: Sequence[Mapping[str, Any]]) -> Watched:
    progress, history = read_mapping(folder / "progress.json"), read_rows(folder / "history.csv")
    return Watched(
        model=model,
        state=_state(folder, progress),
        progress=progress,
        history=history,
        samples=_samples(folder / "resources.csv"),
        milestones=milestones_reached(milestones, history, model=model),
        events=[event for event in read_mappings(folder / "events.json") if isinstance(event.get("said"), str)],
        log=_last_lines(log),
    )


def _state(folder: Path, progress: Mapping[str, Any]) -> str:
    if not folder.is_dir():
        return "waiting"
    alive = _alive(folder, progress)
    if alive and progress.get("running") is True:
        return "running"
    asked = read_mapping(folder / "finished.json").get("epochs")
    if asked is not None and asked == progress.get("epochs", asked):
        return "finished"
    # alive, but done with its epochs: it writes its results
    return "running" if alive else "stopped" if progress else "starting"


def _alive(folder: Path, progress: Mapping[str, Any]) -> bool:
    """Whether the process that wrote `progress` runs; on another machine, whether it wrote something lately."""
    if progress.get("host") != platform.node():
        files = [folder / name for name in ("progress.json", "resources.csv")]
        ages = [time.time() - changed for file in files if (changed := _changed(file)) is not None]
        return progress.get("running") is True and min(ages, default=SILENT_SECONDS) < SILENT_SECONDS
    pid, written = progress.get("pid"), _changed(folder / "progress.json")
    try:
        # a process that began after the file was last written has only taken over the number
        return isinstance(pid, int) and psutil.Process(pid).create_time() <= (written or 0) + 1
    except (psutil.Error, ValueError, OverflowError):
        return False


def _changed(path: Path) -> float | None:
    """When a file was last written, in seconds since 1970; `None` where there is none."""
    try:
        return path.stat().st_mtime
    except OSError:
        return None


def _samples(path: Path) -> Sequence[Row]:
    changed = _changed(path)
    return () if changed is None else _read_samples(path, changed)


@functools.lru_cache(maxsize=2 * len(MODELS))
def _read_samples(path: Path, changed: float) -> Sequence[Row]:
    """The rows of a file that grows to some megabytes: read again when it has changed."""
    return read_rows(path)


def _last_lines(path: Path) -> list[str]:
    try:
        with path.open("rb") as stream:
            stream.seek(max(0, stream.seek(0, os.SEEK_END) - _LOG_TAIL))
            text = stream.read().decode("utf-8", errors="replace")
    except OSError:
        return []
    return ["".join(sign for sign in line if sign.isprintable()) for line in text.split("\n") if line.strip()][-20:]


def _newest(logs: Path) -> tuple[Path, float] | None:
    """The newest log below a folder, and its age in seconds."""
    ages = [(path, max(0.0, time.time() - at)) for path in logs.rglob("*.log") if (at := _changed(path)) is not None]
    return min(ages, key=lambda one: one[1], default=None)
