"""Progressive resize: how large the classifier's input is in an epoch."""

from pillsnap.config_training import Classifier

COARSE, FINE = 32, 8
"""Sizes are multiples of the first from 128 px on, of the second below: strides of networks."""


def picture_size(settings: Classifier, epoch: int) -> int:
    """Side in pixels of the training input in the epoch after `epoch` ones.

    Grows in equal steps from `start_size` to `image_size`, every `resize_every` epochs, and is there for at least the
    last so many before the horizon. How many epochs are asked for does not matter.
    """
    steps = settings.horizon // settings.resize_every - 1
    at = epoch // settings.resize_every
    if settings.start_size is None or at >= steps:
        return settings.image_size
    if not at:
        return settings.start_size
    exact = settings.start_size + (settings.image_size - settings.start_size) * at / steps
    grain = COARSE if exact >= 4 * COARSE else FINE
    return max(settings.start_size, min(round(exact / grain) * grain, settings.image_size))
