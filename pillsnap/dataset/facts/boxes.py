"""Boxes: how large, of what shape, and where in the photograph."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from pillsnap.dataset.stage_data import DOMAINS

QUANTILES = (0.05, 0.5, 0.95)
AREA_EDGES = (0, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1)
"""Bins of a box's share of the photograph's area."""
ASPECT_EDGES = (0, 0.35, 0.5, 0.71, 0.91, 1.1, 1.41, 2, 2.83, np.inf)
"""Bins of width over height: a square's in the middle, then steps of the square root of 2."""
MAP_COLUMNS = 18
"""Cells of a heat map across; as many down as keep them square."""


@dataclass(frozen=True)
class BoxFacts:
    """The boxes of one domain.

    Attributes:
        domain: `single` or `combo`.
        boxes: their number.
        area: the share of the photograph's area at `QUANTILES`.
        aspect: width over height at `QUANTILES`.
        short_side: the shorter side in pixels of the raw photograph at `QUANTILES`.
        area_counts: boxes in the bins of `AREA_EDGES`.
        aspect_counts: boxes in the bins of `ASPECT_EDGES`.
        places: boxes over each cell of the photograph, per photograph: float (rows, `MAP_COLUMNS`), top row first.
    """

    domain: str
    boxes: int
    area: tuple[float, ...]
    aspect: tuple[float, ...]
    short_side: tuple[float, ...]
    area_counts: tuple[int, ...]
    aspect_counts: tuple[int, ...]
    places: np.ndarray


def box_facts(pills: pd.DataFrame) -> list[BoxFacts]:
    """The boxes of each domain that there is, out of manifest rows."""
    rows = max(1, round(MAP_COLUMNS * float((pills["height"] / pills["width"]).median())))
    by_domain = [(domain, pills[pills["domain"] == domain]) for domain in DOMAINS]
    return [_facts(domain, found, rows) for domain, found in by_domain if len(found)]


def _facts(domain: str, pills: pd.DataFrame, rows: int) -> BoxFacts:
    w, h = pills["w"].to_numpy(), pills["h"].to_numpy()
    area, aspect = w * h / (pills["width"] * pills["height"]).to_numpy(), w / h
    return BoxFacts(
        domain=domain,
        boxes=len(pills),
        area=_quantiles(area),
        aspect=_quantiles(aspect),
        short_side=_quantiles(np.minimum(w, h)),
        area_counts=_binned(area, AREA_EDGES),
        aspect_counts=_binned(aspect, ASPECT_EDGES),
        places=place_map(pills, columns=MAP_COLUMNS, rows=rows) / pills["image_id"].nunique(),
    )


def _quantiles(values: np.ndarray) -> tuple[float, ...]:
    return tuple(float(value) for value in np.quantile(values, QUANTILES))


def _binned(values: np.ndarray, edges: Sequence[float]) -> tuple[int, ...]:
    """Count values by bin; the lower edge belongs to it."""
    places = np.searchsorted(edges, values, side="right") - 1
    counts = np.bincount(np.clip(places, 0, len(edges) - 2), minlength=len(edges) - 1)
    return tuple(int(count) for count in counts)


def place_map(pills: pd.DataFrame, *, columns: int, rows: int) -> np.ndarray:
    """Count boxes over the middle of each cell of the photograph: int (rows, columns), top row first.

    A box that covers no cell's middle counts in the cell that holds its own.
    """
    width, height = pills["width"].to_numpy(), pills["height"].to_numpy()
    left, right = _cells(pills["x"].to_numpy() / width, pills["w"].to_numpy() / width, columns)
    top, bottom = _cells(pills["y"].to_numpy() / height, pills["h"].to_numpy() / height, rows)
    # each box as four corners of a second difference, which two cumulative sums turn into its rectangle
    corners = np.zeros((rows + 1, columns + 1), np.int64)
    for row, column, sign in ((top, left, 1), (top, right, -1), (bottom, left, -1), (bottom, right, 1)):
        np.add.at(corners, (row, column), sign)
    return corners.cumsum(axis=0).cumsum(axis=1)[:rows, :columns]


def _cells(start: np.ndarray, extent: np.ndarray, cells: int) -> tuple[np.ndarray, np.ndarray]:
    """First cell whose middle lies in the interval, and the one after the last; starts and extents are shares of 1."""
    first = np.clip(np.ceil(start * cells - 0.5).astype(int), 0, cells)
    after = np.clip(np.floor((start + extent) * cells - 0.5).astype(int) + 1, 0, cells)
    middle = np.clip(((start + extent / 2) * cells).astype(int), 0, cells - 1)
    none = after <= first
    return np.where(none, middle, first), np.where(none, middle + 1, after)
