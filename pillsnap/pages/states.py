"""States that a page shows as a badge."""

from dataclasses import dataclass

MET, MISSED, UNMEASURED, NO_TARGET = "met", "missed", "not measured", "no target"
WARNED = "warning"

ICONS = {MET: "✓", MISSED: "✗", UNMEASURED: "?", NO_TARGET: "–", WARNED: "!"}
"""A sign for each state, beside its word."""


@dataclass(frozen=True)
class Statement:
    """A sentence that holds or does not: `state` is `MET`, `MISSED`, `WARNED` or `UNMEASURED`."""

    text: str
    fact: str
    state: str


def state_of(holds: bool | None) -> str:
    """The word for a condition that holds, does not, or was not measured."""
    return UNMEASURED if holds is None else MET if holds else MISSED


def stage_name(stage: str) -> str:
    """`stage4` as `Stage 4`."""
    return stage.replace("stage", "Stage ").strip()
