"""Class balance, and EDI codes of the class list."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from pillsnap.dataset.stage_data import PARTS
from pillsnap.tables.classes import DrugClass

SHOWN_CLASSES = 15
"""Drugs that are shown as the largest, and as the smallest."""


@dataclass(frozen=True)
class Codes:
    """Anomalies of EDI codes: drugs without one, drugs with several, codes that several drugs share."""

    without: tuple[DrugClass, ...]
    several: tuple[DrugClass, ...]
    shared: tuple[tuple[str, tuple[DrugClass, ...]], ...]


def gini(sizes: Sequence[float] | np.ndarray | pd.Series) -> float:
    """Gini coefficient of class sizes: 0 where all are the same, towards 1 where one class has everything.

    Half the mean absolute difference of two classes, relative to the mean: G = sum_ij |x_i - x_j| / (2 n^2 mean(x)).
    Computed from the sizes in ascending order as G = sum_i (2 i - n - 1) x_i / (n sum_i x_i), i from 1, which is the
    same without n^2 differences (C. Damgaard and J. Weiner, "Describing inequality in plant size or fecundity",
    Ecology 81 (2000), 1139-1142; after C. Gini, "Variabilità e mutabilità", 1912). No correction for small n is made:
    of n classes, one that has everything gives 1 - 1/n.

    Args:
        sizes: of the classes, none negative; empty ones count.

    Returns:
        the coefficient, 0 where there is nothing to spread.

    Raises:
        ValueError: a size is negative.
    """
    values = np.sort(np.asarray(sizes, float))
    if values.size and values[0] < 0:
        raise ValueError(f"{values[0]:g}: the size of a class cannot be negative.")
    n, total = len(values), values.sum()
    if not total:
        return 0.0
    return float(((2 * np.arange(1, n + 1) - n - 1) * values).sum() / (n * total))


def class_table(pills: pd.DataFrame, classes: Sequence[DrugClass]) -> pd.DataFrame:
    """One row a drug, by K-code in the order of the class list: name, then pills by part (`train`, `val`, `test`)."""
    counted = pills.groupby(["k_code", "split"]).size().unstack(fill_value=0)
    counted = counted.reindex(index=[drug.k_code for drug in classes], columns=list(PARTS), fill_value=0)
    counted.insert(0, "name", [drug.name for drug in classes])
    return counted


def extremes(table: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Rows of `class_table` with the most training pills, and with the fewest, beginning with these; none is in both.

    Equal ones are in the order of K-codes.
    """
    ordered = table.sort_index().sort_values("train", ascending=False, kind="stable")
    largest = min(SHOWN_CLASSES, (len(table) + 1) // 2)
    rest = ordered.iloc[largest:].sort_index().sort_values("train", kind="stable")
    return ordered.iloc[:largest], rest.iloc[:SHOWN_CLASSES]


def codes_of(classes: Sequence[DrugClass]) -> Codes:
    """Find the anomalies of the class list's EDI codes."""
    holders: dict[str, list[DrugClass]] = defaultdict(list)
    for drug in classes:
        for code in dict.fromkeys(drug.edi_codes):
            holders[code].append(drug)
    return Codes(
        without=tuple(drug for drug in classes if not drug.edi_codes),
        several=tuple(drug for drug in classes if len(drug.edi_codes) > 1),
        shared=tuple((code, tuple(drugs)) for code, drugs in sorted(holders.items()) if len(drugs) > 1),
    )
