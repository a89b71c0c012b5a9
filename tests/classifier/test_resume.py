"""Resuming: a training that was killed, extended or cut short ends as the unbroken one; so it does with other crops."""

import logging
import random
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from pillsnap.classifier.train_classifier import train_classifier
from pillsnap.config.training import Steering, Trainings
from pillsnap.files import read_json
from pillsnap.training.history import read_history
from tests.support.models import (
    classifier_job,
    recipe,
    same_weights,
    tiny_stage,
    trained_classifier,
    without_seconds,
    write_crops,
)

EVERYTHING = {
    "epochs": 4,
    "horizon": 6,
    "batch": 4,
    "patience": 9,
    "validate_every": 3,
    "mixup": 0.4,
    "balance": 0.5,
    "layer_decay": 0.8,
    "start_size": 32,
    "image_size": 40,
    "resize_every": 2,
    "resize_by": 8,
    "model_args": {"drop_path_rate": 0.3, "drop_rate": 0.2},
}
"""A recipe with everything random and everything that changes on the way."""
STEERING = Steering.model_validate(
    {
        "mode": "apply",
        "phases": [{"name": "second", "from_epoch": 3, "classifier": {"learning_rate": 1e-3}}],
        "interventions": [
            {
                "name": "decay",
                "model": "classifier",
                "when": {"metric": "train_top1", "above": -1.0},
                "change": {"weight_decay": 0.1},
            }
        ],
    }
)


@pytest.fixture
def job(tmp_path: Path, base: Path) -> dict[str, Any]:
    """Arguments of a training with everything, saved after every step."""
    stage = tiny_stage(base)
    training = Trainings(save_minutes=1e-9)
    return classifier_job(stage, tmp_path / "a", settings=recipe(**EVERYTHING), steering=STEERING, training=training)


def another(job: dict[str, Any], name: str, **changes: Any) -> dict[str, Any]:
    """The same training in another folder."""
    folder = job["work"].parent.with_name(name)
    outputs = ("best", "history", "events", "resources", "work")
    return job | {output: folder / job[output].name for output in outputs} | changes


def assert_same_results(first: dict[str, Any], second: dict[str, Any]) -> None:
    assert without_seconds(first["history"]) == without_seconds(second["history"])
    assert same_weights(first["best"], second["best"])
    assert read_json(first["events"]) == read_json(second["events"])


def started(job: dict[str, Any], before: str = "") -> subprocess.Popen:
    """The training in a process of its own, in which `before` runs first."""
    sections = {name: job[name].model_dump_json() for name in ("settings", "steering", "training")}
    paths = {name: str(value) for name, value in job.items() if isinstance(value, Path)}
    rest = {name: job[name] for name in ("seed", "device", "threads")}
    script = f"""
        import logging, os, signal
        from pathlib import Path
        from pillsnap.config.training import Classifier, Steering, Trainings
        from pillsnap.classifier.train_classifier import train_classifier
        models = {{"settings": Classifier, "steering": Steering, "training": Trainings}}
        sections = {{name: models[name].model_validate_json(text) for name, text in {sections!r}.items()}}
        paths = {{name: Path(path) for name, path in {paths!r}.items()}}
    """
    call = "train_classifier(**sections, **paths, **" + repr(rest) + ")"
    return subprocess.Popen([sys.executable, "-c", "\n".join([textwrap.dedent(script), textwrap.dedent(before), call])])


def test_killed_at_an_epochs_end(job: dict[str, Any]) -> None:
    """Killed with SIGKILL when its second epoch is done and not stored; without a state within epochs."""
    job["training"] = Trainings()
    before = """
        class KillAtSecondEpoch(logging.Handler):
            def emit(self, record):
                if record.getMessage().startswith("epoch 2/"):
                    os.kill(os.getpid(), signal.SIGKILL)
        logging.basicConfig(level=logging.INFO, handlers=[KillAtSecondEpoch()])
    """
    assert started(job, before).wait() == -signal.SIGKILL
    assert torch.load(job["work"] / "last.pt", weights_only=True)["epoch"] == 1
    assert not (job["work"] / "within.pt").exists()
    assert not job["best"].exists()
    train_classifier(**job)
    train_classifier(**another(job, "b"))
    assert_same_results(job, another(job, "b"))


@pytest.mark.campaign
def test_killed_at_random_points(job: dict[str, Any]) -> None:
    """Killed with SIGKILL again and again, whatever it does then, until it comes to its end."""
    chance = random.Random(576)
    kills, places = 0, set()
    for _ in range(40):
        process = started(job)
        known = _place(job["work"])
        while process.poll() is None and _place(job["work"]) == known:
            time.sleep(0.01)
        time.sleep(chance.random() * 0.15)
        process.kill()
        if process.wait() == 0:
            break
        kills += 1
        places.add(_place(job["work"]))
    assert 3 <= kills < 40
    assert any(step for _, step in places if step), "some kill was within an epoch"
    train_classifier(**another(job, "b", training=Trainings()))
    assert_same_results(job, another(job, "b"))


def _place(work: Path) -> tuple[float, float]:
    """When the two newest states were written."""
    return tuple((work / name).stat().st_mtime if (work / name).exists() else 0.0 for name in ("last.pt", "within.pt"))


@pytest.mark.campaign
@pytest.mark.parametrize("stop", range(1, 12))
def test_each_step_can_be_the_last_one_before_a_kill(
    job: dict[str, Any], stop: int, monkeypatch: pytest.MonkeyPatch, base: Path
) -> None:
    """An exception after any number of saved states; what is left goes on to the unbroken run's end."""
    from pillsnap.training.checkpoints import Checkpoints

    save, saved = Checkpoints.save, []

    def save_and_stop(self: Checkpoints, *words: Any, **named: Any) -> None:
        save(self, *words, **named)
        saved.append(None)
        if len(saved) == stop:
            raise KeyboardInterrupt

    monkeypatch.setattr(Checkpoints, "save", save_and_stop)
    with pytest.raises(KeyboardInterrupt):
        train_classifier(**job)
    monkeypatch.undo()
    train_classifier(**job)
    whole = _whole(job, base / "unbroken-with-everything")
    assert_same_results(job, whole)


def _whole(job: dict[str, Any], folder: Path) -> dict[str, Any]:
    """The unbroken training, made once."""
    outputs = ("best", "history", "events", "resources", "work")
    whole = job | {output: folder / job[output].name for output in outputs} | {"training": Trainings()}
    if not folder.exists():
        train_classifier(**whole)
    return whole


@pytest.mark.parametrize("every", [1, 3])
def test_two_epochs_and_two_more_are_four(job: dict[str, Any], every: int) -> None:
    """Whether the second epoch is one with a validation or not."""
    changes = EVERYTHING | {"validate_every": every}
    train_classifier(**job | {"settings": recipe(**changes | {"epochs": 2})})
    assert len(read_history(job["history"])) == 2
    train_classifier(**job | {"settings": recipe(**changes)})
    other = another(job, "b", settings=recipe(**changes))
    train_classifier(**other)
    assert_same_results(job, other)


def test_fewer_epochs_come_from_an_earlier_checkpoint(job: dict[str, Any], caplog: pytest.LogCaptureFixture) -> None:
    changes = EVERYTHING | {"checkpoint_every": 2}
    train_classifier(**job | {"settings": recipe(**changes)})
    caplog.set_level(logging.INFO)
    two = recipe(**changes | {"epochs": 2})
    train_classifier(**job | {"settings": two})
    assert "resuming after epoch 2, step 0" in caplog.text
    other = another(job, "b", settings=two)
    train_classifier(**other)
    assert_same_results(job, other)


def test_fewer_epochs_without_a_checkpoint_start_anew(job: dict[str, Any]) -> None:
    train_classifier(**job)
    one = recipe(**EVERYTHING | {"epochs": 1})
    train_classifier(**job | {"settings": one})
    other = another(job, "b", settings=one)
    train_classifier(**other)
    assert_same_results(job, other)


def test_unreadable_checkpoint_costs_only_its_epochs(job: dict[str, Any], base: Path) -> None:
    job["settings"] = recipe(**EVERYTHING | {"checkpoint_every": 1, "keep_checkpoints": 3, "epochs": 3})
    train_classifier(**job)
    (job["work"] / "last.pt").unlink()
    (job["work"] / "last.pt").write_bytes(b"no checkpoint")
    (job["work"] / "epoch-0003.pt").unlink()
    job["settings"] = recipe(**EVERYTHING | {"checkpoint_every": 1, "keep_checkpoints": 3})
    train_classifier(**job)
    assert_same_results(job, _whole(job, base / "unbroken-with-checkpoints"))


def test_backup_gets_kept_checkpoints(job: dict[str, Any], tmp_path: Path) -> None:
    settings = recipe(**EVERYTHING | {"checkpoint_every": 1})
    train_classifier(**job | {"settings": settings, "training": Trainings(backup=str(tmp_path / "backup"))})
    kept = tmp_path / "backup" / job["work"].parent.name / "work"
    assert sorted(path.name for path in kept.iterdir()) == ["epoch-0003.pt", "epoch-0004.pt"]


def test_cycles_resume_with_other_crops(job: dict[str, Any], tmp_path: Path) -> None:
    """The place within an epoch belongs to the old crops; weights and finished epochs stay."""
    write_crops(tmp_path / "crops", pills=15)
    cycles = Trainings(cycles=2, save_minutes=1e-9)
    settings = recipe(**EVERYTHING | {"epochs": 2})
    train_classifier(**job | {"settings": settings, "training": cycles})
    before = torch.load(job["work"] / "last.pt", weights_only=True)
    # as if it had been stopped within its third epoch
    torch.save(before | {"step": 1, "loss": 1e9, "seen": 4}, job["work"] / "within.pt")
    train_classifier(**job | {"training": cycles, "crops": tmp_path / "crops"})
    rows, events = read_history(job["history"]), read_json(job["events"])
    assert len(rows) == 4
    assert rows[2]["loss"] < 100
    data = [event for event in events if event["kind"] == "data"]
    assert [(event["epoch"], event["applied"]) for event in data] == [(2, True)]
    assert not job["work"].with_name("work.previous").exists()


def test_other_crops_start_anew_without_cycles(job: dict[str, Any], tmp_path: Path) -> None:
    write_crops(tmp_path / "crops", pills=15)
    one = recipe(epochs=1)
    train_classifier(**job | {"settings": one})
    train_classifier(**job | {"settings": one, "crops": tmp_path / "crops"})
    assert job["work"].with_name("work.previous").exists()
    assert [event["kind"] for event in read_json(job["events"])] == ["intervention"]


def test_what_only_stores_changes_nothing(tmp_path: Path, base: Path) -> None:
    unbroken = trained_classifier(base)
    settings = recipe(checkpoint_every=1, keep_checkpoints=1, cache_gb=0, smallest_batch=2)
    stored = classifier_job(tiny_stage(base), tmp_path, settings=settings, training=Trainings(save_minutes=1e-9))
    train_classifier(**stored)
    assert_same_results(stored, unbroken)
    shutil.rmtree(tmp_path)
