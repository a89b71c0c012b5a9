"""Measured figures against the targets of a stage."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pillsnap.pages import formats
from pillsnap.pages.formats import MISSING, figure, listing, milliseconds, percent
from pillsnap.pages.states import MET, NO_TARGET, UNMEASURED, stage_name, state_of
from pillsnap.pages.table import Table, number


@dataclass(frozen=True)
class Verdict:
    """One figure against its target: texts to show and `state`, `MET`, `MISSED`, `UNMEASURED` or `NO_TARGET`."""

    key: str
    label: str
    short: str
    asked: str
    measured: str
    state: str


def slowest_p95(metrics: Mapping[str, Any]) -> float | None:
    """The worse 95th percentile of single and combo, of those that were measured."""
    found = [figure(metrics, f"latency.{mode}.p95_ms") for mode in ("single", "combo")]
    return max((value for value in found if value is not None), default=None)


@dataclass(frozen=True)
class _Figure:
    """A figure that can have a target.

    Attributes:
        key: of the targets.
        label, short: its name in a table and in a sentence.
        path: where it stands in the metrics; empty: the slower p95 of single and combo.
        unit: `%`, `ms` or none.
        sign: how the measured value must stand to the target.
        chance: where in the metrics stands what chance alone explains; a measured value up to it meets the target.
    """

    key: str
    label: str
    short: str
    path: str
    unit: str = "%"
    sign: str = "≥"
    chance: str = ""

    def measured(self, metrics: Mapping[str, Any]) -> float | None:
        return figure(metrics, self.path) if self.path else slowest_p95(metrics)

    def text(self, value: float | None) -> str:
        if self.unit == "ms":
            return milliseconds(value)
        return percent(value, 2) if self.unit == "%" else formats.decimal(value, 4)

    def state(self, asked: float, measured: float | None) -> str:
        if measured is None:
            return UNMEASURED
        return state_of({"≥": measured >= asked, "≤": measured <= asked, "<": measured < asked}[self.sign])


DETECTOR_TARGETS = ("map50", "map50_95")
"""Keys of the targets that a detector alone can meet."""

_FIGURES = (
    _Figure("top1", "Classifier top-1", "classifier top-1", "classifier.top1"),
    _Figure("top5", "Classifier top-5", "classifier top-5", "classifier.top5"),
    _Figure("macro_f1", "Classifier macro-F1", "classifier macro-F1", "classifier.macro_f1"),
    _Figure("map50", "Detector mAP@0.5", "detector mAP@0.5", "detector.map50"),
    _Figure("map50_95", "Detector mAP@0.5:0.95", "detector mAP@0.5:0.95", "detector.map50_95"),
    _Figure("p95_ms", "Whole answer, p95 (slower of single and combo)", "whole answer p95", "", "ms", "<"),
    _Figure(
        "ece", "Calibration error of answers (ECE)", "calibration error", "trust.ece", "", "≤", "trust.ece_chance_95"
    ),
    _Figure("known_right", "Right among answers that are known", "right among known", "trust.known_right"),
    _Figure(
        "unseen_not_known", "Never-seen drugs that are not known", "never-seen not known", "trust.unseen_not_known"
    ),
)


def verdicts(targets: Mapping[str, float | None], metrics: Mapping[str, Any]) -> list[Verdict]:
    """Every figure that can have a target, with the target or without."""
    return [_verdict(one, targets.get(one.key), metrics) for one in _FIGURES]


def _verdict(one: _Figure, asked: float | None, metrics: Mapping[str, Any]) -> Verdict:
    measured, by_chance = one.measured(metrics), figure(metrics, one.chance) if one.chance else None
    if asked is None:
        wanted, state = "", NO_TARGET
    elif by_chance is not None and by_chance > asked:
        wanted = f"{one.sign}\u00a0{formats.asked(asked, one.unit)}, or {one.text(by_chance)} by chance"
        state = one.state(by_chance, measured)
    else:
        wanted, state = f"{one.sign}\u00a0{formats.asked(asked, one.unit)}", one.state(asked, measured)
    return Verdict(one.key, one.label, one.short, wanted, one.text(measured), state)


def headline(stage: str, found: Sequence[Verdict]) -> str:
    """One sentence: how many targets are met, and the missed ones, or else the met ones, by name."""
    asked = [verdict for verdict in found if verdict.state != NO_TARGET]
    missed = [verdict for verdict in asked if verdict.state != MET]
    name = stage_name(stage)
    if not asked:
        return f"{name} has no targets; what was measured is below."
    shown = missed or asked
    # more than three with their figures are no sentence any more
    names = listing([f"{v.short} {v.measured} (target {v.asked})" if len(shown) <= 3 else v.short for v in shown])
    if not missed:
        how_many = {1: "its one target", 2: "both its targets"}.get(len(asked), f"all {len(asked)} targets")
        return f"{name} meets {how_many}: {names}."
    return f"{name} does not meet {len(missed)} of {len(asked)} targets: {names}."


def verdict_table(caption: str, found: Sequence[Verdict]) -> Table:
    """Target, measured figure and verdict, a row each."""
    return Table(
        caption,
        ("Figure", number("Target"), number("Measured"), "Verdict"),
        [(one.label, one.asked or MISSING, one.measured, one) for one in found],
    )
