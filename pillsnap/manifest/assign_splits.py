"""Which side of the split each photograph stands on: whole capture groups, so that no near-duplicate leaks."""

import numpy as np
import pandas as pd

from pillsnap.config.data import Plan
from pillsnap.manifest.photo_index import PARTS

SPLITS = ("train", "val", "test")


def held_back(photos: pd.DataFrame) -> np.ndarray:
    """Photographs whose capture group has others in a part of the source that is held out further: bool (photos,).

    A group that the source itself puts on two sides stays on the side that is held out further (test before val
    before the rest); its other photographs would leak.
    """
    part = photos["part"].to_numpy()
    level = np.where(part == PARTS.index("train"), 0, part)  # what is free may be trained on
    highest = np.zeros(int(photos["group"].max()) + 1 if len(photos) else 0, level.dtype)
    np.maximum.at(highest, photos["group"].to_numpy(), level)
    return level < highest[photos["group"].to_numpy()]


def assign_splits(photos: pd.DataFrame, settings: Plan) -> np.ndarray:
    """The side of each photograph: what the source fixes, else by whole capture groups.

    Single-pill groups are divided drug by drug, each with at least one group in training; combinations are divided
    together. A test share is held out only where the source has no test part of its own.

    Args:
        photos: of a `PhotoIndex`.
        settings: fractions.

    Returns:
        place in `SPLITS`, int8 (photos,).
    """
    part = photos["part"].to_numpy()
    split = np.maximum(part - 1, 0).astype(np.int8)
    free = part == 0
    held_out = 0.0 if (part == PARTS.index("test")).any() else settings.test_fraction
    groups = photos[free].drop_duplicates("group")[["group", "group_order", "combo", "drug"]]
    groups["pot"] = groups["drug"].where(~groups["combo"], -1)
    groups = groups.sort_values(["pot", "group_order", "group"])
    rank = groups.groupby("pot").cumcount().to_numpy()
    size = groups.groupby("pot")["group"].transform("size").to_numpy()
    n_test = _share(size, held_out)
    n_val = _share(size - n_test, settings.val_fraction)
    side_of_group = np.zeros(int(photos["group"].max()) + 1 if len(photos) else 0, np.int8)
    side_of_group[groups["group"]] = np.select([rank < n_test, rank < n_test + n_val], [2, 1], 0)
    split[free] = side_of_group[photos.loc[free, "group"]]
    return split


def _share(size: np.ndarray, fraction: float) -> np.ndarray:
    """At least one and at most all but one; none of a single group, or of fraction 0."""
    if fraction == 0:
        return size * 0
    return np.minimum(np.maximum(np.rint(size * fraction), 1), size - 1).astype(int)
