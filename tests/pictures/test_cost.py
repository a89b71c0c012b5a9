"""The guard before decoders refuses costly files, lets honest ones through, and costs nearly nothing itself."""

import contextlib
import time
from collections.abc import Callable

import numpy as np
import pytest

from pillsnap.pictures.cost.check import check_cost
from pillsnap.pictures.cost.limits import CostlyError
from pillsnap.pictures.decode import PictureError, decode_photo
from tests.support.costly_bytes import changed_j2k
from tests.support.costly_pictures import HONEST, Costly, costly_pictures
from tests.support.odd_pictures import ODD_PICTURES

COSTLY = list(costly_pictures())


@pytest.mark.parametrize(
    "picture", [each for each in COSTLY if each.refused], ids=lambda picture: f"{picture.like}: {picture.name}"
)
def test_costly_picture_is_refused_at_once(picture: Costly) -> None:
    data = picture.make()
    begun = time.process_time()
    with pytest.raises(PictureError) as caught:
        decode_photo(data)
    assert time.process_time() - begun < 0.05
    assert caught.value.reason == "photo_too_costly" and picture.refused in caught.value.detail


@pytest.mark.parametrize(("like", "make"), HONEST.items(), ids=HONEST)
def test_honest_picture_is_let_through_at_once(like: str, make: Callable[[], bytes]) -> None:
    data = make()
    seconds = []
    for _ in range(5):
        begun = time.process_time()
        check_cost(data)
        seconds.append(time.process_time() - begun)
    assert min(seconds) < 0.002  # 1 ms on a quiet core
    assert decode_photo(data).shape == (750, 1000, 3)


@pytest.mark.parametrize("format", sorted({picture.like for picture in COSTLY}))
def test_every_format_is_compared(format: str) -> None:
    assert format in HONEST


def test_damaged_files_pass_the_guard() -> None:
    """The decoder says what is wrong with them."""
    for picture in ODD_PICTURES:
        if picture.reason == "photo_too_costly":
            continue
        for end in (len(picture.data), 8, 20, 40, len(picture.data) // 2):
            check_cost(picture.data[:end])


@pytest.mark.parametrize(("like", "make"), HONEST.items(), ids=HONEST)
def test_damage_at_random_is_passed_or_refused_at_once(like: str, make: Callable[[], bytes]) -> None:
    random = np.random.default_rng(576)
    whole = np.frombuffer(make(), np.uint8)
    begun = time.process_time()
    for _ in range(200):
        data = whole.copy()
        places = random.integers(0, min(len(data), 2_000), 8)
        data[places] = random.choice([0, 1, 2, 127, 128, 255], len(places))
        with contextlib.suppress(CostlyError):
            check_cost(data.tobytes())
    assert time.process_time() - begun < 2


def test_tiles_without_a_size_are_damage() -> None:
    with pytest.raises(PictureError) as caught:
        decode_photo(changed_j2k(bytes(8), b"\xff\x51", 22))
    assert caught.value.reason != "photo_too_costly"
