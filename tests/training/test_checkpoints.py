"""Checkpoints: which are kept, what is loaded, and what happens to broken ones."""

import pickle
from pathlib import Path
from typing import Any

import pytest
import torch

from pillsnap.config.training import Classifier
from pillsnap.training.checkpoints import Checkpoints


def state(epoch: int, step: int = 0) -> dict[str, Any]:
    return {"epoch": epoch, "step": step, "model": {"weight": torch.full((3,), float(epoch))}}


def recipe(every: int, keep: int) -> Classifier:
    return Classifier(checkpoint_every=every, keep_checkpoints=keep)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


@pytest.mark.parametrize(
    ("every", "keep", "epochs", "kept"),
    [
        (1, 2, 5, ["epoch-0004.pt", "epoch-0005.pt"]),
        (5, 2, 17, ["epoch-0010.pt", "epoch-0015.pt"]),
        (5, 9, 12, ["epoch-0005.pt", "epoch-0010.pt"]),
        (5, 2, 4, []),
        (1, 0, 3, []),
    ],
)
def test_policy(tmp_path: Path, every: int, keep: int, epochs: int, kept: list[str]) -> None:
    work, backup = tmp_path / "work", tmp_path / "disk two" / "stage1"
    checkpoints = Checkpoints(work, recipe=recipe(every, keep), backup=backup)
    for epoch in range(1, epochs + 1):
        checkpoints.save(state(epoch))
    assert names(work) == [*kept, "last.pt"]
    assert names(backup) == kept
    assert all((backup / name).read_bytes() == (work / name).read_bytes() for name in kept)


def test_kept_ones_stay_what_they_were(tmp_path: Path) -> None:
    """The kept name and `last.pt` are one file until the next state takes the latter's place."""
    checkpoints = Checkpoints(tmp_path, recipe=recipe(1, 3))
    checkpoints.save(state(1))
    assert (tmp_path / "epoch-0001.pt").stat().st_ino == (tmp_path / "last.pt").stat().st_ino
    checkpoints.save(state(2))
    assert torch.load(tmp_path / "epoch-0001.pt", weights_only=True)["epoch"] == 1


def test_within_an_epoch_the_last_ones_end_stays(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path, recipe=recipe(1, 3))
    checkpoints.save(state(5, step=7), epoch_ended=False)
    assert names(tmp_path) == ["within.pt"]
    checkpoints.save(state(6))
    assert names(tmp_path) == ["epoch-0006.pt", "last.pt"]
    checkpoints.save(state(6, step=2), epoch_ended=False)
    assert names(tmp_path) == ["epoch-0006.pt", "last.pt", "within.pt"]
    found = [checkpoints.load(upto=9, within=within) for within in (True, False)]
    assert [(each["epoch"], each["step"]) for each in found] == [(6, 2), (6, 0)]


@pytest.mark.parametrize(
    ("upto", "found"), [(9, (7, 3)), (8, (7, 3)), (7, (6, 0)), (6, (6, 0)), (5, (5, 0)), (4, None)]
)
def test_newest_state_of_at_most_so_many_epochs(tmp_path: Path, upto: int, found: tuple[int, int] | None) -> None:
    checkpoints = Checkpoints(tmp_path, recipe=recipe(1, 2))
    for epoch in range(1, 7):
        checkpoints.save(state(epoch))
    checkpoints.save(state(7, step=3), epoch_ended=False)
    loaded = checkpoints.load(upto=upto)
    assert (loaded and (loaded["epoch"], loaded["step"])) == found


@pytest.mark.parametrize("damage", [b"", b"PK\x03\x04 half", None], ids=["empty", "garbage", "cut off"])
@pytest.mark.parametrize(
    ("broken", "found"), [(["within.pt"], (2, 0)), (["within.pt", "last.pt"], (2, 0)), (["last.pt"], (2, 5))]
)
def test_broken_state_gives_way_to_an_earlier_one(
    tmp_path: Path, damage: bytes | None, broken: list[str], found: tuple[int, int], caplog: pytest.LogCaptureFixture
) -> None:
    checkpoints = Checkpoints(tmp_path, recipe=recipe(1, 2))
    for epoch in (1, 2):
        checkpoints.save(state(epoch))
    checkpoints.save(state(2, step=5), epoch_ended=False)
    for path in (tmp_path / name for name in broken):
        cut = path.read_bytes()[:-200] if damage is None else damage
        path.unlink()  # the kept one may be the same file
        path.write_bytes(cut)
    loaded = checkpoints.load(upto=9)
    assert loaded and torch.equal(loaded["model"]["weight"], torch.full((3,), 2.0))
    assert (loaded["epoch"], loaded["step"]) == found
    assert found == (2, 5) or f"{broken[-1]} cannot be read" in caplog.text


def test_no_state_is_no_error(tmp_path: Path) -> None:
    assert Checkpoints(tmp_path / "none", recipe=recipe(1, 1)).load(upto=5) is None


def test_foreign_code_is_never_run(tmp_path: Path) -> None:
    """A file that would run a command when it is unpickled is not opened as one."""

    class Mischief:
        def __reduce__(self) -> tuple[Any, ...]:
            return Path.touch, (tmp_path / "ran",)

    with (tmp_path / "last.pt").open("wb") as stream:
        pickle.dump({"epoch": 1, "model": Mischief()}, stream)
    assert Checkpoints(tmp_path, recipe=recipe(1, 1)).load(upto=5) is None
    torch.save({"epoch": 1, "model": Mischief()}, tmp_path / "last.pt")
    assert Checkpoints(tmp_path, recipe=recipe(1, 1)).load(upto=5) is None
    assert not (tmp_path / "ran").exists()
