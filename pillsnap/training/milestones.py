"""Milestones of a training: what was asked at an epoch, what was reached, ahead or behind by how much."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

Row = Mapping[str, float | None]
Model = Literal["detector", "classifier"]

MILESTONE_METRIC = {"detector": "map50", "classifier": "val_top1"}
MILESTONE_KEY = {"detector": "map50", "classifier": "top1"}


@dataclass(frozen=True)
class Reached:
    """A milestone and what the training had reached when its epoch ended.

    Attributes:
        epoch: whose end it is checked at.
        asked: fraction of 1.
        value: by the newest validation up to there; `None` where the training has not come there, or had none.
    """

    epoch: int
    asked: float
    value: float | None

    @property
    def points(self) -> float | None:
        """Percentage points ahead; below zero: behind."""
        return None if self.value is None else 100 * (self.value - self.asked)

    @property
    def verdict(self) -> str:
        """`3.1 points ahead`, `3.1 points behind`; empty where there is no value."""
        if self.points is None:
            return ""
        return f"{abs(self.points):.1f} points {'ahead' if self.points >= 0 else 'behind'}"


def milestones_reached(
    milestones: Sequence[Mapping[str, Any]], history: Sequence[Row], *, model: Model
) -> list[Reached]:
    """The milestones of a model by epoch.

    Args:
        milestones: values of `steering.milestones`.
        history: one mapping an epoch.
        model: whose; those that ask nothing of it are left out.
    """
    asked = {stone["epoch"]: stone.get(MILESTONE_KEY[model]) for stone in milestones}
    return [
        Reached(epoch, value, _value_at(history, epoch, MILESTONE_METRIC[model]))
        for epoch, value in sorted(asked.items())
        if value is not None
    ]


def _value_at(history: Sequence[Row], epoch: int, metric: str) -> float | None:
    """The newest value up to the end of `epoch`; `None` where that epoch is not done."""
    done = [row for row in history if (row.get("epoch") or 0) <= epoch]
    if not done or (done[-1].get("epoch") or 0) < epoch:
        return None
    return next((value for row in reversed(done) if (value := row.get(metric)) is not None), None)
