"""Choose unseen drugs, held out of all training, to measure answers on drugs that the model does not know."""

import math

import numpy as np

from pillsnap.config.data import Plan
from pillsnap.manifest.choose_photos import first_in_queues, lacking, queue_places
from pillsnap.manifest.hash_order import hash_order
from pillsnap.manifest.photo_index import PhotoIndex


def choose_unseen(
    index: PhotoIndex, split: np.ndarray, usable: np.ndarray, *, settings: Plan, seed: int
) -> tuple[np.ndarray, str]:
    """Choose the unseen drugs, the same ones in every stage.

    They are drugs that could be trained and have single-pill photographs: those in no combination first, then those in
    the fewest, since a combination that shows one cannot be used; among equals by hash order. They are at most
    `settings.unseen_share` of the drugs that can be trained; 2 are always left to train, and 1 alone is not held out.

    Args:
        index: the source.
        split: side of each photograph, index in `SPLITS`.
        usable: photographs that a stage may choose from, bool (photos,).
        settings: number of unseen drugs, and their largest share.
        seed: seed of the order.

    Returns:
        index in `UNSEEN` of each drug's split, -1 for all other drugs: int8 (drugs,), the two splits alternating in
        hash order; and why they are fewer than `settings.unseen_drugs`, empty where they are not.
    """
    unseen_split = np.full(len(index.drugs), -1, np.int8)
    combo, drug = index.photos["combo"].to_numpy(), index.photos["drug"].to_numpy()
    trainable = ~lacking(index.pills_by_side(split, usable))
    alone = np.bincount(drug[~combo], minlength=len(index.drugs)) > 0
    count, limit = _count(settings, int(trainable.sum()), int((trainable & alone).sum()))
    combos = np.bincount(index.drug_of_pill[combo[index.photo_of_pill]], minlength=len(index.drugs))
    order = hash_order((f"unseen:{k_code}" for k_code in index.drugs), seed)
    able = np.flatnonzero(trainable & alone)
    chosen = able[np.lexsort([order[able], combos[able]])][:count]
    unseen_split[chosen[np.argsort(order[chosen], kind="stable")]] = np.arange(len(chosen)) % 2
    return unseen_split, limit


def _count(settings: Plan, trainable: int, alone: int) -> tuple[int, str]:
    """Return the number of unseen drugs, and what limits it; `alone` are trainable and have single-pill photographs."""
    share = settings.unseen_share
    limits = {
        f"plan.unseen_share is {share:g} of {trainable} trainable drugs": math.floor(share * trainable + 1e-9),
        f"2 of {trainable} trainable drugs must be left": max(0, trainable - 2),
        f"{alone} trainable drugs have single-pill photographs": alone,
    }
    limit = min(limits, key=limits.__getitem__)
    if settings.unseen_drugs <= limits[limit]:
        return settings.unseen_drugs, ""
    return limits[limit] if limits[limit] > 1 else 0, limit


def choose_unseen_photos(index: PhotoIndex, unseen_split: np.ndarray, count: int) -> np.ndarray:
    """Choose single-pill photographs of the unseen drugs, from any part of the source.

    Every drug has one queue, in which each capture group gives one photograph before any gives a second.

    Args:
        index: the source.
        unseen_split: of `choose_unseen`.
        count: maximum number of photographs.

    Returns:
        bool (photos,).
    """
    photos = index.photos
    single = ~photos["combo"].to_numpy() & ~photos["corrected"].to_numpy()
    candidates = np.flatnonzero(single & (unseen_split[photos["drug"].to_numpy()] >= 0))
    taken = np.zeros(len(photos), bool)
    if len(candidates) > count:
        one_side = np.zeros(len(photos), np.int8)
        candidates = first_in_queues(candidates, queue_places(photos, one_side), photos["order"].to_numpy(), count)
    taken[candidates] = True
    return taken
