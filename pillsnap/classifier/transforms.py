"""What is done to a batch of crops before the network sees it."""

from collections.abc import Callable

import torch
from torch import nn
from torch.nn import functional
from torchvision.transforms import v2


def normalise(pictures: torch.Tensor, model: nn.Module) -> torch.Tensor:
    """uint8 (N, 3, S, S) to float32 by the channel means and deviations that the timm model was made for.

    Channels are last in memory.
    """
    mean, std = (torch.tensor(model.pretrained_cfg[name]) for name in ("mean", "std"))
    factor, shift = _beside(pictures, torch.stack([1 / (255 * std), -mean / std]))
    # whole rows of pixels at once: arithmetic on three neighbours at a time is slow on a CPU
    width = pictures.shape[-1]
    rows = pictures.permute(0, 2, 3, 1).flatten(2).float()
    rows = rows.mul_(factor.repeat(width)).add_(shift.repeat(width))
    return rows.unflatten(2, (width, 3)).permute(0, 3, 1, 2)


def _beside(pictures: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
    """Small tensors of the CPU on the pictures' device, without making the CPU wait for what that still computes."""
    return values.pin_memory().to(pictures.device, non_blocking=True) if pictures.is_cuda else values


def resize(pictures: torch.Tensor, size: int) -> torch.Tensor:
    """float (N, 3, S, S) to (N, 3, size, size), bilinear with anti-aliasing."""
    if pictures.shape[-1] == size:
        return pictures
    return functional.interpolate(pictures, size=(size, size), mode="bilinear", antialias=True, align_corners=False)


def augment(
    pictures: torch.Tensor,
    size: int,
    generator: torch.Generator,
    *,
    whole: int | None = None,
    taken: slice = slice(None),
) -> torch.Tensor:
    """Random views of crops: turned by any angle, moved, zoomed, lighter or darker; never mirrored.

    A mirrored imprint is another imprint, so there is no flip; colour tells drugs apart, so hue stays.

    Args:
        pictures: float (N, 3, S, S), normalised.
        size: side of the result.
        generator: source of all randomness, on the CPU.
        whole, taken: where the pictures are those `taken` of a batch of `whole` ones, all of which are drawn for.

    Returns:
        float (N, 3, size, size).
    """
    count = len(pictures)

    def uniform(low: float, high: float) -> torch.Tensor:
        return torch.rand(whole or count, generator=generator)[taken] * (high - low) + low

    angle, zoom = uniform(-torch.pi, torch.pi), uniform(0.85, 1.15)
    shift = torch.stack([uniform(-0.08, 0.08), uniform(-0.08, 0.08)], 1)
    gain, offset = uniform(0.8, 1.2), uniform(-0.15, 0.15)
    right = torch.stack([torch.cos(angle), torch.sin(angle)], 1) * zoom[:, None]
    down = torch.stack([-right[:, 1], right[:, 0]], 1)
    light = torch.stack([gain, offset], 1)
    values = _beside(pictures, torch.cat([right, down, shift, light], 1))
    moved = functional.grid_sample(pictures, _grid(values, size), padding_mode="border", align_corners=False)
    return moved.mul_(values[:, 6, None, None, None]).add_(values[:, 7, None, None, None])


def _grid(values: torch.Tensor, size: int) -> torch.Tensor:
    """Where a view's pixels come from: float (N, size, size, 2), x and y in [-1, 1] of the crop.

    `functional.affine_grid` in a fifth of its time on a CPU.

    Args:
        values: float (N, 6 or more): the steps (x, y) to the right and down, then the middle's place.
        size: side of the view.
    """
    centres = (torch.arange(size, device=values.device) * 2 + 1) / size - 1
    grid = values.new_empty(len(values), size, size, 2)
    for axis in (0, 1):
        right, down, middle = (values[:, column + axis, None] for column in (0, 2, 4))
        torch.add((middle + down * centres)[:, :, None], (right * centres)[:, None], out=grid[..., axis])
    return grid


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
