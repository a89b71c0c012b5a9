"""Progressive resize: how large the classifier's input is in an epoch."""

from pillsnap.config.training import Classifier


def picture_size(settings: Classifier, epoch: int) -> int:
    """Side in pixels of the training input in the epoch after `epoch` ones.

    It grows from `start_size` to `image_size`, by `resize_by` every `resize_every` epochs. How many epochs are asked
    for does not matter.
    """
    if settings.start_size is None:
        return settings.image_size
    return min(settings.image_size, settings.start_size + epoch // settings.resize_every * settings.resize_by)
