"""Views show what they are said to; mix-up and cut-mix: targets follow what is in a picture."""

import pytest
import torch
from torch.nn import functional

from pillsnap.classifier.transforms import apply_views, augment, draw_views, mixer
from tests.support.views import places_in_views

CLASSES = torch.tensor([2, 0, 1, 2])
FLAT = CLASSES.float().view(4, 1, 1, 1).expand(4, 3, 40, 40)
"""Pictures whose pixels all have their class's number as value."""


def mixed(seed: int, **alphas: float) -> tuple[torch.Tensor, torch.Tensor]:
    torch.manual_seed(seed)
    return mixer(**{"mixup": 0.0, "cutmix": 0.0} | alphas, n_classes=3)(FLAT, CLASSES)


def test_nothing_mixes_where_both_are_0() -> None:
    assert mixer(mixup=0.0, cutmix=0.0, n_classes=3) is None


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("alphas", [{"mixup": 0.8}, {"cutmix": 1.0}, {"mixup": 0.8, "cutmix": 1.0}], ids=str)
def test_shares_are_those_of_the_pictures(alphas: dict[str, float], seed: int) -> None:
    """The mean of a picture of class numbers is the mean class number of its targets, for both."""
    pictures, shares = mixed(seed, **alphas)
    assert (pictures.shape, shares.shape, shares.dtype) == ((4, 3, 40, 40), (4, 3), torch.float32)
    assert shares.sum(1).tolist() == pytest.approx([1.0] * 4, abs=1e-6)
    told = shares @ torch.tensor([0.0, 1.0, 2.0])
    assert pictures.mean((1, 2, 3)).tolist() == pytest.approx(told.tolist(), abs=1e-5)


def test_cutmix_labels_follow_the_area() -> None:
    for seed in range(8):
        pictures, shares = mixed(seed, cutmix=1.0)
        kept = (pictures == FLAT).float().mean((1, 2, 3))
        assert shares[torch.arange(3), CLASSES[:3]].tolist() == pytest.approx(kept[:3].tolist(), abs=1e-6)


def test_each_batch_gets_one_of_both() -> None:
    """Mix-up makes values between those of classes 0 and 2, cut-mix none but classes' own."""
    cut = [
        bool((pictures == pictures.round()).all())
        for pictures, _ in (mixed(s, mixup=1.0, cutmix=1.0) for s in range(20))
    ]
    assert 4 <= sum(cut) <= 16


def test_mixing_follows_the_global_seed() -> None:
    first, again, other = (mixed(seed, mixup=0.4)[0] for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_augmented_as_by_torchs_own_affine_grid() -> None:
    """The numbers are drawn in one order, angle, zoom, shift, gain, offset: trainings of earlier versions resume."""
    pictures = torch.rand(6, 3, 32, 32, generator=generator(1))
    numbers = [torch.rand(6, generator=(drawn := generator(7)))] + [torch.rand(6, generator=drawn) for _ in range(5)]
    angle, zoom = numbers[0] * 2 * torch.pi - torch.pi, numbers[1] * 0.3 + 0.85
    x, y = (number * 0.16 - 0.08 for number in numbers[2:4])
    cosine, sine = angle.cos() * zoom, angle.sin() * zoom
    matrix = torch.stack([torch.stack([cosine, -sine, x], 1), torch.stack([sine, cosine, y], 1)], 1)
    grid = functional.affine_grid(matrix, [6, 3, 24, 24], align_corners=False)
    moved = functional.grid_sample(pictures, grid, padding_mode="border", align_corners=False)
    gain, offset = (number[:, None, None, None] for number in (numbers[4] * 0.4 + 0.8, numbers[5] * 0.3 - 0.15))
    assert torch.allclose(augment(pictures, 24, generator(7)), moved * gain + offset, atol=1e-4)


def test_a_shard_is_augmented_as_in_the_whole_batch() -> None:
    pictures = torch.rand(6, 3, 32, 32, generator=generator(1))
    whole = augment(pictures, 24, generator(7))
    part = augment(pictures[2:4], 24, generator(7), global_batch_size=6, shard=slice(2, 4))
    assert torch.equal(part, whole[2:4])


def test_a_bright_dot_is_where_its_place_is() -> None:
    """The dot's centre of mass in a view, of a picture of 64 pixels, within half of one."""
    count, middles = 16, torch.rand(16, 1, 2, generator=generator(3)) * 0.4 + 0.3
    centres = (torch.arange(64) + 0.5) / 64
    across, down = (((centres - middles[..., axis]) / 0.03) ** 2 for axis in (0, 1))
    dots = torch.exp(-(down[:, :, None] + across[:, None, :]) / 2)[:, None].expand(-1, 3, -1, -1).contiguous()
    views = draw_views(count, generator(5))
    views[:, 7] = 0  # a lighter ground would move the centre of mass
    seen = apply_views(dots, 64, views)[:, 0]
    mass = seen.sum((1, 2))
    found = torch.stack([(seen.sum(axis) * centres).sum(1) / mass for axis in (1, 2)], 1)
    assert torch.allclose(found, places_in_views(middles, views)[:, 0], atol=0.5 / 64)
