"""The one crop function cuts the window that `crop_window` tells."""

import numpy as np
import pytest

from pillsnap.crops.crop import crop_window, cut_crop

ROWS, COLUMNS = 150, 200
RAMP = np.dstack(
    [np.tile(np.arange(COLUMNS), (ROWS, 1)), np.tile(np.arange(ROWS)[:, None], (1, COLUMNS)), np.zeros((ROWS, COLUMNS))]
)
PICTURE = RAMP.astype(np.uint8)
"""Red is the column, green the row."""


@pytest.mark.parametrize(
    ("box", "window"),
    [
        ((50, 40, 40, 40), (47, 37, 46)),
        ((50, 40, 40, 20), (47, 27, 46)),
        ((50.5, 40.25, 33.4, 50.7), (38, 37, 58)),
        ((0, 0, 40, 40), (-3, -3, 46)),
        ((170, 120, 40, 40), (167, 117, 46)),
        ((60, 60, 0.2, 0.1), (60, 60, 1)),
    ],
)
def test_window_is_cut_and_edges_are_repeated(box: tuple[float, ...], window: tuple[int, int, int]) -> None:
    assert crop_window(box, 0.15) == window
    left, top, side = window
    crop = cut_crop(PICTURE, box, size=side, margin=0.15).astype(int)
    columns, rows = (np.arange(first, first + side) for first in (left, top))
    inner = slice(1, -1)  # bilinear: at the window's edge half a pixel is lost
    expected = (
        np.broadcast_to(columns.clip(0, COLUMNS - 1), (side, side)),
        np.broadcast_to(rows.clip(0, ROWS - 1)[:, None], (side, side)),
    )
    for channel, values in enumerate(expected):
        assert np.abs(crop[..., channel] - values)[inner, inner].max(initial=0) <= 1


@pytest.mark.parametrize("size", [24, 46, 92, 144])
def test_a_place_of_the_photograph_is_at_its_share_of_the_window(size: int) -> None:
    box = (50, 40, 40, 40)
    left, top, side = crop_window(box, 0.15)
    crop = cut_crop(PICTURE, box, size=size, margin=0.15).astype(float)
    for share in (0.25, 0.5, 0.8):
        x, y = (first + share * side - 0.5 for first in (left, top))  # a pixel's middle is at its half
        at = round(share * size - 0.5)
        assert crop[at, at, :2] == pytest.approx((x, y), abs=0.6 + side / size)
