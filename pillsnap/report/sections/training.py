"""Training: curves over epochs, milestones, what steering did, and what the trainings took."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import altair as alt

from pillsnap.pages import formats
from pillsnap.pages.drawing import (
    BLUE,
    DESCRIPTION,
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
    descriptions,
    draw,
)
from pillsnap.pages.formats import count, duration, percent, plural
from pillsnap.pages.states import Statement, state_of
from pillsnap.pages.table import Column, Rows, Table, number
from pillsnap.report.facts.resources import estimate_rows, estimated_seconds, taken_rows
from pillsnap.report.facts.trainings import KINDS, asked_epochs, events_of, history_of, milestones, training
from pillsnap.report.inputs import DetectorFacts, Events, History
from pillsnap.report.section import Section
from pillsnap.training.milestones import MilestoneResult, Model

METRICS = {"detector": "mAP@0.5", "classifier": "top-1"}


def section(inputs: DetectorFacts) -> Section:
    """The trainings side by side."""
    names = [model.capitalize() for model in inputs.models]
    heads: list[str | Column] = ["", *map(number, names)]
    return Section(
        id="training",
        title="Training",
        tables={
            "training": Table(
                "Both trainings" if len(names) == 2 else "Training", ("", *names), _training_rows(inputs)
            ),
            "milestones": Table(
                "Milestones, when their epoch ended",
                ("Milestone", number("Target"), number("Reached"), "Ahead or behind", "Verdict"),
                _milestone_rows(inputs),
            ),
            "steering": Table(
                "Phases, interventions and recovery",
                ("Training", number("After epoch"), "Kind", "Message", "Effect"),
                _steering_rows(inputs),
            ),
            "taken": Table("Resources of the trainings", heads, taken_rows(inputs)),
            "estimate": Table("Estimate for the whole budget of the stage", heads, estimate_rows(inputs), summed=True),
        },
        figures=_figures(inputs),
        values={"untrained": _untrained(inputs), "estimated_seconds": estimated_seconds(inputs)},
    )


def _untrained(inputs: DetectorFacts) -> str:
    """Say which weights stand in for a training of no epochs; empty where the detector was trained."""
    if asked_epochs(inputs.config, "detector"):
        return ""
    model = inputs.config["detector"]["model"]
    digest = inputs.detector_record["inputs"][Path(model).as_posix()]  # a record has no leading ./
    return f"The detector is not trained: weights of {model}, SHA-256 {digest}."


def _training_rows(inputs: DetectorFacts) -> Rows:
    """The trainings side by side."""
    both = [training(inputs, model) for model in inputs.models]
    settings = [inputs.config[model] for model in inputs.models]
    measures = " or ".join({"detector": "mAP@0.5:0.95", "classifier": "top-1"}[model] for model in inputs.models)
    return [
        ["Model", *(part["model"] for part in settings)],
        ["Input", *(f"{part['image_size']} px" for part in settings)],
        ["Epochs done, of those requested", *(f"{one.done} of {one.asked}" for one in both)],
        ["Best epoch", *(count(one.best) for one in both)],
        [f"Its validation {measures}", *(percent(one.best_value, 2) for one in both)],
        ["Time per epoch", *(duration(one.seconds_per_epoch) for one in both)],
        ["Device", *(getattr(inputs, f"{model}_record")["device"] for model in inputs.models)],
    ]


def _milestone_rows(inputs: DetectorFacts) -> list[tuple[str, str, str, str, Statement]]:
    """Milestones of both models by epoch: name, asked, reached, how far ahead or behind, verdict."""
    found = [(stone, model) for model in reversed(inputs.models) for stone in milestones(inputs, model)]
    return [
        (
            f"Epoch {stone.epoch}, {model} {METRICS[model]}",
            formats.asked(stone.target, "%"),
            percent(stone.value),
            stone.verdict or _why_unknown(inputs, model, stone),
            Statement("", "", state_of(None if stone.points is None else stone.points >= 0)),
        )
        for stone, model in sorted(found, key=lambda one: one[0].epoch)
    ]


def _why_unknown(inputs: DetectorFacts, model: Model, stone: MilestoneResult) -> str:
    done = training(inputs, model).done
    return f"the training ended with epoch {done}" if done < stone.epoch else "no validation up to there"


def _steering_rows(inputs: DetectorFacts) -> Rows:
    """Events other than milestones: training, epochs done, kind, message, effect."""
    found = [(event, model) for model in inputs.models for event in events_of(inputs, model) if event["kind"] in KINDS]
    return [
        [model.capitalize(), count(event["epoch"]), KINDS[event["kind"]], event["said"], _effect(event)]
        for event, model in sorted(found, key=lambda one: (inputs.models.index(one[1]), one[0]["epoch"]))
    ]


def _effect(event: Mapping[str, Any]) -> str:
    if event["kind"] == "data":
        return "resumed with it"
    if not event["changes"]:
        return "nothing changed"
    if not event["applied"]:
        return "advised, not applied"
    return "applied, from the last checkpoint on" if event["back"] else "applied"


@dataclass(frozen=True)
class _Curves:
    """A chart to draw: file name, title, the columns and what they are called, whether they are fractions of 1."""

    name: str
    title: str
    model: Model
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


def _figures(inputs: DetectorFacts) -> list[Figure | None]:
    """The curves of both trainings; `None` for one that has no value at all."""
    return [
        _curves(one, history_of(inputs, one.model), training(inputs, one.model).best, events_of(inputs, one.model))
        for one in _CHARTS
        if one.model in inputs.models
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
    words = f"Lines over {plural(len(history), 'epoch')}: {words}."
    if marks:
        words += f" Marked: {descriptions(marks)}."
    return draw(one.name, one.title, words, [*layers, points.encode(**place, color=colour, description=DESCRIPTION)])


def _marks(events: Events, epochs: Sequence[float]) -> list[Row]:
    """Phases, interventions and the like: between the epoch before and the one after, within the chart."""
    first, last = min(epochs), max(epochs)
    return [
        {
            "epoch": min(max(event["epoch"] + 0.5, first), last),
            "kind": event["kind"],
            "name": event["name"],
            "begins": event["epoch"] < first,
            "description": f"After epoch {event['epoch']}, {KINDS[event['kind']]}: {event['said']}",
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
    rules = chart(lines).mark_rule(color=PURPLE, strokeWidth=1).encode(x="epoch:Q", description=DESCRIPTION)
    return [*([rules] if lines else []), *names]


def _changes(marks: Sequence[Row]) -> list[alt.Chart]:
    """A triangle on the axis."""
    changes = [mark for mark in marks if mark["kind"] != "phase"]
    triangles = chart(changes).mark_point(shape="triangle-up", size=90, filled=True, color=PURPLE, opacity=1)
    return [triangles.encode(x="epoch:Q", y=alt.value(HEIGHT - 4), description=DESCRIPTION)] if changes else []


def _point(row: Mapping[str, float | None], column: str, label: str, share: bool) -> Row:
    value = row[column]
    text = "" if value is None else percent(value, 2) if share else f"{value:.4g}"
    return {
        "epoch": row["epoch"],
        "value": value,
        "series": label,
        "text": text,
        "description": f"Epoch {row['epoch']:.0f}, {label}: {text}",
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
    rule = chart([{"epoch": best, "description": f"Best epoch: {best}"}])
    rule = rule.mark_rule(color=MUTED, strokeDash=[3, 3], strokeWidth=1.5)
    return [rule.encode(x="epoch:Q", description=DESCRIPTION)]
