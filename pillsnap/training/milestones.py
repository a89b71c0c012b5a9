"""Milestones of a training: target and measured figure at an epoch, and how far the training is ahead or behind."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

Row = Mapping[str, float | None]
Model = Literal["detector", "classifier"]

MILESTONE_METRIC = {"detector": "map50", "classifier": "val_top1"}
MILESTONE_KEY = {"detector": "map50", "classifier": "top1"}


@dataclass(frozen=True)
class MilestoneResult:
    """A milestone, and what the training had reached at its epoch.

    Attributes:
        epoch: at whose end it is checked.
        target: fraction of 1.
        value: of the newest validation up to there; `None` before the training has reached it, or without one.
    """

    epoch: int
    target: float
    value: float | None

    @property
    def points(self) -> float | None:
        """Percentage points ahead; below zero: behind."""
        return None if self.value is None else 100 * (self.value - self.target)

    @property
    def verdict(self) -> str:
        """`3.1 points ahead`, `3.1 points behind`; empty where there is no value."""
        if self.points is None:
            return ""
        return f"{abs(self.points):.1f} points {'ahead' if self.points >= 0 else 'behind'}"


def milestone_results(
    milestones: Sequence[Mapping[str, Any]], history: Sequence[Row], *, model: Model
) -> list[MilestoneResult]:
    """The milestones of a model by epoch.

    Args:
        milestones: values of `steering.milestones`.
        history: one mapping an epoch.
        model: whose; those without a target for it are left out.
    """
    targets = {each["epoch"]: each.get(MILESTONE_KEY[model]) for each in milestones}
    return [
        MilestoneResult(epoch, target, _value_at(history, epoch, MILESTONE_METRIC[model]))
        for epoch, target in sorted(targets.items())
        if target is not None
    ]


def _value_at(history: Sequence[Row], epoch: int, metric: str) -> float | None:
    """The newest value up to the end of `epoch`; `None` where that epoch is not finished."""
    done = [row for row in history if (row.get("epoch") or 0) <= epoch]
    if not done or (done[-1].get("epoch") or 0) < epoch:
        return None
    return next((value for row in reversed(done) if (value := row.get(metric)) is not None), None)
