"""Verdict: targets, success, forecasts."""

from collections.abc import Mapping, Sequence
from typing import Any

from pillsnap.pages import formats
from pillsnap.pages.formats import figure, percent
from pillsnap.pages.states import NO_TARGET, UNMEASURED, Statement
from pillsnap.pages.table import Rows, Table, number
from pillsnap.report.facts.trainings import improving
from pillsnap.report.facts.verdicts import Verdict, verdict_table, verdicts
from pillsnap.report.inputs import Inputs
from pillsnap.report.section import Section

_FORECASTS = (
    ("Classifier top-1", "classifier.top1", (0.88, 0.92, 0.95)),
    ("Detector mAP@0.5", "detector.map50", (0.70, 0.85, 0.90)),
    ("Classifier top-5", "classifier.top5", (0.98, 0.99, 0.995)),
)
"""Conservative, realistic and optimistic forecasts for stage 4."""


def section(inputs: Inputs) -> Section:
    """Targets and forecasts against what was measured."""
    found = verdicts(inputs.targets, inputs.metrics)
    return Section(
        id="verdict",
        title="Verdict",
        tables={
            "verdicts": verdict_table("Targets on the test part", found),
            "success": Table(
                "Does the stage succeed?",
                ("Statement", "Measured", "Verdict"),
                [(one.text, one.fact, one) for one in success(found, inputs.detector_history)],
            ),
            "forecasts": Table(
                "Against earlier forecasts",
                ("Figure", *map(number, ("Conservative", "Realistic", "Optimistic", "Measured")), "Reached"),
                forecasts(inputs.stage, inputs.metrics),
            ),
        },
    )


def success(found: Sequence[Verdict], detector_history: Sequence[Mapping[str, float | None]]) -> list[Statement]:
    """Criteria of success of the production stage; empty unless top-1, mAP@0.5 and latency all have a target."""
    by_key = {verdict.key: verdict for verdict in found}
    if any(by_key[key].state == NO_TARGET for key in ("top1", "map50", "p95_ms")):
        return []
    top1, map50, p95 = by_key["top1"], by_key["map50"], by_key["p95_ms"]
    return [
        Statement(f"Success: classifier top-1 {top1.asked}", top1.measured, top1.state),
        Statement(f"Detection: mAP@0.5 {map50.asked}", map50.measured, map50.state),
        improving(detector_history),
        Statement(f"Mandatory: whole answer {p95.asked} (p95)", p95.measured, p95.state),
    ]


def forecasts(stage: str, metrics: Mapping[str, Any]) -> Rows:
    """Rows of measured figures beside the three forecasts, and which is reached; stage 4 only."""
    if stage != "stage4":
        return []
    return [
        [
            label,
            *(formats.asked(value, "%") for value in levels),
            percent(figure(metrics, path), 2),
            _reached(figure(metrics, path), levels),
        ]
        for label, path, levels in _FORECASTS
    ]


def _reached(value: float | None, levels: Sequence[float]) -> str:
    if value is None:
        return UNMEASURED
    return ("below conservative", "conservative", "realistic", "optimistic")[sum(value >= level for level in levels)]
