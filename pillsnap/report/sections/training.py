"""The charts of the two trainings: curves over epochs, with phases and interventions marked."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import altair as alt

from pillsnap.pages.drawing import (
    BLUE,
    GREEN,
    HEIGHT,
    MUTED,
    ORANGE,
    PERCENT,
    PURPLE,
    SHARE,
    Figure,
    Row,
    chart,
    draw,
    told,
)
from pillsnap.pages.formats import percent, plural
from pillsnap.report.inputs import Events, History, Inputs
from pillsnap.report.sections.trainings import KINDS, events_of, history_of, training


@dataclass(frozen=True)
class _Curves:
    """A chart to draw: file name, title, the columns and what they are called, whether they are fractions of 1."""

    name: str
    title: str
    model: str
    series: Mapping[str, str]
    share: bool


_CHARTS = (
    _Curves(
        "detector_loss",
        "Detector: training losses",
        "detector",
        {"box_loss": "Box", "cls_loss": "Class", "dfl_loss": "Distribution"},
        share=False,
    ),
    _Curves(
        "detector_training",
        "Detector: validation mAP",
        "detector",
        {"map50": "mAP@0.5", "map50_95": "mAP@0.5:0.95"},
        share=True,
    ),
    _Curves("classifier_loss", "Classifier: training loss", "classifier", {"loss": "Loss"}, share=False),
    _Curves(
        "classifier_training",
        "Classifier: accuracy",
        "classifier",
        {"train_top1": "Training top-1", "val_top1": "Validation top-1", "val_top5": "Validation top-5"},
        share=True,
    ),
)


def training_figures(inputs: Inputs) -> list[Figure | None]:
    """The curves of both trainings; `None` for one that has no value at all."""
    return [
        _curves(one, history_of(inputs, one.model), training(inputs, one.model).best, events_of(inputs, one.model))
        for one in _CHARTS
    ]


def _curves(one: _Curves, history: History, best: int | None, events: Events) -> Figure | None:
    """Lines over epochs, one for each column."""
    rows = [_point(row, column, label, one.share) for column, label in one.series.items() for row in history]
    rows = [row for row in rows if row["value"] is not None and math.isfinite(row["value"])]
    if not rows:
        return None
    y_scale, y_axis = (SHARE, PERCENT) if one.share else (alt.Scale(zero=True), alt.Axis(format="~g", tickCount=5))
    place = {"x": _epochs(rows), "y": alt.Y("value:Q", title=None, axis=y_axis, scale=y_scale)}
    labels = list(one.series.values())
    colour, dash = _line_styles(labels)
    lines = chart(rows).mark_line(strokeWidth=2.2).encode(**place, color=colour, strokeDash=dash)
    # points answer to the pointer; on a long training they are there, but unseen until then
    points = chart(rows).mark_circle(size=34, opacity=1 if len(history) <= 30 else 0)
    marks = _marks(events, [row["epoch"] for row in rows])
    layers = [*_best_epoch(best), *_phases(marks), *_changes(marks), lines]
    ends = [[row for row in rows if row["series"] == label] for label in labels]
    words = "; ".join(f"{part[0]['series']} from {part[0]['text']} to {part[-1]['text']}" for part in ends if part)
    words = f"Lines over {plural(len(history), 'epoch')}: {words}." + (f" Marked: {told(marks)}." if marks else "")
    return draw(one.name, one.title, words, [*layers, points.encode(**place, color=colour, description="told:N")])


def _marks(events: Events, epochs: Sequence[float]) -> list[Row]:
    """Phases, interventions and the like: between the epoch before and the one after, within the chart."""
    first, last = min(epochs), max(epochs)
    return [
        {
            "epoch": min(max(event["epoch"] + 0.5, first), last),
            "kind": event["kind"],
            "name": event["name"],
            "begins": event["epoch"] < first,
            "told": f"After epoch {event['epoch']}, {KINDS[event['kind']]}: {event['said']}",
        }
        for event in events
        if event["kind"] in KINDS
    ]


def _phases(marks: Sequence[Row]) -> list[alt.Chart]:
    """An upright line and the phase's name, at the foot, where the fewest curves are; names of short phases do not run
    into each other there."""
    phases = [mark for mark in marks if mark["kind"] == "phase"]
    lines = [mark for mark in phases if not mark["begins"]]
    names = [
        chart([phase])
        .mark_text(align="left", dx=4, fontSize=11, color=PURPLE)
        .encode(x="epoch:Q", y=alt.value(HEIGHT - 16 - 13 * (number % 3)), text="name:N")
        for number, phase in enumerate(phases)
    ]
    rules = chart(lines).mark_rule(color=PURPLE, strokeWidth=1).encode(x="epoch:Q", description="told:N")
    return [*([rules] if lines else []), *names]


def _changes(marks: Sequence[Row]) -> list[alt.Chart]:
    """A triangle on the axis."""
    changes = [mark for mark in marks if mark["kind"] != "phase"]
    triangles = chart(changes).mark_point(shape="triangle-up", size=90, filled=True, color=PURPLE, opacity=1)
    return [triangles.encode(x="epoch:Q", y=alt.value(HEIGHT - 4), description="told:N")] if changes else []


def _point(row: Mapping[str, float | None], column: str, label: str, share: bool) -> Row:
    value = row[column]
    text = "" if value is None else percent(value, 2) if share else f"{value:.4g}"
    return {
        "epoch": row["epoch"],
        "value": value,
        "series": label,
        "text": text,
        "told": f"Epoch {row['epoch']:.0f}, {label}: {text}",
    }


def _epochs(rows: Sequence[Row]) -> alt.X:
    """The axis of epochs: whole numbers, about ten of them named."""
    first, last = (int(pick(row["epoch"] for row in rows)) for pick in (min, max))
    named = list(range(first, last + 1, 1 + (last - first) // 10))
    scale = alt.Scale(domain=[first, max(last, first + 1)], nice=False, zero=False)
    return alt.X("epoch:Q", title="Epoch", axis=alt.Axis(values=named, format="d", grid=False), scale=scale)


def _line_styles(labels: list[str]) -> tuple[Any, Any]:
    """Colour and dash of each line, so that neither alone carries the meaning; one line needs no legend."""
    if len(labels) == 1:
        return alt.value(BLUE), alt.value([1, 0])
    colours, dashes = [BLUE, ORANGE, GREEN], [[1, 0], [6, 3], [2, 2]]
    return (
        alt.Color("series:N", scale=alt.Scale(domain=labels, range=colours[: len(labels)])),
        alt.StrokeDash("series:N", scale=alt.Scale(domain=labels, range=dashes[: len(labels)])),
    )


def _best_epoch(best: int | None) -> list[alt.Chart]:
    if best is None:
        return []
    rule = chart([{"epoch": best, "told": f"Best epoch: {best}"}])
    return [rule.mark_rule(color=MUTED, strokeDash=[3, 3], strokeWidth=1.5).encode(x="epoch:Q", description="told:N")]
