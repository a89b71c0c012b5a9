"""Where a drawn pill's characters are told to be, they are."""

from dataclasses import replace

import numpy as np
import pytest

from pillsnap.sources.synthetic.catalogue import COLOURS, Drug, key_rng, make_catalogue
from pillsnap.sources.synthetic.pill import Patch, View, draw_pill
from pillsnap.sources.synthetic.scene import COMBO_SCALE, Shot, render_with_truth

PLAIN = {"color_class1": "하양", "color_class2": "", "tint": COLOURS["하양"], "line_front": "", "debossed": False}
"""A white pill with dark ink."""


def printed(imprint: str) -> Drug:
    drug = replace(make_catalogue(drugs=1, seed=5)[0], **PLAIN, form_code_name="필름코팅정", speckled=False)
    return replace(drug, drug_shape="장방형", leng_long=16.0, leng_short=7.5, print_front=imprint)


def patch_of(drug: Drug, angle: float, latitude: int) -> Patch:
    return draw_pill(drug, View(angle, latitude, 18.0, 0, (0.0, 0.0, 1.0), (1.0, 1.0, 1.0)), key_rng(5, "grain"))


def ink(imprint: str, angle: float, latitude: int) -> tuple[np.ndarray, np.ndarray]:
    """How much darker than a blank pill each pixel is, float (H, W), and the characters' middles."""
    patch = patch_of(printed(imprint), angle, latitude)
    return np.abs(patch.colour - patch_of(printed(""), angle, latitude).colour).sum(2), patch.characters


def centre(weights: np.ndarray) -> np.ndarray:
    rows, columns = np.indices(weights.shape)
    return np.array([(columns * weights).sum(), (rows * weights).sum()]) / weights.sum()


@pytest.mark.parametrize("latitude", [60, 75, 90])
@pytest.mark.parametrize("angle", [0.0, 0.7, 2.0, -1.2])
def test_ink_is_where_characters_are(angle: float, latitude: int) -> None:
    """Each pixel of ink counts for the nearest character; a letter's ink lies around its middle."""
    dark, middles = ink("HOX8", angle, latitude)
    assert middles.shape == (4, 2)
    rows, columns = np.indices(dark.shape)
    away = np.hypot(columns[..., None] - middles[:, 0], rows[..., None] - middles[:, 1])
    nearest = away.argmin(-1)
    for number, middle in enumerate(middles):
        assert centre(dark * (nearest == number)) == pytest.approx(middle, abs=4), number


def test_characters_stand_in_reading_order() -> None:
    _, middles = ink("ABC", 0.0, 90)
    assert (np.diff(middles[:, 0]) > 10).all() and np.ptp(middles[:, 1]) < 1
    _, turned = ink("ABC", np.pi, 90)
    assert (np.diff(turned[:, 0]) < -10).all()


def test_a_blank_side_has_none_and_a_photograph_moves_them() -> None:
    pills = [(printed(""), 0), (printed("HOX8"), 0)]
    drawn = render_with_truth(pills, Shot(0, 0, 90, 0), scale=COMBO_SCALE, rng=key_rng(5, "photo"))
    assert [len(each) for each in drawn.characters] == [0, 4]
    x, y, w, h = drawn.boxes[1]
    assert ((drawn.characters[1] > [x, y]) & (drawn.characters[1] < [x + w, y + h])).all()
