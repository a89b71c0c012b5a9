"""Facts of the two trainings: how they ran, milestones, what steering said and did, what they took, and an estimate."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pillsnap.pages.formats import MISSING, count, decimal, duration, percent, plural, size
from pillsnap.pages.formats import asked as as_asked
from pillsnap.pages.states import Statement, state_of
from pillsnap.report.inputs import Events, History, Inputs
from pillsnap.training.milestones import MilestoneResult, milestone_results

MODELS = ("detector", "classifier")
METRICS = {"detector": "mAP@0.5", "classifier": "top-1"}
KINDS = {
    "phase": "phase",
    "intervention": "intervention",
    "out_of_memory": "out of memory",
    "data": "other data",
}
"""Kinds of events besides milestones, in words."""

Rows = list[list[str]]


@dataclass(frozen=True)
class Training:
    """A finished training: epochs asked and done, best epoch with its figure, patience, seconds an epoch."""

    asked: int
    done: int
    best: int | None
    best_value: float | None
    patience: int
    seconds_per_epoch: float | None


def history_of(inputs: Inputs, model: str) -> History:
    """The history of `detector` or `classifier`."""
    return inputs.detector_history if model == "detector" else inputs.classifier_history


def events_of(inputs: Inputs, model: str) -> Events:
    """The events of `detector` or `classifier`."""
    return inputs.detector_events if model == "detector" else inputs.classifier_events


def resources_of(inputs: Inputs, model: str) -> Mapping[str, Any]:
    """The resources of `detector` or `classifier`."""
    return inputs.detector_resources if model == "detector" else inputs.classifier_resources


def asked_epochs(config: Mapping[str, Any], model: str) -> int:
    """Epochs that a training is asked for: those of all cycles, if there are any."""
    cycles = config["training"]["cycles"]
    return cycles * config["training"][f"{model}_epochs_per_cycle"] if cycles else config[model]["epochs"]


def training(inputs: Inputs, model: str) -> Training:
    """Facts of the training of `detector` or `classifier`.

    The detector's best epoch is that of the highest validation mAP@0.5:0.95, as ultralytics chooses it; the
    classifier's is that of the highest validation top-1.
    """
    history = history_of(inputs, model)
    column = "map50_95" if model == "detector" else "val_top1"
    scored = [row for row in history if row[column] is not None]
    best = max(scored, key=lambda row: row[column], default=None)
    seconds = [row["seconds"] for row in history if row["seconds"] is not None]
    return Training(
        asked=asked_epochs(inputs.config, model),
        done=int(max((row["epoch"] for row in history), default=0)),
        best=int(best["epoch"]) if best else None,
        best_value=best[column] if best else None,
        patience=inputs.config[model]["patience"],
        seconds_per_epoch=sum(seconds) / len(seconds) if seconds else None,
    )


def training_rows(inputs: Inputs) -> Rows:
    """Both trainings side by side."""
    both = [training(inputs, model) for model in MODELS]
    settings = [inputs.config[model] for model in MODELS]
    return [
        ["Model", *(part["model"] for part in settings)],
        ["Input", *(f"{part['image_size']} px" for part in settings)],
        ["Epochs done, of asked", *(f"{one.done} of {one.asked}" for one in both)],
        ["Best epoch", *(count(one.best) for one in both)],
        ["Its validation mAP@0.5:0.95, or top-1", *(percent(one.best_value, 2) for one in both)],
        ["Time per epoch", *(duration(one.seconds_per_epoch) for one in both)],
        ["Device", *(record["device"] for record in (inputs.detector_record, inputs.classifier_record))],
    ]


def milestones(inputs: Inputs, model: str) -> list[MilestoneResult]:
    """Milestones of a model, and what its history had reached."""
    return milestone_results(inputs.config["steering"]["milestones"], history_of(inputs, model), model=model)


def milestone_rows(inputs: Inputs) -> list[tuple[str, str, str, str, Statement]]:
    """Milestones of both models by epoch: name, asked, reached, how far ahead or behind, verdict."""
    found = [(stone, model) for model in reversed(MODELS) for stone in milestones(inputs, model)]
    return [
        (
            f"Epoch {stone.epoch}, {model} {METRICS[model]}",
            as_asked(stone.target, "%"),
            percent(stone.value),
            stone.verdict or _why_unknown(inputs, model, stone),
            Statement("", "", state_of(None if stone.points is None else stone.points >= 0)),
        )
        for stone, model in sorted(found, key=lambda one: one[0].epoch)
    ]


def _why_unknown(inputs: Inputs, model: str, stone: MilestoneResult) -> str:
    done = training(inputs, model).done
    return f"the training ended with epoch {done}" if done < stone.epoch else "no validation up to there"


def steering_rows(inputs: Inputs) -> Rows:
    """What steering said and did, milestones aside: training, epochs done, kind, sentence, effect."""
    found = [(event, model) for model in MODELS for event in events_of(inputs, model) if event["kind"] in KINDS]
    return [
        [model.capitalize(), count(event["epoch"]), KINDS[event["kind"]], event["said"], _effect(event)]
        for event, model in sorted(found, key=lambda one: (MODELS.index(one[1]), one[0]["epoch"]))
    ]


def _effect(event: Mapping[str, Any]) -> str:
    if event["kind"] == "data":
        return "went on with it"
    if not event["changes"]:
        return "nothing changed"
    if not event["applied"]:
        return "advised, not applied"
    return "applied, from the last checkpoint on" if event["back"] else "applied"


def taken_rows(inputs: Inputs) -> Rows:
    """What both trainings took, measured while they ran."""
    both = [resources_of(inputs, model) for model in MODELS]

    def row(title: str, key: str, told: Any) -> list[str]:
        return [title, *(told(one[key]) for one in both)]

    def rate(value: float | None) -> str:
        return MISSING if value is None else f"{size(value)}/s"

    return [
        ["Measured", *(_how_often(one) for one in both)],
        row("Peak memory of all processes (RAM)", "peak_ram_bytes", size),
        ["GPU", *(one["gpu"] or "none in use" for one in both)],
        ["Peak GPU memory", *(_gpu_memory(one) for one in both)],
        row("Of it, tensors at their peak", "peak_gpu_allocated_bytes", size),
        row("GPU busy, mean", "mean_gpu_busy", lambda value: percent(value, 0)),
        row("Read from disk, mean", "mean_disk_read_bytes_per_second", rate),
        row("Read from disk, peak", "peak_disk_read_bytes_per_second", rate),
        row("Written to disk, peak", "peak_disk_write_bytes_per_second", rate),
        row("Least free disk", "least_disk_free_bytes", size),
        row("Time per epoch, median", "seconds_per_epoch", duration),
        row("Pictures an epoch", "pictures", count),
        row("Pictures a second, validations included", "pictures_per_second", lambda value: decimal(value, 1)),
        row("Checkpoint, with the state of the optimizer", "checkpoint_bytes", size),
    ]


def _how_often(one: Mapping[str, Any]) -> str:
    every = f", one each {duration(one['sample_seconds'])}" if one["sample_seconds"] else ""
    return plural(one["samples"], "time") + every if one["samples"] else "not measured"


def _gpu_memory(one: Mapping[str, Any]) -> str:
    whole = " (of the whole GPU, whoever held it)" if one["gpu_bytes_of"] == "device" else ""
    return size(one["peak_gpu_bytes"]) + whole


@dataclass(frozen=True)
class Estimate:
    """How long a training of the stage's whole budget would take on this machine: pictures of an epoch there, epochs,
    measured pictures a second; `None` where they are not known."""

    pictures: float
    epochs: int
    pictures_per_second: float | None

    @property
    def seconds(self) -> float | None:
        """Seconds of all epochs, validations included."""
        return self.pictures * self.epochs / self.pictures_per_second if self.pictures_per_second else None


def estimate(inputs: Inputs, model: str) -> Estimate:
    """The estimate for `detector` or `classifier`.

    An epoch's pictures grow as the stage's photographs do from what was used to what was asked; the detector's single
    photographs only up to `yolo.max_single_photos`.
    """
    asked, used = (inputs.plan[which]["images"] for which in ("asked", "used"))
    resources = resources_of(inputs, model)
    pictures, growth = resources["pictures"], asked / used
    grown = pictures * growth
    if model == "detector":
        most, single = inputs.config["yolo"]["max_single_photos"], inputs.manifest["splits"]["train"]["single"]
        now = min(most, single, pictures)
        grown = (pictures - now) * growth + min(most, now * growth)
    return Estimate(grown, asked_epochs(inputs.config, model), resources["pictures_per_second"])


def estimate_rows(inputs: Inputs) -> Rows:
    """How the estimate comes about, and the estimate."""
    both = [estimate(inputs, model) for model in MODELS]
    return [
        ["Pictures an epoch, with the whole budget", *(count(one.pictures) for one in both)],
        ["Epochs asked", *(count(one.epochs) for one in both)],
        ["Measured pictures a second", *(decimal(one.pictures_per_second, 1) for one in both)],
        ["Estimated time", *(duration(one.seconds) for one in both)],
    ]


def estimated_seconds(inputs: Inputs) -> float | None:
    """Of both trainings together; `None` where one is not known."""
    both = [estimate(inputs, model).seconds for model in MODELS]
    return None if None in both else math.fsum(both)


def statements(inputs: Inputs) -> list[Statement]:
    """What milestones, steering and measurements say of the trainings, for the checklist."""
    return [*_milestone_statements(inputs), *_steering_statements(inputs), _measured(inputs)]


def _milestone_statements(inputs: Inputs) -> list[Statement]:
    passed = [(model, stone) for model in MODELS for stone in milestones(inputs, model) if stone.value is not None]
    if not passed:
        return []
    told = {
        (model, event["epoch"])
        for model in MODELS
        for event in events_of(inputs, model)
        if event["kind"] == "milestone"
    }
    checked = sum((model, stone.epoch) in told for model, stone in passed)
    met = sum((stone.points or 0) >= 0 for _, stone in passed)
    return [
        Statement(
            "Every milestone was checked when its epoch ended",
            f"{checked} of {len(passed)}",
            state_of(checked == len(passed)),
        ),
        Statement("Every milestone was reached at its epoch", f"{met} of {len(passed)}", state_of(met == len(passed))),
    ]


def _steering_statements(inputs: Inputs) -> list[Statement]:
    events = [event for model in MODELS for event in events_of(inputs, model)]
    called = [event for event in events if event["kind"] == "intervention"]
    short = [event for event in events if event["kind"] == "out_of_memory"]
    applied = sum(event["applied"] for event in called)
    return [
        Statement(
            "No intervention was called for",
            f"{len(called)} called for, {applied} applied" if called else "none",
            state_of(not called),
        ),
        Statement("Memory never ran out", plural(len(short), "time") if short else "never", state_of(not short)),
    ]


def _measured(inputs: Inputs) -> Statement:
    samples = [resources_of(inputs, model)["samples"] for model in MODELS]
    fact = " and ".join(f"{count(number)} ({model})" for number, model in zip(samples, MODELS, strict=True))
    return Statement("Memory and disk were measured during both trainings", fact, state_of(all(samples) or None))
