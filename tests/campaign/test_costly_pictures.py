"""What the guard lets through takes at most three times as long as an honest photograph of its format and size.

The pictures have 0.75 megapixels; an honest one takes milliseconds, so up to 20 ms more are allowed: that is less than
naming its pills takes.
"""

import time
from collections.abc import Callable

import pytest

from pillsnap.pictures.decode import PictureError, decode_reduced
from tests.support.costly_bytes import photograph, progressive_jpeg, repeated_jpeg
from tests.support.costly_pictures import HONEST, UNCOUNTED, Costly, costly_pictures
from tests.support.picture_bytes import saved

ALLOWANCE = 0.020
LET_THROUGH = [each for each in costly_pictures() if each.refused is None]


def seconds(data: bytes, turns: int = 3, least_side: int | None = None) -> float:
    """Processor time of decoding, the least of some turns; damage found on the way counts as its end."""
    found = []
    for _ in range(turns):
        begun = time.process_time()
        try:
            decode_reduced(data, least_side=least_side)
        except PictureError as error:
            assert error.reason == "photo_truncated"
        found.append(time.process_time() - begun)
    return min(found)


@pytest.fixture(scope="module")
def honest() -> dict[str, float]:
    return {like: seconds(make()) for like, make in HONEST.items()}


@pytest.mark.parametrize("picture", LET_THROUGH, ids=lambda picture: f"{picture.like}: {picture.name}")
def test_none_takes_three_times_as_long(picture: Costly, honest: dict[str, float], record_property) -> None:
    taken, usual = seconds(picture.make()), honest[picture.like]
    record_property("ms", (round(1000 * taken, 1), round(1000 * usual, 1)))
    print(f"{picture.like}: {picture.name}: {1000 * taken:.1f} ms, honest {1000 * usual:.1f} ms")
    assert taken < 3 * usual + ALLOWANCE


@pytest.mark.parametrize("least_side", [None, 2000], ids=["whole", "reduced"])
@pytest.mark.parametrize("make", [progressive_jpeg, repeated_jpeg], ids=["progressive", "repeated"])
def test_scans_of_a_large_photograph(make: Callable[..., bytes], least_side: int | None) -> None:
    """12 megapixels: no allowance, and caches that are too small for the coefficients."""
    large = photograph().resize((4000, 3000))
    usual = seconds(saved(large, "JPEG", quality=90, progressive=True), least_side=least_side)
    taken = seconds(make(29, *large.size), least_side=least_side)
    print(f"{1000 * taken:.0f} ms, honest {1000 * usual:.0f} ms")
    assert taken < 3 * usual


@pytest.mark.parametrize(("name", "make"), UNCOUNTED, ids=[name for name, _ in UNCOUNTED])
def test_what_is_not_counted_is_bounded(name: str, make: Callable[[], bytes]) -> None:
    """By its bytes: a service that takes 20 MB is busy for seconds at most."""
    data = make()
    taken = seconds(data, turns=1)
    print(f"{name}: {taken:.2f} s for {len(data)} bytes")
    assert taken < max(2.0, len(data) * 0.5e-6)
