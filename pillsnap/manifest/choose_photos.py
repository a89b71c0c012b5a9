"""Choose a stage's drugs and photographs: up to its budget, balanced over drugs, spread over views, deterministic."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from pillsnap.config.data import Plan, Stage
from pillsnap.manifest.assign_splits import FEWEST, SPLITS
from pillsnap.manifest.hash_order import hash_order
from pillsnap.manifest.photo_index import PARTS, PhotoIndex, PlanError


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

    @property
    def dropped(self) -> np.ndarray:
        """Drugs that cannot be trained: beside pills of the stage's drugs theirs keep their boxes, bool (drugs,)."""
        return self.too_small | self.test_only

    chosen: np.ndarray
    drugs: np.ndarray
    too_small: np.ndarray
    test_only: np.ndarray
    pills: np.ndarray


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
