"""Status of a stage's trainings while they run or afterwards, read from their folders and logs.

Files are read as they are at this moment: one that is missing, empty or half written leaves its values unknown.
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
from pillsnap.training.milestones import MilestoneResult, Model, milestone_results
from pillsnap.training.tolerant_read import Row, read_mapping, read_mappings, read_rows

MODELS: tuple[Model, ...] = ("detector", "classifier")
SILENT_SECONDS = 120
"""A training on another machine that wrote nothing for so long counts as stopped."""
LARGEST = 1e15
"""A larger number comes from a damaged file."""
_LOG_TAIL = 32_768


class StageError(ValueError):
    """Unknown stage, or not started; the message says what to do."""


@dataclass(frozen=True)
class TrainingStatus:
    """Status of a training.

    Attributes:
        model: `detector` or `classifier`.
        state: `waiting` (its folder is not there), `starting`, `running`, `finished` or `stopped`.
        progress: content of `progress.json`.
        history: one mapping an epoch.
        samples: measured resources, by time.
        milestones: targets and figures.
        events: of steering and recovery, see `pillsnap.training.steering.Event`.
        log: last lines of its log.
    """

    model: str
    state: str
    progress: Mapping[str, Any]
    history: Sequence[Row]
    samples: Sequence[Row]
    milestones: Sequence[MilestoneResult]
    events: Sequence[Mapping[str, Any]]
    log: Sequence[str]

    @property
    def epochs_done(self) -> int:
        """Epochs of the history."""
        return int(max((row.get("epoch") or 0 for row in self.history), default=0))

    def number(self, key: str) -> float | None:
        """A number of `progress.json`; `None` where it is missing or implausible."""
        value = self.progress.get(key)
        usable = isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < LARGEST
        return value if usable else None

    def values(self, column: str) -> list[float]:
        """Values of a column of the history, by epoch."""
        return [value for row in self.history if (value := row.get(column)) is not None]


@dataclass(frozen=True)
class StageStatus:
    """Status of a stage: its trainings, and the log file that was written last, with its age in seconds."""

    stage: str
    trainings: Sequence[TrainingStatus]
    newest_log: tuple[Path, float] | None


def stage_status(stage: str, config: Config, *, work: Path | None = None) -> StageStatus:
    """Read the status of a stage.

    Args:
        stage: its name.
        config: the configuration; its folders, and its milestones.
        work: folder of the trainings' states; `None` for the configuration's.

    Raises:
        StageError: the stage is unknown, or not started.
    """
    names = list(type(config.stages).model_fields)
    if stage not in names:
        raise StageError(f"--stage {stage}: unknown stage. Allowed: {', '.join(names)}.")
    states, logs = (work or Path(config.pathvars.work)) / stage, Path(config.pathvars.logs) / stage
    if not states.is_dir() and not logs.is_dir():
        raise StageError(
            f"{stage} is not started: neither {states} nor {logs} exists. "
            f"Start it with `snakemake --cores all -- {config.pathvars.results}/{stage}/report.html`."
        )
    milestones = [each.model_dump() for each in config.steering.milestones]
    trainings = [
        _training_status(states / f"train_{model}", logs / f"train_{model}.log", model, milestones) for model in MODELS
    ]
    return StageStatus(stage, trainings, _newest(logs))


def _training_status(folder: Path, log: Path, model: Model, milestones: Sequence[Mapping[str, Any]]) -> TrainingStatus:
    progress, history = read_mapping(folder / "progress.json"), read_rows(folder / "history.csv")
    return TrainingStatus(
        model=model,
        state=_state(folder, progress),
        progress=progress,
        history=history,
        samples=_samples(folder / "resources.csv"),
        milestones=milestone_results(milestones, history, model=model),
        events=[event for event in read_mappings(folder / "events.json") if isinstance(event.get("said"), str)],
        log=_last_lines(log),
    )


def _state(folder: Path, progress: Mapping[str, Any]) -> str:
    if not folder.is_dir():
        return "waiting"
    alive = _alive(folder, progress)
    if alive and progress.get("running") is True:
        return "running"
    requested = read_mapping(folder / "finished.json").get("epochs")
    if requested is not None and requested == progress.get("epochs", requested):
        return "finished"
    # alive, but finished with its epochs: it writes its results
    return "running" if alive else "stopped" if progress else "starting"


def _alive(folder: Path, progress: Mapping[str, Any]) -> bool:
    """Whether the process that wrote `progress` runs; on another machine, whether it has written recently."""
    if progress.get("host") != platform.node():
        files = [folder / name for name in ("progress.json", "resources.csv")]
        ages = [time.time() - changed for file in files if (changed := _changed(file)) is not None]
        return progress.get("running") is True and min(ages, default=SILENT_SECONDS) < SILENT_SECONDS
    pid, written = progress.get("pid"), _changed(folder / "progress.json")
    try:
        # a process that started after the file was last written only reuses the number
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
    """Rows of a file that grows to some megabytes: read again only when it has changed."""
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
    return min(ages, key=lambda log: log[1], default=None)
