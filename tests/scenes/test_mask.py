"""Masks of pills: close to the true ones of drawn photographs, and refused where they are doubtful."""

import cv2
import numpy as np
import pytest

from pillsnap.crops.crop import context_window
from pillsnap.pictures.decode import decode_jpeg, encode_jpeg
from pillsnap.scenes.cut_outs import cut_out
from pillsnap.scenes.mask import REASONS, CutOutError, segment_pill
from pillsnap.sources.synthetic.catalogue import key_rng, make_catalogue
from pillsnap.sources.synthetic.scene import render_photo, render_with_truth
from pillsnap.sources.synthetic.views import single_photos

BOX = (40, 50, 80, 60)
GROUND, PILL = (90, 110, 140), (225, 220, 210)


def window_with(draw, ground=GROUND) -> np.ndarray:
    """A window of 160 x 160 pixels with slight noise; `draw` puts something on it."""
    picture = np.full((160, 160, 3), ground, np.uint8)
    draw(picture)
    return cv2.add(picture, np.random.default_rng(3).integers(0, 6, picture.shape, np.uint8))


def ellipse(picture: np.ndarray, colour=PILL) -> None:
    x, y, w, h = BOX
    cv2.ellipse(picture, (x + w // 2, y + h // 2), (w // 2, h // 2), 0, 0, 360, colour, -1)


def test_masks_of_drawn_photographs_are_the_true_ones() -> None:
    found, refused = [], 0
    for drug in make_catalogue(drugs=14, seed=5):
        photo = next(single_photos(drug, "training", 36, 1, 5))
        rng = key_rng(5, "photo", photo.stem)
        drawn = render_with_truth(photo.pills, photo.shot, scale=photo.scale, rng=rng)
        picture, owner = drawn.photo, drawn.owner
        x, y, w, h = cv2.boundingRect((owner == 1).astype(np.uint8))
        left, top, right, bottom = context_window((x, y, w, h), picture.shape[1], picture.shape[0], context=0.6)
        window = decode_jpeg(encode_jpeg(picture[top:bottom, left:right], 95))
        true = owner[top:bottom, left:right] == 1
        try:
            mask = segment_pill(window, (x - left, y - top, w, h))
        except CutOutError:
            refused += 1
            continue
        found.append((mask & true).sum() / (mask | true).sum())
    assert np.mean(found) >= 0.95
    assert refused <= 1


def test_true_masks_have_the_boxes_of_the_photograph() -> None:
    drug = make_catalogue(drugs=1, seed=5)[0]
    photo = next(single_photos(drug, "training", 36, 1, 5))
    same = {"scale": photo.scale}
    picture, boxes = render_photo(photo.pills, photo.shot, rng=key_rng(5, "x"), **same)
    again = render_with_truth(photo.pills, photo.shot, rng=key_rng(5, "x"), **same)
    assert np.array_equal(picture, again.photo)
    assert [list(cv2.boundingRect((again.owner == 1).astype(np.uint8)))] == boxes


def ring(picture: np.ndarray) -> None:
    ellipse(picture)
    x, y, w, h = BOX
    cv2.ellipse(picture, (x + w // 2, y + h // 2), (w // 5, h // 5), 0, 0, 360, GROUND, -1)


def cross(picture: np.ndarray) -> None:
    x, y, w, h = BOX
    cv2.rectangle(picture, (x + w // 2 - 9, y), (x + w // 2 + 9, y + h), PILL, -1)
    cv2.rectangle(picture, (x, y + h // 2 - 9), (x + w, y + h // 2 + 9), PILL, -1)


def corner(picture: np.ndarray) -> None:
    cv2.circle(picture, (BOX[0] + 20, BOX[1] + 20), 18, PILL, -1)


def block(picture: np.ndarray) -> None:
    x, y, w, h = BOX
    cv2.rectangle(picture, (x, y), (x + w - 1, y + h - 1), PILL, -1)


@pytest.mark.parametrize(
    ("draw", "reasons"),
    [
        (ring, {"hole"}),
        (cross, {"ragged"}),
        (corner, {"off_box"}),
        (block, {"leak"}),
        (lambda picture: ellipse(picture, tuple(value + 2 for value in GROUND)), set(REASONS)),
        (lambda picture: None, set(REASONS)),
    ],
    ids=["ring", "cross", "off its box", "fills its box", "colour of the ground", "nothing"],
)
def test_doubtful_masks_are_refused_with_a_reason(draw, reasons: set[str]) -> None:
    with pytest.raises(CutOutError) as raised:
        segment_pill(window_with(draw), BOX)
    assert raised.value.reason in reasons
    assert REASONS[raised.value.reason] in str(raised.value)


def test_a_window_without_ground_is_refused() -> None:
    window = window_with(ellipse)[50:110, 40:120]
    with pytest.raises(CutOutError, match="window_too_small"):
        segment_pill(window, (0, 0, 80, 60))


def test_a_cut_out_has_the_pills_colours_alone() -> None:
    window = window_with(ellipse)
    colour, alpha = cut_out(window, segment_pill(window, BOX))
    assert colour.shape[:2] == alpha.shape
    assert np.abs(np.array(alpha.shape) - [BOX[3] + 6, BOX[2] + 6]).max() <= 4
    assert colour.reshape(-1, 3).min(axis=0) == pytest.approx(PILL, abs=8)
    assert alpha.max() == 255 and alpha[0].max() == 0
