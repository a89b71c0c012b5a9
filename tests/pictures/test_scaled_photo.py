"""Photographs decoded smaller than they are: which scale, the same damage and refusals, boxes in either size."""

import io

import cv2
import numpy as np
import pytest
from PIL import Image

from pillsnap.pictures.decode import PictureError, decode_photo, decode_reduced, encode_jpeg
from pillsnap.pictures.scaled_photo import ScaledPhoto
from tests.support.models import draw_photo

PHOTO = draw_photo([0, 1, 2], seed=5, width=750, height=1001)[0]
JPEG = encode_jpeg(PHOTO, 95)


def saved(kind: str, mode: str = "RGB", orientation: int = 1) -> bytes:
    stream, exif = io.BytesIO(), Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(PHOTO).convert(mode).save(stream, kind, exif=exif)
    return stream.getvalue()


@pytest.mark.parametrize(
    ("least_side", "size"),
    [
        (None, (1001, 750)),
        (5000, (1001, 750)),
        (501, (1001, 750)),
        (500, (501, 375)),
        (251, (501, 375)),
        (250, (251, 188)),
        (125, (126, 94)),
        (1, (126, 94)),
    ],
)
def test_longer_side_stays_long_enough(least_side: int | None, size: tuple[int, int]) -> None:
    picture, whole = decode_reduced(JPEG, least_side=least_side)
    assert (picture.shape, whole) == ((*size, 3), (750, 1001))


@pytest.mark.parametrize("least_side", [500, 250, 125])
@pytest.mark.parametrize("full_colour", [True, False])
def test_reduced_pixels_are_means(least_side: int, full_colour: bool) -> None:
    picture, _ = decode_reduced(encode_jpeg(PHOTO, 95, full_colour=full_colour), least_side=least_side)
    means = cv2.resize(PHOTO, picture.shape[1::-1], interpolation=cv2.INTER_AREA)
    assert np.abs(picture.astype(int) - means).mean() < 3


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_reduced_photograph_is_upright(orientation: int) -> None:
    data = saved("JPEG", orientation=orientation)
    whole, (picture, size) = decode_photo(data), decode_reduced(data, least_side=250)
    assert size == whole.shape[1::-1]
    assert picture.shape == (*(-(-side // 4) for side in whole.shape[:2]), 3)
    means = cv2.resize(whole, picture.shape[1::-1], interpolation=cv2.INTER_AREA)
    assert np.abs(picture.astype(int) - means).mean() < 3


@pytest.mark.parametrize("data", [saved("PNG"), saved("WEBP"), saved("JPEG", "L"), saved("JPEG", "CMYK")])
def test_what_cannot_be_reduced_is_decoded_whole(data: bytes) -> None:
    picture, size = decode_reduced(data, least_side=1)
    assert np.array_equal(picture, decode_photo(data))
    assert size == (750, 1001)


def test_pixels_are_limited_by_those_of_the_whole_photograph() -> None:
    with pytest.raises(PictureError, match="photo_too_large"):
        decode_reduced(JPEG, least_side=1, max_pixels=700_000)


def test_photograph_grows_as_it_is_needed() -> None:
    small = ScaledPhoto.decode(JPEG, least_side=100)
    assert (small.picture.shape, small.width, small.height) == ((126, 94, 3), 750, 1001)
    assert small.at_least(126) is small and not small.is_whole
    larger = small.at_least(127)
    assert larger.picture.shape == (251, 188, 3)
    assert np.array_equal(larger.whole(), decode_photo(JPEG))
    whole = small.at_least(9999)
    assert whole.is_whole and whole.at_least(9999) is whole


def test_boxes_in_either_size() -> None:
    boxes = np.array([[0, 0, 750, 1001], [100, 200, 50, 80]], np.float32)
    photo = ScaledPhoto.decode(JPEG, least_side=250)
    assert photo.in_picture(boxes)[0] == pytest.approx([0, 0, 188, 251])
    assert photo.in_picture(boxes)[1] == pytest.approx([25, 50, 12.5, 20], abs=0.2)
    assert photo.in_photo(photo.in_picture(boxes)) == pytest.approx(boxes)
    assert photo.in_photo(boxes).dtype == np.float32
    whole = ScaledPhoto.of_pixels(PHOTO)
    assert whole.in_picture(boxes) is boxes and whole.in_photo(boxes) is boxes
