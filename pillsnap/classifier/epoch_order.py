"""Order of an epoch's pills: a function of seed and epoch alone, so that a checkpoint stores only its step."""

from typing import TYPE_CHECKING

import numpy as np

from pillsnap.config.training import Classifier

if TYPE_CHECKING:  # it brings pandas and pandera, which a check of the GPU does without
    from pillsnap.crops.dataset import Item


def epoch_order(
    targets: np.ndarray, batch: int, *, balance: float, smallest: int, seed: int, epoch: int
) -> "list[list[Item]]":
    """Batches of an epoch.

    Args:
        targets: int (pills,), class of each pill.
        batch: pills of a batch.
        balance: 0: each pill once; 1: all classes equally often, as many pills in all; between: a class of n pills as
            often as n to the power of 1 - balance.
        smallest: a smaller last batch is dropped, unless it is the only one.
        seed: seed.
        epoch: finished epochs.
    """
    generator = np.random.default_rng([seed, epoch])
    pills = generator.permutation(_sampled(targets, balance, generator))
    items = list(zip(pills.tolist(), generator.random(len(pills)).tolist(), strict=True))
    starts = range(0, len(items), batch)
    return [items[start : start + batch] for start in starts if not start or len(items) - start >= smallest]


def _sampled(targets: np.ndarray, balance: float, generator: np.random.Generator) -> np.ndarray:
    """Sample as many pills as there are, class by class."""
    counts = np.bincount(targets)
    counts = counts[counts > 0]
    members = np.split(np.argsort(targets, kind="stable"), np.cumsum(counts)[:-1])
    weights = counts ** (1.0 - balance)
    # a random start rounds each class's number up or down so that it is right in the mean of all epochs
    ends = np.round(len(targets) * np.cumsum(weights) / weights.sum(), 6) + generator.random()
    samples = np.diff(np.floor(ends).astype(int), prepend=0)
    return np.concatenate(
        [_sample_of_class(pills, count, generator) for pills, count in zip(members, samples, strict=True)]
    )


def _sample_of_class(pills: np.ndarray, count: int, generator: np.random.Generator) -> np.ndarray:
    """Sample `count` of the pills, each as often as another, or once more."""
    return np.concatenate([np.repeat(pills, count // len(pills)), generator.permutation(pills)[: count % len(pills)]])


def picture_size(settings: Classifier, epoch: int) -> int:
    """Side in pixels of the training input in the epoch after `epoch` ones.

    It grows from `start_size` to `image_size`, by `resize_by` every `resize_every` epochs, whatever number of epochs
    is requested.
    """
    if settings.start_size is None:
        return settings.image_size
    return min(settings.image_size, settings.start_size + epoch // settings.resize_every * settings.resize_by)
