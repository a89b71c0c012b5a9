"""Choose a stage's drugs and photographs: up to its budget, balanced over drugs, spread over views, deterministic."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from pillsnap.config.data import Plan, Stage
from pillsnap.manifest.assign_splits import FEWEST, SPLITS
from pillsnap.manifest.hash_order import hash_order
from pillsnap.manifest.photo_index import PhotoIndex, PlanError
from pillsnap.tables.files import check_table
from pillsnap.tables.schemas import ISSUES, PARTS, PLANNED_BACKGROUNDS


@dataclass(frozen=True)
class Choice:
    """A stage's drugs and photographs.

    Attributes:
        chosen: the photographs, bool (photos,).
        drugs: the stage's drugs, bool (drugs,).
        too_small: drugs that lack training or validation pills, in the source or within the budget, bool (drugs,).
        test_only: drugs that the source has in its test part only, bool (drugs,).
        pills: labels of each drug on each side before the budget, int (drugs, 3).
    """

    chosen: np.ndarray
    drugs: np.ndarray
    too_small: np.ndarray
    test_only: np.ndarray
    pills: np.ndarray

    @property
    def dropped(self) -> np.ndarray:
        """Drugs that cannot be trained: beside pills of the stage's drugs theirs keep their boxes, bool (drugs,)."""
        return self.too_small | self.test_only


def choose_photos(
    index: PhotoIndex, split: np.ndarray, usable: np.ndarray, *, stage: Stage, settings: Plan, seed: int
) -> Choice:
    """Choose drugs in hash order, then photographs that show them, and beside them only drugs that cannot be trained.

    Each drug must have 2 training pills and 1 validation pill among the chosen photographs. Where a budget leaves some
    short, the later half of them in hash order is dropped and the choice repeated, so that the other drugs have enough.

    Args:
        index: the source.
        split: side of each photograph, index in `SPLITS`.
        usable: photographs to choose from, bool (photos,), none of an unseen drug.
        stage: budget of photographs and drugs.
        settings: shares of the budget.
        seed: seed of the order.

    Raises:
        PlanError: fewer than two drugs can be trained and validated, or not the one that the source has.
    """
    pills = index.pills_by_side(split, usable)
    own_test_part = bool((index.photos["part"] == PARTS.index("test")).any())
    test_only = (pills[:, :2].sum(axis=1) == 0) & (pills[:, 2] > 0) & own_test_part
    too_small = lacking(pills) & (pills.sum(axis=1) > 0) & ~test_only
    order = np.argsort(hash_order(index.drugs, seed), kind="stable")
    queue = queue_places(index.photos, split)
    while True:
        drugs = _first(order, lacking(pills) | too_small, stage.classes)
        if drugs.sum() < min(2, len(drugs)):
            raise PlanError(
                f"Only {drugs.sum()} of {len(drugs)} drugs have 2 training pills and 1 validation pill; at least "
                f"{min(2, len(drugs))} needed. Give the source more photographs of each drug, or the stage a larger "
                "budget; where AIHub's own parts share capture groups, see plan.shared_groups; or lower "
                "plan.unseen_drugs."
            )
        inside = np.flatnonzero(usable & index.shows(drugs) & ~index.shows(~drugs & ~too_small & ~test_only))
        chosen = np.zeros(len(usable), bool)
        chosen[_within_budget(index.photos, split, queue, inside, stage.images, settings)] = True
        short = order[(drugs & lacking(index.pills_by_side(split, chosen)))[order]]
        if not len(short):
            return Choice(chosen, drugs, too_small, test_only, pills)
        too_small[short[len(short) // 2 :]] = True


def lacking(pills: np.ndarray) -> np.ndarray:
    """Find drugs that cannot be trained and validated: bool (drugs,), from their labels on each side, (drugs, 3)."""
    return (pills[:, 0] < FEWEST[0]) | (pills[:, 1] < FEWEST[1])


def _first(order: np.ndarray, left_out: np.ndarray, budget: int) -> np.ndarray:
    """Return a mask of the first `budget` drugs of an order."""
    drugs = np.zeros(len(order), bool)
    drugs[order[~left_out[order]][:budget]] = True
    return drugs


def queue_places(photos: pd.DataFrame, split: np.ndarray) -> np.ndarray:
    """Return each photograph's position in its queue, int (photos,): on each side, combos have one queue, by group;
    singles one for each drug, in which every capture group gives one photograph before any gives a second."""
    combo, drug, group, group_order, order = (
        photos[name].to_numpy() for name in ("combo", "drug", "group", "group_order", "order")
    )
    queue = split.astype(np.int64) * (drug.max(initial=0) + 2) + np.where(combo, 0, drug + 1)
    by_group = np.lexsort([order, group])
    turn = np.empty(len(photos), np.int64)
    turn[by_group] = _count_within(group[by_group])
    turn[combo] = 0
    queued = np.lexsort([order, group_order, queue * (turn.max(initial=0) + 1) + turn])
    positions = np.empty(len(photos), np.int64)
    positions[queued] = _count_within(queue[queued])
    return positions


def _count_within(sorted_keys: np.ndarray) -> np.ndarray:
    """Count 0, 1, 2, … within each run of equal keys."""
    starts = np.flatnonzero(np.append(True, sorted_keys[1:] != sorted_keys[:-1])[: len(sorted_keys)])
    lengths = np.diff(np.append(starts, len(sorted_keys)))
    return np.arange(len(sorted_keys)) - np.repeat(starts, lengths)


def _within_budget(
    photos: pd.DataFrame, split: np.ndarray, queue: np.ndarray, inside: np.ndarray, budget: int, settings: Plan
) -> np.ndarray:
    """Return those of the photographs `inside` (indices) that fit: a quota for each side, combos up to their share."""
    if len(inside) <= budget:
        return inside
    shares = {"test": settings.test_fraction}
    shares["val"] = (1 - shares["test"]) * settings.val_fraction
    shares["train"] = 1 - shares["test"] - shares["val"]
    sides = {name: inside[split[inside] == code] for code, name in enumerate(SPLITS)}
    quota = {name: min(int(budget * share), len(sides[name])) for name, share in shares.items()}
    quota["train"] = min(budget - quota["val"] - quota["test"], len(sides["train"]))
    combo, order = photos["combo"].to_numpy(), photos["order"].to_numpy()
    taken = []
    for name, side in sides.items():
        combos, singles = side[combo[side]], side[~combo[side]]
        n_combos = min(len(combos), max(int(quota[name] * settings.combo_fraction), quota[name] - len(singles)))
        taken.append(combos[np.argsort(queue[combos])][:n_combos])
        taken.append(first_in_queues(singles, queue, order, quota[name] - n_combos))
    return np.concatenate(taken)


def first_in_queues(photos: np.ndarray, queue: np.ndarray, order: np.ndarray, count: int) -> np.ndarray:
    """Return the first `count` photographs (indices) of all queues together, round by round.

    Args:
        photos: indices of the photographs to choose from.
        queue: `queue_places`.
        order: hash order, which decides within the last round.
        count: how many.
    """
    rounds = queue[photos]
    waiting = np.append(0, np.cumsum(np.bincount(rounds)))
    last = int(np.searchsorted(waiting, count, side="right")) - 1
    partly = photos[rounds == last]
    rest = partly[np.argsort(order[partly], kind="stable")][: count - waiting[last]]
    return np.concatenate([photos[rounds < last], rest])


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
