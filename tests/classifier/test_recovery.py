"""Memory that runs out and losses that are no numbers: what the classifier's training does then, and what it says."""

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn import functional

from pillsnap.classifier import trainer as classifier_training
from pillsnap.classifier.train_classifier import train_classifier
from pillsnap.config.training import Steering, Trainings
from pillsnap.files import read_json
from pillsnap.training.history import read_history
from pillsnap.training.recovery import BatchError, DivergedError
from tests.support.models import classifier_job, recipe, same_weights, tiny_stage, without_seconds

SETTINGS = {"model": "test_vit", "image_size": 64, "epochs": 3, "horizon": 3, "patience": 9}
"""A model without batch norm: parts of a batch give the whole batch's gradients."""


@pytest.fixture
def job(tmp_path: Path, base: Path) -> dict[str, Any]:
    return classifier_job(tiny_stage(base), tmp_path / "a", settings=recipe(**SETTINGS))


def another(job: dict[str, Any], **changes: Any) -> dict[str, Any]:
    folder = job["work"].parent.with_name("b")
    outputs = ("best", "history", "events", "resources", "work")
    return job | {output: folder / job[output].name for output in outputs} | changes


def run_out(monkeypatch: pytest.MonkeyPatch, most: int, *, from_call: int = 0) -> list[int]:
    """Have the device's memory run out with more than `most` pictures in a training step; returns what was tried."""
    tried: list[int] = []
    original = functional.cross_entropy

    def loss(logits: torch.Tensor, *words: Any, **named: Any) -> torch.Tensor:
        tried.append(len(logits))
        if len(logits) > most and len(tried) > from_call:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return original(logits, *words, **named)

    monkeypatch.setattr(classifier_training.functional, "cross_entropy", loss)
    return tried


def test_out_of_memory_keeps_the_batch(job: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """In the second epoch four pictures are too many: it goes on from the first with two, and learns the same."""
    whole = another(job)
    train_classifier(**whole)
    tried = run_out(monkeypatch, 2, from_call=2)
    train_classifier(**job)
    assert tried[:2] == [8, 4], "the first epoch of 12 pills"
    assert tried[2:5] == [8, 4, 2]
    assert set(tried[5:]) <= {1, 2}
    told = [event for event in read_json(job["events"]) if event["kind"] == "out_of_memory"]
    assert [(event["epoch"], event["changes"]["pictures_at_once"]) for event in told] == [(1, 4), (1, 2)]
    assert read_json(job["work"] / "recovery.json")["accumulation_steps"] == 4
    ours, theirs = read_history(job["history"]), read_history(whole["history"])
    assert [row["loss"] for row in ours] == pytest.approx([row["loss"] for row in theirs], rel=1e-3)
    assert without_seconds(job["history"])[0] == without_seconds(whole["history"])[0]


def test_parts_are_kept_for_the_next_start(job: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    tried = run_out(monkeypatch, 4)
    train_classifier(**job | {"settings": recipe(**SETTINGS | {"epochs": 1})})
    tried.clear()
    train_classifier(**job)
    assert max(tried) == 4


@pytest.mark.parametrize(("smallest", "sizes"), [(1, [8, 4, 2, 1]), (4, [8, 4]), (8, [8])])
def test_the_descent_ends_at_the_smallest_batch(
    job: dict[str, Any], monkeypatch: pytest.MonkeyPatch, smallest: int, sizes: list[int]
) -> None:
    tried = run_out(monkeypatch, 0)
    with pytest.raises(BatchError, match=rf"classifier\.smallest_batch = {smallest} allows no fewer\. Lower it"):
        train_classifier(**job | {"settings": recipe(**SETTINGS | {"smallest_batch": smallest})})
    assert tried == sizes
    assert not job["best"].exists()


def test_other_errors_are_not_taken_for_it(job: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    monkeypatch.setattr(classifier_training.functional, "cross_entropy", fail)
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        train_classifier(**job)
    assert not (job["work"] / "recovery.json").exists()


def steering(mode: str) -> Steering:
    when = {"metric": "loss", "not_finite": True}
    change = {"precision": "fp32", "learning_rate": 1e-4}
    one = {"name": "no number", "model": "classifier", "when": when, "change": change}
    return Steering.model_validate({"mode": mode, "interventions": [one]})


def break_bf16(monkeypatch: pytest.MonkeyPatch, *, from_call: int) -> None:
    """Have losses be no numbers from a call on, while passes are in bfloat16."""
    calls = []
    original = functional.cross_entropy

    def loss(logits: torch.Tensor, *words: Any, **named: Any) -> torch.Tensor:
        calls.append(None)
        broken = len(calls) > from_call and torch.equal(logits, logits.bfloat16().float())
        return original(logits, *words, **named) * (math.nan if broken else 1.0)

    monkeypatch.setattr(classifier_training.functional, "cross_entropy", loss)


@pytest.mark.parametrize("minutes", [10.0, 1e-9], ids=["", "saved after every step"])
def test_no_number_goes_back_in_another_precision(
    job: dict[str, Any], monkeypatch: pytest.MonkeyPatch, minutes: float
) -> None:
    """The second epoch's last step breaks: the epoch is done again in fp32, wherever in it a state was saved."""
    break_bf16(monkeypatch, from_call=3)
    words = {"settings": recipe(**SETTINGS | {"precision": "bf16"}), "steering": steering("apply")}
    train_classifier(**job | words | {"training": Trainings(save_minutes=minutes)})
    (event,) = read_json(job["events"])
    assert (event["epoch"], event["applied"], event["back"]) == (1, True, True)
    assert "loss is nan, not finite; now, learning rate 0.0001, precision fp32" in event["said"]
    rows = read_history(job["history"])
    assert len(rows) == 3
    assert all(math.isfinite(row["loss"]) for row in rows)
    assert rows[1]["learning_rate"] == pytest.approx(1e-4 * (0.01 + 0.99 / 2), rel=1e-5)
    assert torch.load(job["work"] / "last.pt", weights_only=True)["precision"] == "fp32"
    # where and when a state was saved does not show
    monkeypatch.undo()
    phase = {"name": "as if known", "from_epoch": 2, "classifier": {"precision": "fp32", "learning_rate": 1e-4}}
    known = another(job, **words | {"steering": Steering.model_validate({"phases": [phase]})})
    train_classifier(**known)
    assert same_weights(job["best"], known["best"])


@pytest.mark.parametrize("mode", ["advise", "apply"])
def test_no_number_without_a_cure_left_ends_the_training(
    job: dict[str, Any], monkeypatch: pytest.MonkeyPatch, mode: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Advice alone does nothing; what is applied once and does not help is not tried again."""
    caplog.set_level("INFO")
    monkeypatch.setattr(
        classifier_training.functional, "cross_entropy", lambda logits, *_, **__: logits.sum() * math.nan
    )
    with pytest.raises(DivergedError, match=r"epoch 1: non-finite loss \(nan\)\. Lower classifier\.learning_rate"):
        train_classifier(**job | {"steering": steering(mode)})
    assert not (job["work"] / "last.pt").exists()
    assert ("advised" if mode == "advise" else "now, learning rate 0.0001") in caplog.text
