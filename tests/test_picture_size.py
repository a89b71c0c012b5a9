"""Progressive resize."""

import pytest
from models import recipe

from pillsnap.training.picture_size import picture_size


@pytest.mark.parametrize(
    ("start", "end", "every", "horizon", "sizes"),
    [
        (128, 384, 10, 50, [128] * 10 + [192] * 10 + [256] * 10 + [320] * 10 + [384] * 10),
        (128, 384, 10, 55, [128] * 10 + [192] * 10 + [256] * 10 + [320] * 10 + [384] * 15),
        (128, 384, 10, 20, [128] * 10 + [384] * 10),
        (64, 112, 2, 8, [64] * 2 + [80] * 2 + [96] * 2 + [112] * 2),
        (32, 100, 1, 3, [32, 64, 100]),
        (140, 150, 1, 3, [140, 150, 150]),
        (128, 384, 10, 10, [384] * 10),
        (128, 384, 10, 5, [384] * 5),
        (None, 384, 10, 50, [384] * 50),
    ],
)
def test_sizes(start: int | None, end: int, every: int, horizon: int, sizes: list[int]) -> None:
    """Equal steps; the whole size in the last epochs before the horizon, and behind it."""
    settings = recipe(start_size=start, image_size=end, resize_every=every, horizon=horizon)
    assert [picture_size(settings, epoch) for epoch in range(horizon)] == sizes
    assert picture_size(settings, horizon + 7) == end


def test_sizes_never_shrink_and_never_pass_the_last() -> None:
    for start in range(32, 200, 9):
        for end in range(start, 260, 13):
            settings = recipe(start_size=start, image_size=end, resize_every=3, horizon=30)
            sizes = [picture_size(settings, epoch) for epoch in range(30)]
            assert sizes == sorted(sizes)
            assert (sizes[0], sizes[-1]) == (start, end)
            assert all(size % 8 == 0 for size in sizes if size not in (start, end))


def test_epochs_do_not_matter() -> None:
    short, long = (recipe(start_size=64, image_size=112, resize_every=1, horizon=6, epochs=n) for n in (2, 60))
    assert [picture_size(short, epoch) for epoch in range(9)] == [picture_size(long, epoch) for epoch in range(9)]
