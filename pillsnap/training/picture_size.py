"""Progressive resize: how large the classifier's input is in an epoch."""

from pillsnap.config_training import Classifier


def picture_size(settings: Classifier, epoch: int) -> int:
    """Side in pixels of the training input in the epoch after `epoch` ones: from `start_size` every `resize_every`
    epochs larger by `resize_by`, up to `image_size`."""
    if settings.start_size is None:
        return settings.image_size
    return min(settings.image_size, settings.start_size + settings.resize_by * (epoch // settings.resize_every))
