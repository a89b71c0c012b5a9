"""Assign whole capture groups to the sides of the split, so that no near-duplicate leaks."""

import numpy as np
import pandas as pd

from pillsnap.config.data import Plan
from pillsnap.manifest.photo_index import PARTS

SPLITS = ("train", "val", "test")


def group_held_out(photos: pd.DataFrame) -> np.ndarray:
    """Find photographs whose capture group has others in a part of the source that is held out further: bool (photos,).

    Of a group that the source itself puts on two sides, the photographs on the side that is held out further (test
    before val before the rest) are used; the others would leak.
    """
    part = photos["part"].to_numpy()
    level = np.where(part == PARTS.index("train"), 0, part)  # photographs without a part may be trained on
    highest = np.zeros(int(photos["group"].max()) + 1 if len(photos) else 0, level.dtype)
    np.maximum.at(highest, photos["group"].to_numpy(), level)
    return level < highest[photos["group"].to_numpy()]


def assign_splits(photos: pd.DataFrame, settings: Plan) -> np.ndarray:
    """Assign a side to each photograph: the source's own part, else by whole capture groups.

    Single-pill groups are divided drug by drug, each with at least one group in training; combinations are divided
    together. A test or validation share is held out only where the source has no such part of its own.

    Args:
        photos: of a `PhotoIndex`.
        settings: fractions.

    Returns:
        index in `SPLITS`, int8 (photos,).
    """
    part = photos["part"].to_numpy()
    split = np.maximum(part - 1, 0).astype(np.int8)
    free = part == 0
    test, val = (
        0.0 if (part == PARTS.index(name)).any() else fraction
        for name, fraction in (("test", settings.test_fraction), ("val", settings.val_fraction))
    )
    groups = photos[free].drop_duplicates("group")[["group", "group_order", "combo", "drug"]]
    groups["stratum"] = groups["drug"].where(~groups["combo"], -1)
    groups = groups.sort_values(["stratum", "group_order", "group"])
    rank = groups.groupby("stratum").cumcount().to_numpy()
    size = groups.groupby("stratum")["group"].transform("size").to_numpy()
    n_test = _share(size, test)
    n_val = _share(size - n_test, val)
    side_of_group = np.zeros(int(photos["group"].max()) + 1 if len(photos) else 0, np.int8)
    side_of_group[groups["group"]] = np.select([rank < n_test, rank < n_test + n_val], [2, 1], 0)
    split[free] = side_of_group[photos.loc[free, "group"]]
    return split


def _share(size: np.ndarray, fraction: float) -> np.ndarray:
    """Number of groups held out: at least one and at most all but one; 0 of a single group, or where fraction is 0."""
    if fraction == 0:
        return size * 0
    return np.minimum(np.maximum(np.rint(size * fraction), 1), size - 1).astype(int)
