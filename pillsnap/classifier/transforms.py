"""Transforms of a batch of crops on the device: normalisation, resize, augmentation, mix-up and cut-mix."""

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
    factor, shift = _to_device_of(pictures, torch.stack([1 / (255 * std), -mean / std]))
    # whole rows of pixels at once: arithmetic on three neighbours at a time is slow on a CPU
    width = pictures.shape[-1]
    rows = pictures.permute(0, 2, 3, 1).flatten(2).float()
    rows = rows.mul_(factor.repeat(width)).add_(shift.repeat(width))
    return rows.unflatten(2, (width, 3)).permute(0, 3, 1, 2)


def _to_device_of(pictures: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
    """Copy a small CPU tensor to the pictures' device without synchronising with it."""
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
    global_batch_size: int | None = None,
    shard: slice = slice(None),
) -> torch.Tensor:
    """Random views of crops: rotated by any angle, translated, scaled, lighter or darker; never flipped.

    A mirrored imprint is another imprint, so there is no flip; colour tells drugs apart, so hue stays.

    Args:
        pictures: float (N, 3, S, S), normalised.
        size: side of the result.
        generator: source of all randomness, on the CPU.
        global_batch_size, shard: where the pictures are a shard of a larger batch; numbers are drawn for all of it.

    Returns:
        float (N, 3, size, size).
    """
    return apply_views(pictures, size, draw_views(global_batch_size or len(pictures), generator)[shard])


def draw_views(count: int, generator: torch.Generator) -> torch.Tensor:
    """Draw the views of `augment`: float (count, 8), the steps (x, y) to the right and down, the middle's place, then
    gain and offset of the light."""

    def uniform(low: float, high: float) -> torch.Tensor:
        return torch.rand(count, generator=generator) * (high - low) + low

    angle, zoom = uniform(-torch.pi, torch.pi), uniform(0.85, 1.15)
    shift = torch.stack([uniform(-0.08, 0.08), uniform(-0.08, 0.08)], 1)
    gain, offset = uniform(0.8, 1.2), uniform(-0.15, 0.15)
    right = torch.stack([torch.cos(angle), torch.sin(angle)], 1) * zoom[:, None]
    down = torch.stack([-right[:, 1], right[:, 0]], 1)
    return torch.cat([right, down, shift, torch.stack([gain, offset], 1)], 1)


def apply_views(pictures: torch.Tensor, size: int, views: torch.Tensor) -> torch.Tensor:
    """Views of pictures, float (N, 3, S, S), as `draw_views` drew them: float (N, 3, size, size)."""
    values = _to_device_of(pictures, views)
    moved = functional.grid_sample(pictures, _grid(values, size), padding_mode="border", align_corners=False)
    return moved.mul_(values[:, 6, None, None, None]).add_(values[:, 7, None, None, None])


def _grid(values: torch.Tensor, size: int) -> torch.Tensor:
    """Sampling grid of views: float (N, size, size, 2), x and y in [-1, 1] of the crop.

    Hand-written since it takes a fifth of the time of `functional.affine_grid` on a CPU.

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
    """Mix-up, cut-mix, or a random choice of both for each batch, by torch's global random numbers; `None` where both
    are 0.

    Args:
        mixup, cutmix: alpha of the mixing ratio's beta distribution; 0: none.
        n_classes: number of classes.

    Returns:
        function of pictures, float (N, 3, S, S), and class indices, int64 (N,), that gives pictures of the same shape
        and soft targets, float32 (N, classes); each row's sum is 1.
    """
    chosen = [
        kind(alpha=alpha, num_classes=n_classes) for kind, alpha in ((v2.MixUp, mixup), (v2.CutMix, cutmix)) if alpha
    ]
    return v2.RandomChoice(chosen) if chosen else None
