"""Confidence intervals of shares."""

from collections.abc import Mapping
from typing import Any

from scipy.stats import binomtest

from pillsnap.pages.formats import MISSING, SPACE, figure, percent


def top1_interval(accuracy: Mapping[str, Any]) -> tuple[float, float] | None:
    """95 % Wilson score interval of the classifier's top-1, pills taken as independent; `None` without pills."""
    pills, top1 = (figure(accuracy, f"classifier.{name}") for name in ("pills", "top1"))
    return wilson(top1, pills)


def wilson(share: float | None, pills: float | None) -> tuple[float, float] | None:
    """95 % Wilson score interval of a share of so many pills; `None` where there is none."""
    if not pills or share is None:
        return None
    found = binomtest(round(share * pills), int(pills)).proportion_ci(method="wilson")
    return float(found.low), float(found.high)


def interval(share: float | None, pills: float | None, digits: int = 1) -> str:
    """The 95 % Wilson interval in words, such as `98.2 – 99.7 %`."""
    found = wilson(share, pills)
    if found is None:
        return MISSING
    low, high = (percent(value, digits) for value in found)
    return f"{low.split(SPACE)[0]}\u2009–\u2009{high}"
