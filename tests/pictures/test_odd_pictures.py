"""Odd and hostile pictures: a picture or a `PictureError` comes of each, and an answer of each picture."""

import math
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pillsnap.answers.answer import Mode
from pillsnap.pictures.decode import REDUCTIONS, PictureError, decode_photo, decode_reduced, photo_size
from pillsnap.predict.model import PillSnap
from tests.support.costly_bytes import exif_of
from tests.support.heic_bytes import small
from tests.support.models import onnx_models
from tests.support.odd_pictures import ODD_PICTURES, OddPicture, odd_picture
from tests.support.picture_bytes import saved, scene_image
from tests.support.workflow import PROJECT

__all__ = ["odd_picture"]

MUTATED = {
    "JPEG": saved(scene_image(), "JPEG", quality=90),
    "RGB PNG": saved(scene_image(), "PNG"),
    "palette PNG": saved(scene_image().quantize(4), "PNG"),
    "WEBP": saved(scene_image(), "WEBP"),
    "TIFF": saved(scene_image(), "TIFF"),
    "GIF": saved(scene_image(), "GIF"),
    "AVIF": saved(scene_image(), "AVIF"),
    "HEIC": small(exif=b"Exif\0\0" + exif_of(3), tile_size=32),
}


@pytest.fixture(scope="module")
def snap(base: Path) -> PillSnap:
    return PillSnap.load(onnx_models(base), threads=1, device="cpu")


def middles(picture: np.ndarray) -> np.ndarray:
    """The middle of each quarter: int (4, 3)."""
    height, width = picture.shape[:2]
    places = [(height * y // 4, width * x // 4) for y in (1, 3) for x in (1, 3)]
    return np.array([picture[place] for place in places], int)


def test_names_are_unique() -> None:
    assert len({picture.name for picture in ODD_PICTURES}) == len(ODD_PICTURES)


def test_decoded_upright_in_its_colours_or_refused(odd_picture: OddPicture) -> None:
    data, start = odd_picture.data, time.monotonic()
    if not odd_picture.usable:
        with pytest.raises(PictureError) as error:
            decode_photo(data)
        assert error.value.reason == odd_picture.reason
    else:
        picture = decode_photo(data)
        assert (picture.shape, picture.dtype) == ((*odd_picture.size[::-1], 3), np.uint8)
        assert picture.flags.c_contiguous
        if odd_picture.corners:
            assert np.abs(middles(picture) - np.array(odd_picture.corners)).max() <= odd_picture.tolerance
    assert time.monotonic() - start < 10


def test_reduced_or_refused_as_the_whole(odd_picture: OddPicture) -> None:
    """A JPEG's damage is found also where most of its pixels are not computed."""
    if not odd_picture.usable:
        with pytest.raises(PictureError) as error:
            decode_reduced(odd_picture.data, least_side=1)
        assert error.value.reason == odd_picture.reason
        return
    picture, size = decode_reduced(odd_picture.data, least_side=1)
    assert (size, picture.dtype) == (odd_picture.size, np.uint8)
    assert picture.shape[:2] in {tuple(-(-side // factor) for side in size[::-1]) for factor in REDUCTIONS}
    if odd_picture.corners:
        assert np.abs(middles(picture) - np.array(odd_picture.corners)).max() <= odd_picture.tolerance


def test_size_by_the_header_is_the_decoded_one(odd_picture: OddPicture, tmp_path: Path) -> None:
    path = tmp_path / "photo"
    path.write_bytes(odd_picture.data)
    if odd_picture.usable:
        assert photo_size(path) == odd_picture.size
    elif odd_picture.reason not in ("photo_truncated", "photo_too_costly"):  # which a header need not show
        with pytest.raises(PictureError):
            photo_size(path)


@pytest.mark.parametrize("mode", ["single", "combo"])
def test_answered_or_refused(snap: PillSnap, odd_picture: OddPicture, mode: Mode) -> None:
    data, start = odd_picture.data, time.monotonic()
    if not odd_picture.usable:
        with pytest.raises(PictureError) as error:
            snap.identify(data, mode)
        assert error.value.reason == odd_picture.reason
        return
    answer = snap.identify(data, mode)
    assert time.monotonic() - start < 20
    assert (answer.mode, answer.width, answer.height) == (mode, *odd_picture.size)
    for pill in answer.pills:
        x, y, w, h = pill.box
        assert 0 <= x < x + w <= answer.width + 0.01
        assert 0 <= y < y + h <= answer.height + 0.01
        assert 0 <= pill.score <= 1
        assert all(0 <= one.confidence <= 1 + 1e-6 for one in (*pill.candidates, *pill.prediction_set))
        assert all(math.isfinite(value) for value in (*pill.box, pill.score))


def test_memory_is_bounded() -> None:
    """Of all odd pictures, the widest one and the bombs included, decoding takes at most four times the pixels of the
    largest (60 megapixels, 180 MB) beside what is imported and made."""
    code = (
        "import resource, sys; from tests.support.odd_pictures import ODD_PICTURES\n"
        "from pillsnap.pictures.decode import PictureError, decode_photo\n"
        "[picture.data for picture in ODD_PICTURES]\n"
        "peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "start = peak()\n"
        "for picture in ODD_PICTURES:\n"
        "    try: decode_photo(picture.data)\n"
        "    except PictureError: pass\n"
        "print((peak() - start) // 1024)"
    )
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], cwd=PROJECT, capture_output=True, text=True, check=True
    )
    assert int(done.stdout) < 4 * 180


@pytest.mark.parametrize("kind", MUTATED)
@settings(max_examples=150, deadline=None, derandomize=True)
@given(changes=st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), min_size=1, max_size=8),
       cut=st.floats(0, 1))  # fmt: skip
@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::RuntimeWarning")
def test_changed_bytes_are_a_picture_or_refused(kind: str, changes: list[tuple[float, int]], cut: float) -> None:
    data = bytearray(MUTATED[kind])
    for place, value in changes:
        data[int(place * len(data))] = value
    if cut < 0.3:
        data = data[: int(len(data) * cut / 0.3)]
    try:
        picture = decode_photo(bytes(data))
    except PictureError:
        return
    assert (picture.ndim, picture.shape[2], picture.dtype) == (3, 3, np.uint8)


@pytest.mark.parametrize("at", ["header", "everywhere"])
@settings(max_examples=100, deadline=None, derandomize=True)
@given(data=st.binary(max_size=400))
def test_random_bytes_are_refused(at: str, data: bytes) -> None:
    start = {"header": b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "everywhere": b""}[at]
    with pytest.raises(PictureError):
        decode_photo(start + data)
