"""Network of the reader: what it tells, strips of the imprint's line, and its file."""

import json
import math
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from pillsnap.reader.looks import CHARACTERS, COLOUR_NAMES, PLACES, SHAPE_NAMES
from pillsnap.reader.model import (
    COLUMNS,
    STRIP_HEIGHT,
    STRIP_REACH,
    STRIP_WIDTH,
    Reader,
    ReaderError,
    cut_strips,
    half_angle,
    load_reader,
    save_reader,
)
from tests.support.reader_crops import RECIPE
from tests.support.workflow import PROJECT


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
    strokes = reader().strokes(torch.zeros(2, 3, STRIP_HEIGHT, STRIP_WIDTH))
    assert strokes.shape == (2, 64, 6, 24)
    places, characters = reader().read(strokes)
    assert places.shape == (2, PLACES, COLUMNS) and characters.shape == (2, PLACES, len(CHARACTERS) + 1)
    assert reader().upright(strokes).shape == (2,)


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
    """The direction that looks upright is read, whichever comes first: it is the other one in some of the crops."""
    made, pictures = reader(), noise(8, 3, 64, 64)
    made.look = lambda small: (torch.tensor([[1.0, 0.0]] * 8), *reader().look(small)[1:])
    strips = cut_strips(pictures, torch.tensor([[1.0, 0.0]] * 8))
    ahead, back = made.strokes(strips), made.strokes(strips.flip((2, 3)))
    upright = made.upright(ahead) >= made.upright(back)
    assert 0 < upright.sum() < 8
    expected = made.read(torch.where(upright[:, None, None, None], ahead, back))[1]
    for crops in (pictures, pictures.flip((2, 3))):
        assert torch.allclose(made(crops)[0], expected, atol=1e-4)


def test_strips_of_answers_never_reach_the_crop_s_edge() -> None:
    """So nothing depends on what lies behind it: zeros, which are the fast way."""
    angles = torch.linspace(0, 2 * math.pi, 73)
    ones = cut_strips(torch.ones(73, 3, 144, 144), torch.stack([angles.cos(), angles.sin()], 1))
    assert torch.allclose(ones, torch.ones_like(ones))


@pytest.mark.parametrize("side", [2 * RECIPE.image_size, 3 * RECIPE.image_size])
def test_crops_of_any_side_are_seen_small(side: int) -> None:
    """At twice the side the mean of 2 x 2 pixels is seen, at another what `resize` makes of it."""
    made, pictures, seen = reader(), noise(2, 3, side, side), []
    made.body.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    made(pictures)
    assert seen[0].shape == (2, 3, RECIPE.image_size, RECIPE.image_size)
    blocks = pictures.unfold(2, side // RECIPE.image_size, side // RECIPE.image_size)
    means = blocks.unfold(3, side // RECIPE.image_size, side // RECIPE.image_size).mean((4, 5))
    assert torch.allclose(seen[0], means, atol=1e-5 if side == 2 * RECIPE.image_size else 0.3)


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
    tells = ((*each.read(each.strokes(strips)), each.upright(each.strokes(strips))) for each in (loaded, made))
    for told, expected in zip(*tells, strict=True):
        assert torch.allclose(told, expected, atol=0.02 if half else 0)


def of_another_version(path: Path) -> None:
    with safe_open(PROJECT / "weights/pill-detector.safetensors", framework="pt") as stored:
        facts = json.dumps(RECIPE.network)
        save_file({"upright.weight": stored.get_tensor(next(iter(stored.keys())))}, path, {"pillsnap": facts})


@pytest.mark.parametrize(
    ("write", "said"),
    [
        (lambda path: None, "FileNotFoundError"),
        (lambda path: path.write_bytes(b"no weights"), "SafetensorError"),
        (lambda path: save_file({"one": torch.zeros(1)}, path), "KeyError"),
        (of_another_version, "RuntimeError"),
        (lambda path: shutil.copyfile(PROJECT / "weights/pill-detector.safetensors", path), "KeyError"),
    ],
    ids=["missing", "no weights", "without facts", "another version's", "a detector's"],
)
def test_other_weights_are_refused(tmp_path: Path, write: Callable[[Path], object], said: str) -> None:
    path = tmp_path / "reader.safetensors"
    write(path)
    with pytest.raises(ReaderError, match=f"{path}: no weights of this version's reader.*{said}.*docs/weights.md"):
        load_reader(path)
