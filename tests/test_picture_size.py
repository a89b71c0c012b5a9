"""Progressive resize."""

import pytest
from models import recipe

from pillsnap.training.picture_size import picture_size


@pytest.mark.parametrize(
    ("start", "end", "every", "by", "sizes"),
    [
        (128, 384, 10, 64, [128] * 10 + [192] * 10 + [256] * 10 + [320] * 10 + [384] * 20),
        (64, 112, 2, 32, [64] * 2 + [96] * 2 + [112] * 4),
        (32, 100, 1, 64, [32, 96, 100, 100]),
        (100, 100, 1, 8, [100, 100]),
        (None, 384, 10, 64, [384] * 20),
    ],
)
def test_sizes(start: int | None, end: int, every: int, by: int, sizes: list[int]) -> None:
    """Neither the epochs asked for nor the horizon matter."""
    for epochs in (1, 50):
        changes = {"start_size": start, "image_size": end, "resize_every": every, "resize_by": by}
        settings = recipe(**changes, epochs=epochs, horizon=epochs)
        assert [picture_size(settings, epoch) for epoch in range(len(sizes))] == sizes
