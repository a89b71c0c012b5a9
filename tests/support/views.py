"""Where a place of a picture is in its views: an independent inverse of what `apply_views` samples."""

import torch


def places_in_views(places: torch.Tensor, views: torch.Tensor) -> torch.Tensor:
    """Where places of pictures, x and y as shares of the side, float (N, P, 2), are in their views; NaN stays."""
    away = places * 2 - 1 - views[:, None, 4:6]
    steps = views[:, :4].unflatten(1, (2, 2))
    # right and down are orthogonal and equally long
    along = away @ steps.transpose(1, 2) / (steps[:, :1] ** 2).sum(-1, keepdim=True)
    return (along + 1) / 2
