"""The order in which an epoch reads pills: which, how often, and what it depends on; and progressive resize."""

import numpy as np
import pytest

from pillsnap.classifier.epoch_order import epoch_order, picture_size
from pillsnap.crops.dataset import Item
from tests.support.models import recipe

TARGETS = np.repeat([0, 1, 3], [40, 8, 2])
"""Class of each of 50 pills; there is none of class 2."""


def order(targets: np.ndarray = TARGETS, batch: int = 4, **changes: float) -> list[list[Item]]:
    return epoch_order(targets, batch, **{"balance": 0.0, "smallest": 2, "seed": 1, "epoch": 0} | changes)


@pytest.mark.parametrize(
    ("count", "batch", "smallest", "sizes"),
    [(10, 4, 2, [4, 4, 2]), (9, 4, 2, [4, 4]), (8, 4, 2, [4, 4]), (3, 8, 2, [3]), (11, 4, 4, [4, 4]), (1, 8, 2, [1])],
)
def test_each_pill_once(count: int, batch: int, smallest: int, sizes: list[int]) -> None:
    """A last batch of one pill is left out: batch norm cannot learn from it."""
    batches = order(np.arange(count) % 3, batch, smallest=smallest)
    assert [len(items) for items in batches] == sizes
    pills = [pill for items in batches for pill, _ in items]
    assert len(set(pills)) == len(pills) == sum(sizes)
    assert all(0 <= choice < 1 for items in batches for _, choice in items)


def test_depends_on_seed_and_epoch_alone() -> None:
    assert order(epoch=3) == order(epoch=3)
    assert len({str(order(seed=seed, epoch=epoch)) for seed in (1, 2) for epoch in (0, 1, 2)}) == 6


@pytest.mark.parametrize(
    ("balance", "shares"),
    [
        (0.0, [40, 8, 2]),
        (0.5, [50 * n**0.5 / (40**0.5 + 8**0.5 + 2**0.5) for n in (40, 8, 2)]),
        (1.0, [50 / 3, 50 / 3, 50 / 3]),
    ],
)
def test_balance(balance: float, shares: list[float]) -> None:
    """Each epoch is right up to rounding, and all of them together more closely."""
    drawn = []
    for epoch in range(60):
        pills = [pill for items in order(balance=balance, epoch=epoch) for pill, _ in items]
        assert len(pills) == 50
        drawn.append(np.bincount(TARGETS[pills], minlength=4)[[0, 1, 3]])
        for of_class in ([pill for pill in pills if TARGETS[pill] == k] for k in (0, 1, 3)):
            times = np.unique(of_class, return_counts=True)[1]
            assert times.max() - times.min() <= 1 or len(of_class) < 8, "pills of a class come equally often"
    assert (np.abs(np.array(drawn) - shares) < 1).all()
    assert np.mean(drawn, axis=0) == pytest.approx(shares, abs=0.15)


def test_balanced_pills_come_in_random_order() -> None:
    classes = [TARGETS[pill] for items in order(balance=1.0) for pill, _ in items]
    assert classes != sorted(classes)


@pytest.mark.parametrize(
    ("start", "end", "every", "by", "sizes"),
    [
        (128, 384, 10, 64, [128] * 10 + [192] * 10 + [256] * 10 + [320] * 10 + [384] * 10),
        (128, 384, 10, 128, [128] * 10 + [256] * 10 + [384] * 30),
        (64, 112, 2, 16, [64, 64, 80, 80, 96, 96, 112, 112, 112]),
        (32, 100, 1, 32, [32, 64, 96, 100, 100]),
        (384, 384, 10, 64, [384] * 12),
        (None, 384, 10, 64, [384] * 12),
    ],
)
def test_sizes(start: int | None, end: int, every: int, by: int, sizes: list[int]) -> None:
    settings = recipe(start_size=start, image_size=end, resize_every=every, resize_by=by)
    assert [picture_size(settings, epoch) for epoch in range(len(sizes))] == sizes
    assert picture_size(settings, 1000) == end


def test_neither_epochs_nor_horizon_matter() -> None:
    short, long = (
        recipe(start_size=64, image_size=112, resize_every=1, resize_by=16, horizon=n, epochs=n) for n in (2, 60)
    )
    assert [picture_size(short, epoch) for epoch in range(9)] == [picture_size(long, epoch) for epoch in range(9)]
