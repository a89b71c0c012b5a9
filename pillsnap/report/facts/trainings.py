"""Course of the two trainings: epochs, events, milestones."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pillsnap.pages.formats import percent
from pillsnap.pages.states import UNMEASURED, Statement, state_of
from pillsnap.report.inputs import DetectorFacts, Events, History
from pillsnap.training.milestones import MilestoneResult, Model, milestone_results

KINDS = {
    "phase": "phase",
    "intervention": "intervention",
    "out_of_memory": "out of memory",
    "data": "other data",
    "batch": "batch",
}
"""Kinds of events besides milestones, in words."""


@dataclass(frozen=True)
class Training:
    """A finished training: epochs asked and done, best epoch with its figure, patience, seconds an epoch."""

    asked: int
    done: int
    best: int | None
    best_value: float | None
    patience: int
    seconds_per_epoch: float | None


def history_of(inputs: DetectorFacts, model: Model) -> History:
    """The history of `detector` or `classifier`."""
    found: History = getattr(inputs, f"{model}_history")
    return found


def events_of(inputs: DetectorFacts, model: Model) -> Events:
    """The events of `detector` or `classifier`."""
    found: Events = getattr(inputs, f"{model}_events")
    return found


def resources_of(inputs: DetectorFacts, model: Model) -> Mapping[str, Any]:
    """The resources of `detector` or `classifier`."""
    found: Mapping[str, Any] = getattr(inputs, f"{model}_resources")
    return found


def asked_epochs(config: Mapping[str, Any], model: str) -> int:
    """Epochs that a training is asked for: those of all cycles, if there are any."""
    cycles = config["training"]["cycles"]
    return cycles * config["training"][f"{model}_epochs_per_cycle"] if cycles else config[model]["epochs"]


def training(inputs: DetectorFacts, model: Model) -> Training:
    """Facts of the training of `detector` or `classifier`.

    The detector's best epoch is that of the highest validation mAP@0.5:0.95, as ultralytics chooses it; the
    classifier's is that of the highest validation top-1.
    """
    history: Sequence[Mapping[str, Any]] = history_of(inputs, model)
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


def milestones(inputs: DetectorFacts, model: Model) -> list[MilestoneResult]:
    """Milestones of a model, and what its history had reached."""
    return milestone_results(inputs.config["steering"]["milestones"], history_of(inputs, model), model=model)


def improving(history: Sequence[Mapping[str, float | None]]) -> Statement:
    """Compare the detector's best validation mAP@0.5:0.95 of the second half of the training with the first half's.

    mAP@0.5 would not tell: training that starts from weights may have it at its ceiling after an epoch.
    """
    values = [row["map50_95"] for row in history if row["map50_95"] is not None]
    text = "Detection kept improving: best validation mAP@0.5:0.95 of the training's first half, then of its second"
    if len(values) < 2:
        return Statement(text, "too few epochs", UNMEASURED)
    first, second = max(values[: len(values) // 2]), max(values[len(values) // 2 :])
    return Statement(text, f"{percent(first, 2)} → {percent(second, 2)}", state_of(second > first))
