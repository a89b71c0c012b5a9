"""Boxes and the crop function."""

import numpy as np
import pytest

from pillsnap.crops.crop import context_window, cut_crop
from pillsnap.pictures.boxes import iou_matrix, match_boxes


def picture() -> np.ndarray:
    pixels = np.zeros((100, 80, 3), np.uint8)
    pixels[40:60, 30:50] = 255
    return pixels


def test_crop_shows_the_box_with_its_margin() -> None:
    crop = cut_crop(picture(), [30, 40, 20, 20], size=40, margin=1.0)
    assert crop.shape == (40, 40, 3)
    assert crop[11:29, 11:29].min() == 255
    assert crop[:9].max() == 0
    assert crop[:, 31:].max() == 0


@pytest.mark.parametrize(
    "box", [[0, 0, 10, 10], [70, 90, 10, 10], [-5, -5, 4, 4], [79, 99, 300, 300], [30, 40, 0.2, 0.1]]
)
def test_crops_at_and_beyond_the_edge_have_their_size(box) -> None:
    assert cut_crop(picture(), box, size=32, margin=0.15).shape == (32, 32, 3)


def test_edge_pixels_are_repeated_outside() -> None:
    pixels = np.full((20, 20, 3), 7, np.uint8)
    assert set(np.unique(cut_crop(pixels, [15, 15, 10, 10], size=16, margin=0.5))) == {7}


def test_a_large_window_is_thinned_and_shows_the_same() -> None:
    """The same picture at eight times the size, where the window's pixels are more than the crop's points."""
    small = np.kron(np.random.default_rng(0).integers(0, 255, (10, 8, 3)), np.ones((20, 20, 1))).astype(np.uint8)
    large = np.kron(small, np.ones((8, 8, 1), np.uint8))
    box = np.array([30, 40, 100, 90])
    crops = [
        cut_crop(pixels, list(box * scale), size=64, margin=0.15).astype(int)
        for pixels, scale in ((small, 1), (large, 8))
    ]
    assert np.abs(crops[0] - crops[1]).mean() < 6
    assert np.abs(crops[0] - crops[0].mean()).mean() > 40


@pytest.mark.parametrize("shape", [(30_000, 1, 3), (1, 30_000, 3)])
def test_a_box_along_a_long_thin_photograph_takes_little(shape) -> None:
    assert cut_crop(np.zeros(shape, np.uint8), [0, 0, shape[1], shape[0]], size=64, margin=0.15).shape == (64, 64, 3)


def test_context_window_stays_inside() -> None:
    assert context_window([5, 10, 20, 10], 100, 100, context=0.5) == (0, 0, 35, 30)


def test_cutting_from_the_context_is_cutting_from_the_photo() -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (100, 80, 3), dtype=np.uint8)
    left, top, right, bottom = context_window([30, 40, 20, 20], 80, 100, context=0.6)
    direct = cut_crop(pixels, [30, 40, 20, 20], size=24, margin=0.15)
    through = cut_crop(pixels[top:bottom, left:right], [30 - left, 40 - top, 20, 20], size=24, margin=0.15)
    assert np.array_equal(direct, through)


@pytest.mark.parametrize(
    ("first", "second", "iou"),
    [([0, 0, 10, 10], [0, 0, 10, 10], 1.0), ([0, 0, 10, 10], [5, 0, 10, 10], 1 / 3), ([0, 0, 1, 1], [5, 5, 1, 1], 0.0)],
)
def test_iou(first, second, iou) -> None:
    assert iou_matrix([first], [second])[0, 0] == pytest.approx(iou)


def test_each_box_is_matched_once_best_first() -> None:
    found = np.array([[0, 0, 10, 10], [1, 0, 10, 10], [50, 50, 5, 5]])
    labelled = np.array([[1, 0, 10, 10], [80, 80, 5, 5]])
    assert match_boxes(found, labelled, min_iou=0.5) == [(1, 0)]
    assert match_boxes(np.zeros((0, 4)), labelled, min_iou=0.5) == []
