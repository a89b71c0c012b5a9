"""Clocks that jump. The system's own is not touched: time stamps of files and Python's `time.time` are moved."""

import os
import time
from pathlib import Path

import pytest

from pillsnap.classifier.train_classifier import train_classifier
from pillsnap.files import sha256_of
from pillsnap.training.history import read_history
from tests.support.faults.ledger import Ledger
from tests.support.faults.runs import Unbroken
from tests.support.models import classifier_job, recipe, tiny_stage, without_seconds
from tests.support.workflow import Workflow

DAY = 86400.0
TARGET = "results/stage4/plan.json"


def shift(folder: Path, seconds: float) -> None:
    """Move the time stamps of everything below a folder."""
    for path in [folder, *folder.rglob("*")]:
        stat = path.lstat()
        os.utime(path, (stat.st_atime + seconds, stat.st_mtime + seconds), follow_symlinks=False)


def cure(workflow: Workflow) -> None:
    """What is made now is older than what it is made from: that is refused and told, until the stamps are put right."""
    said = workflow.snakemake(target=TARGET, check=False)
    assert "has older modification time" in said
    assert "This could indicate a clock skew problem" in said
    words = "data results -newermt now -exec touch {} +"
    assert f"find {words}\n" in (workflow.folder / "docs/troubleshooting.md").read_text(), "the cure that is told"
    workflow.run("find", *words.split())
    workflow.snakemake(target=TARGET)


@pytest.fixture
def copied(unbroken: Unbroken, tmp_path: Path) -> Workflow:
    return unbroken.workflow.copy(tmp_path / "project")


def test_what_was_made_lies_in_the_future(copied: Workflow, unbroken: Unbroken, ledger: Ledger) -> None:
    """The clock was a day ahead while everything was made, and was put right then."""
    for part in ("data", "results"):
        shift(copied.folder / part, DAY)
    (copied.folder / TARGET).unlink()
    ledger.fault("clock", "results in the future")
    cure(copied)
    ledger.losses(unbroken.differences(copied.folder, whole=True))
    assert copied.planned(target=TARGET) == set()


def test_raw_data_lie_in_the_future(copied: Workflow, unbroken: Unbroken, ledger: Ledger) -> None:
    shift(copied.folder / "data", DAY)
    ledger.fault("clock", "raw data in the future")
    cure(copied)
    ledger.losses(unbroken.differences(copied.folder, whole=False))
    assert copied.planned(target=TARGET) == set()


def test_what_was_made_lies_in_the_past(copied: Workflow, unbroken: Unbroken, ledger: Ledger) -> None:
    """The clock was ten years behind while all was made but the archives."""
    shift(copied.folder / "results", -3650 * DAY)
    copied.snakemake(target=TARGET)
    ledger.fault("clock", "results in the past")
    ledger.losses(unbroken.differences(copied.folder, whole=True))
    assert copied.planned(target=TARGET) == set()


@pytest.mark.parametrize("jump", [-3600.0, DAY])
def test_a_clock_that_jumps_while_a_training_runs(
    tmp_path: Path, base: Path, monkeypatch: pytest.MonkeyPatch, ledger: Ledger, jump: float
) -> None:
    """Durations follow the clock that cannot be set, and the weights follow none."""
    settings = recipe(model="test_vit", image_size=64, epochs=3, horizon=3, patience=9)
    whole, jumped = (classifier_job(tiny_stage(base), tmp_path / name, settings=settings) for name in "ab")
    train_classifier(**whole)
    real, calls = time.time, []

    def clock() -> float:
        calls.append(None)
        return real() + jump * (len(calls) > 3)

    monkeypatch.setattr(time, "time", clock)
    train_classifier(**jumped)
    ledger.fault("clock", "training")
    assert len(calls) > 3, "the clock was read before and after it jumped"
    differ = sha256_of(whole["best"]) != sha256_of(jumped["best"])
    differ |= without_seconds(whole["history"]) != without_seconds(jumped["history"])
    ledger.losses(["weights differ after a jump of the clock"] if differ else [])
    assert all(0 <= row["seconds"] < 60 for row in read_history(jumped["history"]))
