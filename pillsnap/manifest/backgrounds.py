"""Backgrounds of a stage: photographs without a pill, which teach the detector what is none."""

import numpy as np
import pandas as pd

from pillsnap.config.data import Plan
from pillsnap.manifest.assign_splits import SPLITS
from pillsnap.manifest.hash_order import hash_order
from pillsnap.manifest.photo_index import PARTS, PhotoIndex
from pillsnap.tables.files import check_table
from pillsnap.tables.schemas import ISSUES, PLANNED_BACKGROUNDS


def plan_backgrounds(
    backgrounds: pd.DataFrame, index: PhotoIndex, split: np.ndarray, chosen: np.ndarray, *, settings: Plan, seed: int
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Assign backgrounds to the sides of the split, by whole capture groups.

    One that shares its group with photographs of pills, as an augmented copy may, goes to their side; the source's own
    part is respected. They count towards no budget; each side takes at most as many as photographs with pills, in hash
    order, so that they never outnumber these.

    Args:
        backgrounds: schema `BACKGROUNDS`, of all archives.
        index: the source's photographs with pills.
        split: side of each of these, index in `SPLITS`.
        chosen: those of the stage, bool (photos,).
        settings: fractions of the split, and what happens to groups that the source has on two sides.
        seed: seed of every choice.

    Returns:
        the planned backgrounds, schema `PLANNED_BACKGROUNDS`, and issues (schema `ISSUES`) of the others, all skipped.
    """
    sides = np.array(SPLITS, dtype=object)
    own = backgrounds["part"].map({"train": 0, "val": 1, "test": 2}).astype(float)
    of_photos = pd.Series(split, index=np.array(index.groups, dtype=object)[index.photos["group"]])
    with_pills = backgrounds["group"].map(of_photos.groupby(level=0).max()).astype(float)
    furthest = own.groupby(backgrounds["group"]).transform("max")
    side = with_pills.fillna(furthest).fillna(_by_hash(backgrounds["group"], index, settings, seed)).astype(int)
    if settings.shared_groups == "keep":
        side = own.fillna(side).astype(int)
    conditions = [own < side, own > side, _beyond_limit(backgrounds["image_id"], side, own, split[chosen], seed)]
    reasons = ["group_held_out", "group_on_other_side", "background_over_limit"]
    reason = np.select(conditions, reasons, "")
    planned = backgrounds.assign(split=sides[side])[reason == ""]
    lost = backgrounds.assign(label_member="", outcome="skipped", reason=reason, detail="")[reason != ""]
    return (
        check_table(planned.reset_index(drop=True), PLANNED_BACKGROUNDS, "planned backgrounds"),
        check_table(lost[list(ISSUES.columns)].reset_index(drop=True), ISSUES, "backgrounds that are not used"),
    )


def _beyond_limit(
    image_ids: pd.Series, side: pd.Series, own: pd.Series, with_pills: np.ndarray, seed: int
) -> np.ndarray:
    """Find those that a side has no room for, bool (backgrounds,); `with_pills` are the sides of its photographs."""
    beyond = np.zeros(len(image_ids), bool)
    usable, order = (own.isna() | (own == side)).to_numpy(), hash_order(image_ids, seed)
    for number, limit in enumerate(np.bincount(with_pills, minlength=len(SPLITS))):
        places = np.flatnonzero(usable & (side == number).to_numpy())
        beyond[places[np.argsort(order[places], kind="stable")][limit:]] = True
    return beyond


def _by_hash(groups: pd.Series, index: PhotoIndex, settings: Plan, seed: int) -> pd.Series:
    """Return a side for each group: fractions are held out of a source without such parts, as of its photographs."""
    parts = set(index.photos["part"])
    test, val = (
        0.0 if PARTS.index(name) in parts else fraction
        for name, fraction in (("test", settings.test_fraction), ("val", settings.val_fraction))
    )
    place = hash_order(groups, seed) / 2.0**64
    return pd.Series(np.select([place < test, place < test + (1 - test) * val], [2, 1], 0), index=groups.index)
