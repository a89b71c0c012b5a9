"""Mix-up and cut-mix: targets follow what is in a picture."""

import pytest
import torch

from pillsnap.classifier.transforms import mixer

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
