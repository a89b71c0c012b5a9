"""Assign whole capture groups to the sides of the split, so that no near-duplicate leaks."""

import numpy as np
import pandas as pd

from pillsnap.config.data import Plan
from pillsnap.manifest.photo_index import PhotoIndex
from pillsnap.manifest.stratify import GroupDrugs, mend, stratify
from pillsnap.tables.schemas import PARTS

SPLITS = ("train", "val", "test")
FEWEST = (2, 1, 1)
"""Pills on each side that the split gives a drug where it can; a drug that lacks the first two cannot be trained."""


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


def split_sources(index: PhotoIndex, usable: np.ndarray, settings: Plan) -> np.ndarray:
    """Assign a side to each photograph, source by source: one without a test part has some of its own held out.

    A capture group that several sources have is where the first of them has it. Arguments and result are those of
    `assign_splits`.
    """
    photos = index.photos
    split = np.zeros(len(photos), np.int8)
    for source in photos["source"].unique():
        own = (photos["source"] == source).to_numpy()
        split[own] = assign_splits(index.of_photos(own), usable[own], settings)
    free = (photos["part"] == 0).to_numpy()
    split[free] = pd.Series(split[free]).groupby(photos.loc[free, "group"].to_numpy()).transform("first")
    return split


def assign_splits(index: PhotoIndex, usable: np.ndarray, settings: Plan) -> np.ndarray:
    """Assign a side to each photograph: the source's own part, else by whole capture groups.

    Single-pill groups are divided drug by drug, each with at least one group in training. Combinations are divided in
    hash order; where that could leave a drug without a pill on a side, those that show such drugs by iterative
    stratification. A drug that still lacks a side gets one of its groups from another side, where no other drug needs
    it there. A test or validation share is held out only where the source has no such part of its own.

    Args:
        index: the source.
        usable: photographs that a stage may choose from, bool (photos,).
        settings: fractions.

    Returns:
        index in `SPLITS`, int8 (photos,).
    """
    photos = index.photos
    part = photos["part"].to_numpy()
    split = np.maximum(part - 1, 0).astype(np.int8)
    free = part == 0
    test, val = (
        0.0 if (part == PARTS.index(name)).any() else fraction
        for name, fraction in (("test", settings.test_fraction), ("val", settings.val_fraction))
    )
    groups = photos[free].drop_duplicates("group")[["group", "group_order", "combo", "drug"]]
    groups["stratum"] = groups["drug"].where(~groups["combo"], -1)
    groups = groups.sort_values(["stratum", "group_order", "group"])  # combinations come first
    rank = groups.groupby("stratum").cumcount().to_numpy()
    size = groups.groupby("stratum")["group"].transform("size").to_numpy()
    n_test = _share(size, test)
    n_val = _share(size - n_test, val)
    combos = int(groups["combo"].sum())
    side = np.select([rank < n_test, rank < n_test + n_val], [2, 1], 0)
    shown = _drugs_of(index, groups["group"].to_numpy(), free & usable)
    fixed = index.pills_by_side(split, ~free & usable)
    sides = [0, *(code for code, fraction in ((1, val), (2, test)) if fraction)]
    ratio = np.array([(1 - test) * (1 - val), (1 - test) * val, test])
    quota = np.array([combos - n_test[0] - n_val[0], n_val[0], n_test[0]]) if combos else np.zeros(3)
    side = _divide_combos(shown, side, combos, fixed, ratio=ratio, quota=quota, sides=sides)
    side = mend(shown, side, fixed, fewest=FEWEST, sides=sides)
    side_of_group = np.zeros(int(photos["group"].max()) + 1 if len(photos) else 0, np.int8)
    side_of_group[groups["group"]] = side
    split[free] = side_of_group[photos.loc[free, "group"]]
    return split


def _share(size: np.ndarray, fraction: float) -> np.ndarray:
    """Number of groups held out: at least one and at most all but one; 0 of a single group, or where fraction is 0."""
    if fraction == 0:
        return size * 0
    return np.minimum(np.maximum(np.rint(size * fraction), 1), size - 1).astype(int)


def _drugs_of(index: PhotoIndex, groups: np.ndarray, photos: np.ndarray) -> GroupDrugs:
    """Count the labels of each drug in each group, over the photographs of a mask; groups are numbered as given."""
    place = np.zeros(int(index.photos["group"].max()) + 1 if len(index.photos) else 0, np.int64)
    place[groups] = np.arange(len(groups))
    counted = photos[index.photo_of_pill]
    group = place[index.photos["group"].to_numpy()[index.photo_of_pill[counted]]]
    key, pills = np.unique(group * len(index.drugs) + index.drug_of_pill[counted], return_counts=True)
    return GroupDrugs(*np.divmod(key, len(index.drugs)), pills)


def _divide_combos(
    shown: GroupDrugs,
    side: np.ndarray,
    combos: int,
    fixed: np.ndarray,
    *,
    ratio: np.ndarray,
    quota: np.ndarray,
    sides: list[int],
) -> np.ndarray:
    """Divide the first `combos` groups anew by the drugs that have no pill on a side without them, if there are any."""
    without = np.where(np.arange(len(side)) < combos, -1, side)
    lacking = (fixed + shown.by_side(without, len(fixed)) < FEWEST)[:, sides].any(axis=1)
    wanted = shown.by_side(side, len(fixed), groups=True).sum(axis=1)[:, None] * ratio
    wanted -= shown.by_side(without, len(fixed), groups=True)
    return stratify(shown.rows(lacking[shown.drug]), without, wanted, quota, sides)
