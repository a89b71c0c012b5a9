"""Network of the reader: shapes of what it tells, and its file."""

from pathlib import Path

import pytest
import torch

from pillsnap.reader.looks import CHARACTERS, COLOUR_NAMES, PLACES, SHAPE_NAMES
from pillsnap.reader.model import STRIDE, Reader, load_reader, save_reader
from tests.support.reader_crops import RECIPE


def reader() -> Reader:
    torch.manual_seed(4)
    return Reader(RECIPE.model, RECIPE.model_args, width=RECIPE.width).eval()


@pytest.mark.parametrize("side", [64, 96])
def test_outputs(side: int) -> None:
    places, characters, shapes, colours = reader()(torch.zeros(2, 3, side, side))
    assert places.shape == (2, PLACES, (side // STRIDE) ** 2)
    assert characters.shape == (2, PLACES, len(CHARACTERS) + 1)
    assert (shapes.shape, colours.shape) == ((2, len(SHAPE_NAMES)), (2, len(COLOUR_NAMES)))


@pytest.mark.parametrize("half", [False, True])
def test_saved_and_loaded(tmp_path: Path, half: bool) -> None:
    made, paths = reader(), [tmp_path / name for name in ("first.safetensors", "second.safetensors")]
    for path in paths:
        save_reader(path, made, RECIPE.network, half=half)
    assert paths[0].read_bytes() == paths[1].read_bytes()
    loaded, image_size = load_reader(paths[0])
    assert image_size == RECIPE.image_size and not loaded.training
    for name, value in loaded.state_dict().items():
        own = made.state_dict()[name]
        assert value.dtype == own.dtype
        assert torch.equal(value, own.half().float() if half and own.is_floating_point() else own)
    picture = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    for told, expected in zip(loaded(picture), made(picture), strict=True):
        assert torch.allclose(told, expected, atol=0.02 if half else 0)


def test_shown_characters_are_named_where_they_are() -> None:
    """Features of the cells that are told; with all attention there, the same logits as where the reader looks."""
    made, picture = reader(), torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    cells = torch.arange(2 * PLACES).view(2, PLACES)
    shown = made(picture, cells)[4]
    for row, place in ((0, 0), (1, 5)):
        attention = torch.full((1, 1, 64), -1e4)
        attention[..., cells[row, place]] = 1e4
        made.attend.forward = lambda _, told=attention: told.expand(2, PLACES, -1).unflatten(2, (8, 8))
        assert torch.allclose(made(picture)[1][row, place], shown[row, place], atol=1e-5)
