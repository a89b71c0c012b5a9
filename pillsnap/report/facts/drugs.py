"""Drugs that the classifier takes for others."""

from collections.abc import Mapping, Sequence
from typing import Any

from pillsnap.pages.formats import count, percent
from pillsnap.pages.table import Table, code, name, number
from pillsnap.report.facts.intervals import interval

WORST_DRUGS = 15


def worst_drugs_table(by_drug: Sequence[Mapping[str, Any]]) -> Table:
    """The drugs with the lowest top-1 of those that are not always right; `by_drug` is that of `accuracy.json`."""
    wrong = [drug for drug in worst_first(by_drug) if drug["top1"] < 1]
    return Table(
        "Drugs that are named wrong most often",
        (code("K-code"), name("Drug"), number("Test pills"), number("Top-1"), number("95 % interval")),
        [accuracy_cells(drug, digits=0) for drug in wrong[:WORST_DRUGS]],
    )


def worst_first(by_drug: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The drugs by their top-1, lowest first; of equal ones those with most test pills first."""
    return sorted(by_drug, key=lambda drug: (drug["top1"], -drug["pills"], drug["k_code"]))


def accuracy_cells(drug: Mapping[str, Any], digits: int = 1) -> list[str]:
    """K-code, name, test pills, top-1 and its interval, the latter with `digits` after the point."""
    top1, pills = drug["top1"], drug["pills"]
    return [drug["k_code"], drug["name"], count(pills), percent(top1), interval(top1, pills, digits)]
