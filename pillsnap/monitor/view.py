"""Terminal view of `pillsnap monitor`: a stage's trainings, in as much detail as fits the screen."""

import contextlib
import itertools
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.live import Live
from rich.panel import Panel
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from pillsnap.config.config import Config
from pillsnap.monitor.trainings import StageStatus, TrainingStatus, stage_status
from pillsnap.pages.formats import MISSING, asked, count, duration, percent, size
from pillsnap.training.milestones import MilestoneResult
from pillsnap.training.resources import peak
from pillsnap.training.tolerant_read import Row

SECONDS_BETWEEN_VIEWS = 1.0
SIDE_BY_SIDE = 130
"""Width of the terminal, in columns, from which the trainings are side by side."""

_STYLES = {"running": "green", "finished": "blue", "stopped": "red", "starting": "yellow", "waiting": "dim"}
_CURVES = {
    "detector": (("box loss", "box_loss"), ("mAP@0.5", "map50"), ("mAP@0.5:0.95", "map50_95")),
    "classifier": (
        ("loss", "loss"),
        ("top-1 training", "train_top1"),
        ("top-1 validation", "val_top1"),
        ("top-5 validation", "val_top5"),
    ),
}
_SHARES = {"map50", "map50_95", "train_top1", "val_top1", "val_top5"}
_LEVELS = "▁▂▃▄▅▆▇█"
_CURVE_WIDTH, _BAR_WIDTH = 24, 20
_LONGEST = 10 * 365 * 86_400


@dataclass(frozen=True)
class _Detail:
    """How much is shown: lines of log, of events and of milestones; whether trainings that do not run are shown in
    full, and whether all figures are."""

    log: int
    events: int
    milestones: int
    idle: bool = True
    all_figures: bool = True


_DETAILS = (
    _Detail(8, 8, 20),
    _Detail(4, 6, 10),
    _Detail(4, 6, 10, idle=False),
    _Detail(2, 3, 4, idle=False),
    _Detail(1, 1, 2, idle=False),
    _Detail(0, 0, 1, idle=False, all_figures=False),
)


def show_stage(stage: str, config: Config, *, work: Path | None, live: bool) -> None:
    """Print a stage's trainings, once or on the whole screen every second until Ctrl-C.

    Args:
        stage, config, work: of `stage_status`.
        live: whether to refresh until Ctrl-C.

    Raises:
        StageError: the stage is unknown, or not started.
    """

    console = Console(file=sys.stdout)

    def view() -> StageView:
        status = stage_status(stage, config, work=work)
        return StageView(status, now=datetime.now(), height=console.height if live else None)

    if not live:
        console.print(view())
        return
    with (
        contextlib.suppress(KeyboardInterrupt),
        Live(view(), console=console, screen=True, auto_refresh=False) as shown,
    ):
        while True:
            time.sleep(SECONDS_BETWEEN_VIEWS)
            shown.update(view(), refresh=True)


class StageView:
    """A stage as rich renders it; where the height is limited, with fewer lines of log, events and milestones.

    Args:
        stage: its status.
        now: local time.
        height: lines of the screen; `None` for any number.
    """

    def __init__(self, stage: StageStatus, *, now: datetime, height: int | None = None) -> None:
        self._stage, self._now, self._height = stage, now, height

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        free = options.reset_height()
        for detail in _DETAILS:
            lines = console.render_lines(self._content(detail, options.max_width), free, pad=False)
            if self._height is None or len(lines) <= self._height:
                break
        for line in lines:
            yield from line
            yield Segment.line()

    def _content(self, detail: _Detail, width: int) -> RenderableType:
        panels = [_panel(training, detail, self._now) for training in self._stage.trainings]
        if width < SIDE_BY_SIDE:
            return Group(self._head(), *panels)
        beside = Table.grid(expand=True)
        for _ in panels:
            beside.add_column(ratio=1)
        beside.add_row(*panels)
        return Group(self._head(), beside)

    def _head(self) -> Text:
        head = Text(f"PillSnap {self._stage.stage}, {self._now:%H:%M:%S}", style="bold")
        if self._stage.newest_log:
            path, age = self._stage.newest_log
            head.append(f"  newest log: {path}, {duration(age)} ago", style="dim")
        return head


def _panel(training: TrainingStatus, detail: _Detail, now: datetime) -> Panel:
    style = _STYLES[training.state]
    title = Text.assemble((training.model.capitalize(), "bold"), ": ", (training.state, style))
    rows = Table.grid(padding=(0, 1), expand=True)
    rows.add_column(style="dim", no_wrap=True)
    rows.add_column(ratio=1, overflow="fold")
    for label, value in _rows(training, detail, now):
        rows.add_row(label, value)
    return Panel(rows, title=title, title_align="left", border_style=style, padding=(0, 1))


def _rows(training: TrainingStatus, detail: _Detail, now: datetime) -> Iterator[tuple[str, RenderableType]]:
    if training.state == "waiting":
        yield "", "not started"
        return
    yield "epoch", _epoch(training)
    if detail.idle or training.state == "running":
        yield "speed", _speed(training)
        if training.state == "running":
            yield "time left", _time_left(training, now)
        yield from _figures(training, detail)
        yield from _steering(training, detail)
        yield "memory", _memory(training)
        if detail.all_figures:
            yield "disk", _disk(training)
        if detail.log and training.log:
            yield "log", Text("\n".join(training.log[-detail.log :]), style="dim", overflow="ellipsis", no_wrap=True)


def _epoch(training: TrainingStatus) -> Text:
    done, epochs = training.epochs_done, training.number("epochs")
    epoch, step, steps = (training.number(key) for key in ("epoch", "step", "steps"))
    if training.state == "finished":
        early = " (stopped early)" if epochs and done < epochs else ""
        return Text(f"{count(done)} of {count(epochs)} finished{early}")
    within = min(1.0, step / steps) if epoch is not None and epoch > done and step is not None and steps else None
    share = (done + (within or 0.0)) / epochs if epochs else 0.0
    filled = round(_BAR_WIDTH * min(1.0, max(0.0, share)))
    text = Text(f"{count(done if within is None else epoch)} of {count(epochs)} ")
    text.append("█" * filled, "green").append("░" * (_BAR_WIDTH - filled), "dim")
    return text.append(" finished" if within is None else f" step {count(step)} of {count(steps)}")


def _speed(training: TrainingStatus) -> str:
    steps, pictures = training.number("steps"), training.number("pictures")
    rate, seconds = training.number("steps_per_second"), training.values("seconds")
    parts = []
    if rate is not None:
        parts.append(f"{rate:.1f} steps/s")
        parts += [f"{rate * pictures / steps:.0f} pictures/s"] if pictures is not None and steps else []
    parts += [f"{duration(seconds[-1])} the last epoch"] if seconds else []
    return ", ".join(parts) or MISSING


def _time_left(training: TrainingStatus, now: datetime) -> str:
    left = training.number("seconds_left")
    if left is None or not 0 <= left < _LONGEST:
        return MISSING
    end = now + timedelta(seconds=left)
    return f"{duration(left)}, ends about {end:%H:%M}" + (f" on {end:%d %B}" if end.date() != now.date() else "")


def _figures(training: TrainingStatus, detail: _Detail) -> Iterator[tuple[str, RenderableType]]:
    """Loss of the running epoch, and a small curve of every figure over the epochs."""
    loss = training.number("loss")
    if training.state == "running" and loss is not None:
        yield "loss now", f"{loss:.4g}"
    for label, column in _CURVES[training.model]:
        values = training.values(column)
        if values:
            shown = [percent(value) if column in _SHARES else f"{value:.4g}" for value in (values[0], values[-1])]
            curve = Text.assemble((sparkline(values), "cyan"), f" {shown[0]} → ", (shown[1], "bold"))
            yield label, curve.append(f", best {percent(max(values))}" if column in _SHARES else "")
    rates = training.values("learning_rate")
    if rates and detail.all_figures:
        yield "learning rate", f"{rates[-1]:.3g}"


def sparkline(values: Sequence[float], width: int = _CURVE_WIDTH) -> str:
    """Values as a row of at most `width` blocks, from their lowest to their highest; many become means."""
    parts = min(width, len(values))
    edges = [place * len(values) // parts for place in range(parts + 1)]
    means = [sum(values[a:b]) / (b - a) for a, b in itertools.pairwise(edges)]
    low, high = min(means), max(means)
    scale = (len(_LEVELS) - 1) / (high - low) if high > low else 0.0
    return "".join(_LEVELS[min(len(_LEVELS) - 1, round((value - low) * scale))] for value in means)


def _steering(training: TrainingStatus, detail: _Detail) -> Iterator[tuple[str, RenderableType]]:
    if training.milestones and detail.milestones:
        yield "milestones", Text("\n").join(map(_milestone, _around_next(training.milestones, detail.milestones)))
    phase = training.progress.get("phase")
    if isinstance(phase, str) and detail.all_figures:
        yield "phase", Text(phase)
    events = [event for event in training.events if event.get("kind") != "milestone"]
    if events and detail.events:
        lines = [Text(f"after epoch {event.get('epoch')}: {event['said']}") for event in events[-detail.events :]]
        yield "steering", Text("\n").join(lines)


def _around_next(milestones: Sequence[MilestoneResult], most: int) -> Sequence[MilestoneResult]:
    """So many milestones around the next one."""
    checked = sum(each.value is not None for each in milestones)
    start = max(0, min(checked - (most + 1) // 2, len(milestones) - most))
    return milestones[start : start + most]


def _milestone(result: MilestoneResult) -> Text:
    text = Text(f"epoch {result.epoch}: target {asked(result.target, '%')}")
    if result.value is None or result.points is None:
        return text
    style = "green" if result.points >= 0 else "red"
    return text.append(f", reached {percent(result.value)}, ").append(result.verdict, style)


def _memory(training: TrainingStatus) -> str:
    ram = f"RAM {_now_and_peak(training, 'ram')}"
    column = "gpu_process" if peak(training.samples, "gpu_process") is not None else "gpu_device"
    if peak(training.samples, column) is None:
        return f"{ram}; no GPU in use"
    busy = _last(training, "gpu_busy")
    whose = "" if column == "gpu_process" else " (of all processes)"
    return f"{ram}; GPU{whose} {_now_and_peak(training, column)}" + (f", busy {percent(busy, 0)}" if busy else "")


def _disk(training: TrainingStatus) -> str:
    read, written = (_now_and_peak(training, f"disk_{way}", "/s") for way in ("read", "write"))
    free = _last_row(training.samples).get("disk_free")
    return f"read {read}; written {written}; {size(free)} free"


def _now_and_peak(training: TrainingStatus, column: str, per: str = "") -> str:
    """`2.1 GB, peak 2.3 GB`; the peak alone when the training does not run."""
    highest = peak(training.samples, column)
    if highest is None:
        return MISSING
    now = _last(training, column)
    return (f"{size(now)}{per}, " if now is not None else "") + f"peak {size(highest)}{per}"


def _last(training: TrainingStatus, column: str) -> float | None:
    """The newest measurement, while the training runs."""
    return _last_row(training.samples).get(column) if training.state == "running" else None


def _last_row(samples: Sequence[Row]) -> Row:
    return samples[-1] if samples else {}
