"""Drugs that a stage keeps out of everything, to measure how answers treat a drug that the model never saw."""

import numpy as np

from pillsnap.config.data import Plan
from pillsnap.manifest.choose_photos import PlanError, first_in_queues, lacking, queue_places
from pillsnap.manifest.hash_order import hash_order
from pillsnap.manifest.photo_index import PhotoIndex


def choose_unseen(index: PhotoIndex, split: np.ndarray, usable: np.ndarray, *, settings: Plan, seed: int) -> np.ndarray:
    """Choose the drugs that are never seen, the same ones in every stage.

    They are drugs that could be trained and have single-pill photographs: those in no combination first, then those in
    the fewest, since a combination that shows one is lost; among equals by a hash order.

    Args:
        index: the source.
        split: side of each photograph, place in `SPLITS`.
        usable: photographs that a stage may choose from, bool (photos,).
        settings: how many.
        seed: seed of the order.

    Returns:
        place of each drug's half in `UNSEEN`, -1 for all other drugs: int8 (drugs,). The halves take turns in the hash
        order.

    Raises:
        PlanError: the source has too few drugs to hold out so many and still train 2.
    """
    half = np.full(len(index.drugs), -1, np.int8)
    if not settings.unseen_drugs:
        return half
    combo, drug = index.photos["combo"].to_numpy(), index.photos["drug"].to_numpy()
    trainable = ~lacking(index.pills_by_side(split, usable))
    alone = np.bincount(drug[~combo], minlength=len(half)) > 0
    _check_enough(settings.unseen_drugs, trainable, alone)
    combos = np.bincount(index.drug_of_pill[combo[index.photo_of_pill]], minlength=len(half))
    order = hash_order((f"unseen:{k_code}" for k_code in index.drugs), seed)
    able = np.flatnonzero(trainable & alone)
    chosen = able[np.lexsort([order[able], combos[able]])][: settings.unseen_drugs]
    half[chosen[np.argsort(order[chosen], kind="stable")]] = np.arange(len(chosen)) % 2
    return half


def _check_enough(asked: int, trainable: np.ndarray, alone: np.ndarray) -> None:
    most = max(0, min(int((trainable & alone).sum()), int(trainable.sum()) - 2))
    if asked > most:
        raise PlanError(
            f"plan.unseen_drugs is {asked}, but only {most} of the source's {len(trainable)} drugs can be held out: "
            "each needs single-pill photographs and enough to be trained, and 2 drugs must be left to train. Lower it "
            "(0: hold none out), or give the source more drugs."
        )


def choose_unseen_photos(index: PhotoIndex, half: np.ndarray, count: int) -> np.ndarray:
    """The first single-pill photographs of the drugs that are never seen, wherever the source has them.

    Every drug has one queue, in which each capture group sends one photograph before any sends a second.

    Args:
        index: the source.
        half: of `choose_unseen`.
        count: photographs at most.

    Returns:
        bool (photos,).
    """
    photos = index.photos
    places = np.flatnonzero(~photos["combo"].to_numpy() & (half[photos["drug"].to_numpy()] >= 0))
    taken = np.zeros(len(photos), bool)
    if len(places) > count:
        one_side = np.zeros(len(photos), np.int8)
        places = first_in_queues(places, queue_places(photos, one_side), photos["order"].to_numpy(), count)
    taken[places] = True
    return taken
