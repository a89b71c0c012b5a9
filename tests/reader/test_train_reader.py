"""Training of the reader: it learns, and killed it ends as in one go."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from pillsnap.classifier.transforms import draw_views
from pillsnap.reader import train_reader as module
from pillsnap.reader.crops import ReaderCropSet
from pillsnap.reader.looks import CHARACTERS, COLOUR_NAMES, PLACES, SHAPE_NAMES, codes_of
from pillsnap.reader.model import COLUMNS, STRIP_REACH, load_reader
from pillsnap.reader.settings import ReaderRecipe
from pillsnap.reader.train_reader import _Lines, angles_in_views, reading_accuracy, train_reader
from pillsnap.training.history import read_history
from tests.support.reader_crops import RECIPE, SETTINGS, reader_crops
from tests.support.views import places_in_views

LOSSES = tuple(f"{name}_loss" for name in module.LOSSES)
Row = dict[str, float | None]


def train(base: Path, folder: Path, settings: ReaderRecipe = RECIPE, seed: int = 1) -> tuple[bytes, list[Row]]:
    """Weights, and rows of the history without their time."""
    train_reader(
        train=[reader_crops(base, "train")],
        val=[reader_crops(base, "val")],
        side=SETTINGS.size,
        weights=folder / "last.safetensors",
        history=folder / "history.csv",
        work=folder / "work",
        settings=settings,
        seed=seed,
        device="cpu",
        threads=1,
    )
    rows = [{name: row[name] for name in row if name != "seconds"} for row in read_history(folder / "history.csv")]
    return (folder / "last.safetensors").read_bytes(), rows


class KilledError(Exception):
    """Stands for the end of the process."""


def kill_after(epochs: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """End the training when it has so many finished epochs, in the one behind them."""
    done: list[int] = []

    def accuracy(*words: object) -> Row:
        if len(done) == epochs:
            raise KilledError
        done.append(1)
        return reading_accuracy(*words)

    monkeypatch.setattr(module, "reading_accuracy", accuracy)


def test_losses_fall(base: Path, tmp_path: Path) -> None:
    _, rows = train(base, tmp_path, RECIPE.model_copy(update={"epochs": 40}))
    assert [row["epoch"] for row in rows] == list(range(1, 41))
    for name in set(LOSSES) - {"axes_loss"}:
        assert rows[-1][name] < 0.9 * rows[0][name], name
    axes = [row["axes_loss"] for row in rows]  # from so few crops it is learnt slowly, and an epoch tells little
    assert np.mean(axes[20:]) < np.mean(axes[:10])
    assert load_reader(tmp_path / "last.safetensors").image_size == RECIPE.image_size


@pytest.mark.parametrize("epochs", [0, 1, 2])
def test_killed_in_an_epoch_it_ends_with_the_same_bytes(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, epochs: int
) -> None:
    with monkeypatch.context() as patch, pytest.raises(KilledError):
        kill_after(epochs, patch)
        train(base, tmp_path / "killed")
    assert not (tmp_path / "killed/last.safetensors").exists()
    assert train(base, tmp_path / "killed") == train(base, tmp_path / "whole")


def test_a_finished_training_is_exported_again_without_a_step(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = train(base, tmp_path)
    kill_after(0, monkeypatch)
    assert train(base, tmp_path) == made


@pytest.mark.parametrize("change", [{"seed": 2}, {"settings": RECIPE.model_copy(update={"epochs": 2})}], ids=str)
def test_the_state_of_another_training_is_set_aside(base: Path, tmp_path: Path, change: dict) -> None:
    """More epochs are another training, too, since the learning rate falls to their end."""
    train(base, tmp_path / "changed")
    assert train(base, tmp_path / "changed", **change) == train(base, tmp_path / "new", **change)
    assert (tmp_path / "changed/work.previous/state.pt").is_file()


def test_sides_without_an_imprint_alone_are_trained_on(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def blank(*words: object) -> ReaderCropSet:
        data = read(*words)
        data.codes[:], data.places[:] = len(CHARACTERS), float("nan")
        return data

    read = module.read_reader_crops
    monkeypatch.setattr(module, "read_reader_crops", blank)
    _, rows = train(base, tmp_path)
    assert all(
        row["places_loss"] == row["upright_loss"] == row["axes_loss"] == 0 and row["characters_loss"] < 10
        for row in rows
    )
    assert (rows[-1]["imprint"], rows[-1]["characters"]) == (None, None)


def test_lines_lie_along_the_imprint() -> None:
    """At 60 degrees, down to the right; the columns of its characters are those where the strip shows them."""
    away = torch.tensor([math.cos(math.radians(60)), math.sin(math.radians(60))])
    places = torch.full((400, PLACES, 2), float("nan"))
    for place, step in enumerate((-0.2, 0.0, 0.2)):
        places[:, place] = 0.5 + step * away
    places[200:, 1:] = float("nan")  # one character tells no direction
    lines = _Lines(places, torch.Generator().manual_seed(0))
    assert lines.long.tolist() == [True] * 200 + [False] * 200
    assert torch.allclose(lines.doubled[:200], torch.tensor([math.cos(math.radians(120)), math.sin(math.radians(120))]))
    turned = torch.rad2deg(torch.atan2(lines.directions[:200, 1], lines.directions[:200, 0]))
    assert abs(float(turned.mean()) - 60) < 2 and 6 < float(turned.std()) < 10
    expected = [(step / STRIP_REACH[0] + 0.5) * COLUMNS for step in (-0.2, 0.0, 0.2)]
    assert (lines.columns[:200, :3].float().mean(0) + 0.5).tolist() == pytest.approx(expected, abs=0.5)


def test_an_axis_turns_with_its_view() -> None:
    """The axis through two places of a picture is, in its view, the axis through where the two are then."""
    views = draw_views(50, torch.Generator().manual_seed(0))
    places = torch.full((50, PLACES, 2), float("nan"))
    places[:, :2] = torch.rand(50, 2, 2, generator=torch.Generator().manual_seed(1))
    lines, seen = (_Lines(each, torch.Generator().manual_seed(2)) for each in (places, places_in_views(places, views)))
    assert torch.allclose(angles_in_views(lines.doubled, views), seen.doubled, atol=1e-4)


class Told(nn.Module):
    """A reader that tells what it is given."""

    def __init__(self, imprints: list[str], shapes: list[int], colours: list[list[int]]) -> None:
        super().__init__()
        self.body = nn.Module()
        self.body.pretrained_cfg = {"mean": (0.5,) * 3, "std": (0.5,) * 3}
        self.device_of = nn.Parameter(torch.zeros(1))
        codes = torch.from_numpy(codes_of(imprints))
        self.told = (
            nn.functional.one_hot(codes, len(CHARACTERS) + 1).float(),
            nn.functional.one_hot(torch.tensor(shapes), len(SHAPE_NAMES)).float(),
            several(colours) * 2 - 1,
        )

    def forward(self, pictures: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return self.told


def several(colours: list[list[int]]) -> torch.Tensor:
    return torch.stack([torch.eye(len(COLOUR_NAMES))[each].sum(0) for each in colours])


def test_accuracies_are_shares_of_what_they_are_of() -> None:
    truth = ["AB1", "AB1", "C", "", ""]
    data = ReaderCropSet(
        pictures=torch.zeros(5, 8, 8, 3, dtype=torch.uint8),
        codes=torch.from_numpy(codes_of(truth)),
        places=torch.zeros(5, PLACES, 2),
        shapes=torch.tensor([0, 1, 2, 3, 4]),
        colours=several([[0], [0, 1], [2], [3], [4]]),
    )
    reader = Told(["AB1", "AB7", "CC", "", "X"], [0, 1, 2, 3, 0], [[0], [0], [2], [3, 4], [4]])
    assert reading_accuracy(reader, data) == pytest.approx(
        {"imprint": 1 / 3, "characters": 6 / 7, "blank": 1 / 2, "shape": 4 / 5, "colours": 3 / 5}
    )
