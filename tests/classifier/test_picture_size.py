"""Progressive resize."""

import pytest

from pillsnap.classifier.epoch_order import picture_size
from tests.support.models import recipe


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
