"""Network of the reader: what it tells, strips of the imprint's line, and its file."""

import math
from pathlib import Path

import pytest
import torch

from pillsnap.reader.looks import CHARACTERS, COLOUR_NAMES, PLACES, SHAPE_NAMES
from pillsnap.reader.model import (
    COLUMNS,
    STRIP_HEIGHT,
    STRIP_REACH,
    STRIP_WIDTH,
    Reader,
    cut_strips,
    half_angle,
    load_reader,
    save_reader,
)
from tests.support.reader_crops import RECIPE


def reader() -> Reader:
    torch.manual_seed(4)
    return Reader(RECIPE.model, RECIPE.model_args, image_size=RECIPE.image_size).eval()


def noise(*shape: int) -> torch.Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("side", [64, 144])
def test_outputs(side: int) -> None:
    characters, shapes, colours = reader()(torch.zeros(2, 3, side, side))
    assert characters.shape == (2, PLACES, len(CHARACTERS) + 1)
    assert (shapes.shape, colours.shape) == ((2, len(SHAPE_NAMES)), (2, len(COLOUR_NAMES)))
    places, characters, upright = reader().read(torch.zeros(2, 3, STRIP_HEIGHT, STRIP_WIDTH))
    assert places.shape == (2, PLACES, COLUMNS) and upright.shape == (2,)


@pytest.mark.parametrize("degrees", [-89, -45, -1, 0, 1, 30, 60, 89])
def test_half_angle(degrees: int) -> None:
    angle = math.radians(degrees)
    doubled = torch.tensor([[math.cos(2 * angle), math.sin(2 * angle)]])
    assert half_angle(doubled)[0].tolist() == pytest.approx([math.cos(angle), math.sin(angle)], abs=2e-3)


@pytest.mark.parametrize("degrees", [0, 30, 90, 135, 180, 290])
def test_a_strip_lies_along_its_direction(degrees: int) -> None:
    """A dot on the line, a quarter of the strip's width behind its middle, is there in the strip at any angle."""
    side, angle, dots = 145, math.radians(degrees), torch.zeros(1, 3, 145, 145)
    away = STRIP_REACH[0] / 2 * side / 2
    x, y = (round(side / 2 + away * turn - 0.5) for turn in (math.cos(angle), math.sin(angle)))
    dots[..., y - 1 : y + 2, x - 1 : x + 2] = 1
    strip = cut_strips(dots, torch.tensor([[math.cos(angle), math.sin(angle)]]))[0, 0]
    row, column = divmod(int(strip.argmax()), STRIP_WIDTH)
    assert abs(column - 0.75 * STRIP_WIDTH) <= 2 and abs(row - STRIP_HEIGHT / 2) <= 2


def test_a_crop_upside_down_reads_the_same() -> None:
    """The direction that looks upright is read, whichever comes first."""
    made, pictures = reader(), noise(3, 3, 64, 64)
    made.look = lambda small: (torch.tensor([[1.0, 0.0]] * 3), *reader().look(small)[1:])
    turned = pictures.flip((2, 3))
    assert torch.allclose(made(pictures)[0], made(turned)[0], atol=1e-4)


@pytest.mark.parametrize("half", [False, True])
def test_saved_and_loaded(tmp_path: Path, half: bool) -> None:
    made, paths = reader(), [tmp_path / name for name in ("first.safetensors", "second.safetensors")]
    for path in paths:
        save_reader(path, made, RECIPE.network, half=half)
    assert paths[0].read_bytes() == paths[1].read_bytes()
    loaded = load_reader(paths[0])
    assert loaded.image_size == RECIPE.image_size and not loaded.training
    for name, value in loaded.state_dict().items():
        own = made.state_dict()[name]
        assert value.dtype == own.dtype
        assert torch.equal(value, own.half().float() if half and own.is_floating_point() else own)
    strips = noise(1, 3, STRIP_HEIGHT, STRIP_WIDTH)
    for told, expected in zip(loaded.read(strips), made.read(strips), strict=True):
        assert torch.allclose(told, expected, atol=0.02 if half else 0)
