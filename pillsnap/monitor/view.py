"""The terminal view of `pillsnap monitor`: as much of a stage's trainings as the screen has room for."""

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
from pillsnap.monitor.trainings import Watched, WatchedStage, watch_stage
from pillsnap.pages.formats import MISSING, asked, count, duration, percent, size
from pillsnap.training.milestones import Reached
from pillsnap.training.resources import peak
from pillsnap.training.tolerant_read import Row

SECONDS_BETWEEN_VIEWS = 1.0
SIDE_BY_SIDE = 130
"""Columns from which the trainings stand beside each other."""

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
class _Room:
    """How much is shown: lines of log, of what was said, of milestones; whether trainings that do not run are shown
    like the others, and whether all figures are."""

    log: int
    said: int
    milestones: int
    others: bool = True
    all_figures: bool = True


_ROOMS = (
    _Room(8, 8, 20),
    _Room(4, 6, 10),
    _Room(4, 6, 10, others=False),
    _Room(2, 3, 4, others=False),
    _Room(1, 1, 2, others=False),
    _Room(0, 0, 1, others=False, all_figures=False),
)


def show_stage(stage: str, config: Config, *, work: Path | None, live: bool) -> None:
    """Print a stage's trainings, once or on the whole screen every second until Ctrl-C.

    Args:
        stage, config, work: of `watch_stage`.
        live: whether to go on.

    Raises:
        StageError: there is no such stage, or nothing of it has begun.
    """

    console = Console(file=sys.stdout)

    def view() -> StageView:
        found = watch_stage(stage, config, work=work)
        return StageView(found, now=datetime.now(), height=console.height if live else None)

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
    """A stage as rich shows it; where the height is limited, with fewer lines of log, of what was said, of milestones.

    Args:
        stage: as it is now.
        now: local time.
        height: lines that there are; `None` for any number.
    """

    def __init__(self, stage: WatchedStage, *, now: datetime, height: int | None = None) -> None:
        self._stage, self._now, self._height = stage, now, height

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        free = options.reset_height()
        for room in _ROOMS:
            lines = console.render_lines(self._shown(room, options.max_width), free, pad=False)
            if self._height is None or len(lines) <= self._height:
                break
        for line in lines:
            yield from line
            yield Segment.line()

    def _shown(self, room: _Room, width: int) -> RenderableType:
        panels = [_panel(training, room, self._now) for training in self._stage.trainings]
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


def _panel(training: Watched, room: _Room, now: datetime) -> Panel:
    style = _STYLES[training.state]
    title = Text.assemble((training.model.capitalize(), "bold"), ": ", (training.state, style))
    rows = Table.grid(padding=(0, 1), expand=True)
    rows.add_column(style="dim", no_wrap=True)
    rows.add_column(ratio=1, overflow="fold")
    for label, value in _rows(training, room, now):
        rows.add_row(label, value)
    return Panel(rows, title=title, title_align="left", border_style=style, padding=(0, 1))


def _rows(training: Watched, room: _Room, now: datetime) -> Iterator[tuple[str, RenderableType]]:
    if training.state == "waiting":
        yield "", "has not begun"
        return
    yield "epoch", _epoch(training)
    if room.others or training.state == "running":
        yield "speed", _speed(training)
        if training.state == "running":
            yield "time left", _time_left(training, now)
        yield from _figures(training, room)
        yield from _said(training, room)
        yield "memory", _memory(training)
        if room.all_figures:
            yield "disk", _disk(training)
        if room.log and training.log:
            yield "log", Text("\n".join(training.log[-room.log :]), style="dim", overflow="ellipsis", no_wrap=True)


def _epoch(training: Watched) -> Text:
    done, epochs = training.epochs_done, training.number("epochs")
    epoch, step, steps = (training.number(key) for key in ("epoch", "step", "steps"))
    if training.state == "finished":
        early = " (it stopped early)" if epochs and done < epochs else ""
        return Text(f"{count(done)} of {count(epochs)} done{early}")
    within = epoch is not None and epoch > done and step is not None and steps
    share = (done + min(1.0, step / steps if within else 0.0)) / epochs if epochs else 0.0
    filled = round(_BAR_WIDTH * min(1.0, max(0.0, share)))
    text = Text(f"{count(epoch if within else done)} of {count(epochs)} ")
    text.append("█" * filled, "green").append("░" * (_BAR_WIDTH - filled), "dim")
    return text.append(f" step {count(step)} of {count(steps)}" if within else " done")


def _speed(training: Watched) -> str:
    steps, pictures = training.number("steps"), training.number("pictures")
    rate, seconds = training.number("steps_per_second"), training.values("seconds")
    known = rate is not None and pictures is not None and steps
    told = [f"{rate:.1f} steps/s"] if rate is not None else []
    told += [f"{rate * pictures / steps:.0f} pictures/s"] if known else []
    told += [f"{duration(seconds[-1])} the last epoch"] if seconds else []
    return ", ".join(told) or MISSING


def _time_left(training: Watched, now: datetime) -> str:
    left = training.number("seconds_left")
    if left is None or not 0 <= left < _LONGEST:
        return MISSING
    end = now + timedelta(seconds=left)
    return f"{duration(left)}, ends about {end:%H:%M}" + (f" on {end:%d %B}" if end.date() != now.date() else "")


def _figures(training: Watched, room: _Room) -> Iterator[tuple[str, RenderableType]]:
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
    if rates and room.all_figures:
        yield "learning rate", f"{rates[-1]:.3g}"


def sparkline(values: Sequence[float], width: int = _CURVE_WIDTH) -> str:
    """Values as a row of at most `width` blocks, from their lowest to their highest; many become means."""
    parts = min(width, len(values))
    edges = [place * len(values) // parts for place in range(parts + 1)]
    means = [sum(values[a:b]) / (b - a) for a, b in itertools.pairwise(edges)]
    low, high = min(means), max(means)
    scale = (len(_LEVELS) - 1) / (high - low) if high > low else 0.0
    return "".join(_LEVELS[min(len(_LEVELS) - 1, round((value - low) * scale))] for value in means)


def _said(training: Watched, room: _Room) -> Iterator[tuple[str, RenderableType]]:
    if training.milestones and room.milestones:
        yield "milestones", Text("\n").join(map(_milestone, _near(training.milestones, room.milestones)))
    phase = training.progress.get("phase")
    if isinstance(phase, str) and room.all_figures:
        yield "phase", Text(phase)
    told = [event for event in training.events if event.get("kind") != "milestone"]
    if told and room.said:
        lines = [Text(f"after epoch {event.get('epoch')}: {event['said']}") for event in told[-room.said :]]
        yield "steering", Text("\n").join(lines)


def _near(milestones: Sequence[Reached], most: int) -> Sequence[Reached]:
    """So many milestones around the next one."""
    checked = sum(stone.value is not None for stone in milestones)
    begin = max(0, min(checked - (most + 1) // 2, len(milestones) - most))
    return milestones[begin : begin + most]


def _milestone(stone: Reached) -> Text:
    text = Text(f"epoch {stone.epoch}: {asked(stone.asked, '%')} asked")
    if stone.value is None or stone.points is None:
        return text
    return text.append(f", {percent(stone.value)}, ").append(stone.verdict, "green" if stone.points >= 0 else "red")


def _memory(training: Watched) -> str:
    ram = f"RAM {_now_and_peak(training, 'ram')}"
    column = "gpu_process" if peak(training.samples, "gpu_process") is not None else "gpu_device"
    if peak(training.samples, column) is None:
        return f"{ram}; no GPU in use"
    busy = _last(training, "gpu_busy")
    whose = "" if column == "gpu_process" else " (of all processes)"
    return f"{ram}; GPU{whose} {_now_and_peak(training, column)}" + (f", busy {percent(busy, 0)}" if busy else "")


def _disk(training: Watched) -> str:
    read, written = (_now_and_peak(training, f"disk_{way}", "/s") for way in ("read", "write"))
    free = _last_row(training.samples).get("disk_free")
    return f"read {read}; written {written}; {size(free)} free"


def _now_and_peak(training: Watched, column: str, per: str = "") -> str:
    """`2.1 GB, peak 2.3 GB`; the peak alone when nothing runs any more."""
    highest = peak(training.samples, column)
    if highest is None:
        return MISSING
    now = _last(training, column)
    return (f"{size(now)}{per}, " if now is not None else "") + f"peak {size(highest)}{per}"


def _last(training: Watched, column: str) -> float | None:
    """The newest measurement, while the training runs."""
    return _last_row(training.samples).get(column) if training.state == "running" else None


def _last_row(samples: Sequence[Row]) -> Row:
    return samples[-1] if samples else {}
