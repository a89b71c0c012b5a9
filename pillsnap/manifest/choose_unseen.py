"""Choose unseen drugs, held out of all training, to measure answers on drugs that the model does not know."""

import numpy as np

from pillsnap.config.data import Plan
from pillsnap.manifest.choose_photos import first_in_queues, lacking, queue_places
from pillsnap.manifest.hash_order import hash_order
from pillsnap.manifest.photo_index import PhotoIndex, PlanError


def choose_unseen(index: PhotoIndex, split: np.ndarray, usable: np.ndarray, *, settings: Plan, seed: int) -> np.ndarray:
    """Choose the unseen drugs, the same ones in every stage.

    They are drugs that could be trained and have single-pill photographs: those in no combination first, then those in
    the fewest, since a combination that shows one cannot be used; among equals by hash order.

    Args:
        index: the source.
        split: side of each photograph, index in `SPLITS`.
        usable: photographs that a stage may choose from, bool (photos,).
        settings: number of unseen drugs.
        seed: seed of the order.

    Returns:
        index in `UNSEEN` of each drug's split, -1 for all other drugs: int8 (drugs,). The two splits alternate in hash
        order.

    Raises:
        PlanError: the source has too few drugs to hold out so many and still train 2.
    """
    unseen_split = np.full(len(index.drugs), -1, np.int8)
    if not settings.unseen_drugs:
        return unseen_split
    combo, drug = index.photos["combo"].to_numpy(), index.photos["drug"].to_numpy()
    trainable = ~lacking(index.pills_by_side(split, usable))
    alone = np.bincount(drug[~combo], minlength=len(index.drugs)) > 0
    _check_enough(settings.unseen_drugs, trainable, alone)
    combos = np.bincount(index.drug_of_pill[combo[index.photo_of_pill]], minlength=len(index.drugs))
    order = hash_order((f"unseen:{k_code}" for k_code in index.drugs), seed)
    able = np.flatnonzero(trainable & alone)
    chosen = able[np.lexsort([order[able], combos[able]])][: settings.unseen_drugs]
    unseen_split[chosen[np.argsort(order[chosen], kind="stable")]] = np.arange(len(chosen)) % 2
    return unseen_split


def _check_enough(requested: int, trainable: np.ndarray, alone: np.ndarray) -> None:
    most = max(0, min(int((trainable & alone).sum()), int(trainable.sum()) - 2))
    if requested > most:
        raise PlanError(
            f"plan.unseen_drugs is {requested}, but only {most} of the source's {len(trainable)} drugs can be held "
            "out: each needs single-pill photographs and enough to be trained, and 2 drugs must be left to train. "
            "Lower it (0: hold none out), or give the source more drugs."
        )


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
