"""Mix-up and cut-mix: each picture of a batch gets a share of the one before it, and as large a share of its class."""

from collections.abc import Callable

import torch
from torchvision.transforms import v2

Mixer = Callable[[torch.Tensor, torch.Tensor], tuple[torch.Tensor, torch.Tensor]]


def mixer(*, mixup: float, cutmix: float, n_classes: int) -> Mixer | None:
    """What mixes a batch, by torch's global random numbers; `None` where both are 0.

    Args:
        mixup, cutmix: alpha of the share's beta distribution; 0: none. Where both are given, each batch gets one of
            them, by chance.
        n_classes: number of classes.

    Returns:
        function of pictures, float (N, 3, S, S), and classes, int64 (N,), that gives pictures of the same shape and the
        classes' shares, float32 (N, classes); each row's sum is 1.
    """
    chosen = [
        kind(alpha=alpha, num_classes=n_classes) for kind, alpha in ((v2.MixUp, mixup), (v2.CutMix, cutmix)) if alpha
    ]
    return v2.RandomChoice(chosen) if chosen else None
