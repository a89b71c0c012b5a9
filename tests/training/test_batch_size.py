"""`classifier.batch: auto`: which batch a GPU's memory gives, what follows from it, and that a training keeps it."""

import math
import re
from pathlib import Path
from typing import Any

import pytest

from pillsnap.classifier.train_classifier import train_classifier
from pillsnap.config.load import read_config
from pillsnap.config.training import Classifier, Steering
from pillsnap.files import read_json
from pillsnap.preflight.findings import GIB
from pillsnap.training import batch_size
from pillsnap.training.batch_size import BatchChoice, choose_batch, fit_batch, scale_rates
from pillsnap.training.processes import Processes
from tests.support.models import classifier_job, recipe, same_weights, tiny_stage, trained_classifier
from tests.support.workflow import PROJECT

PROFILE = PROJECT / "profiles" / "production"
PILLS = 400_000
RATES = {
    "phases": [
        {"name": "first", "from_epoch": 1},
        {"name": "last", "from_epoch": 2, "classifier": {"learning_rate": 2e-5}, "detector": {"learning_rate": 1e-4}},
    ],
    "interventions": [
        {"name": name, "model": name, "when": {"metric": metric, "below": 0.6}, "change": change}
        for name, metric, change in (
            ("classifier", "val_top1", {"learning_rate": 1e-4, "weight_decay": 1e-3}),
            ("detector", "map50", {"learning_rate": 5e-4}),
        )
    ],
}


@pytest.fixture(scope="module")
def production() -> Classifier:
    return read_config(PROJECT / "config.yaml", PROFILE / "pillsnap.yaml", PROFILE / "large_gpu.yaml").classifier


def choose(settings: Classifier, memory: int | None, *, world_size: int = 1, pills: int = PILLS) -> BatchChoice:
    return choose_batch(settings, gpu="a GPU", gpu_memory=memory, world_size=world_size, pills=pills)


@pytest.mark.parametrize(
    ("memory", "world_size", "pills", "batch"),
    [
        (None, 1, PILLS, 8),
        (8 * GIB, 1, PILLS, 8),
        (16 * GIB, 1, PILLS, 8),
        (16 * GIB, 4, PILLS, 32),
        (10_000 * GIB, 1, PILLS, 128),
        (139 * GIB, 1, 3_300, 32),
        (139 * GIB, 1, 10, 8),
    ],
    ids=["CPU", "too small", "16 GB", "four of 16 GB", "no GPU has", "few pills", "hardly any"],
)
def test_batch_by_memory_processes_and_pills(
    production: Classifier, memory: int | None, world_size: int, pills: int, batch: int
) -> None:
    assert choose(production, memory, world_size=world_size, pills=pills).batch == batch


def test_rates_and_average_follow_the_batch(production: Classifier) -> None:
    choice = choose(production, 300 * GIB)
    assert choice.learning_rate == pytest.approx(production.learning_rate * 4)
    # as many pictures leave the average as without: 16 steps of the reference batch are one
    assert choice.average_decay == pytest.approx(production.average_decay**16)
    assert "batch 128 by a GPU, 300 GiB (reference batch 8): learning rate 0.0002" in choice.event.said
    same = choose(production, None)
    assert (same.learning_rate, same.average_decay) == (production.learning_rate, production.average_decay)


def test_document_tells_the_batches_of_the_production_recipe(production: Classifier) -> None:
    page = (PROJECT / "docs" / "training.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| [\w ]+ \| (\d+) GiB \| (\d+) \| ([\d.e-]+) \|$", page, re.MULTILINE)
    assert len(rows) == 4
    for memory, batch, rate in rows:
        choice = choose(production, int(memory) * GIB)
        assert (choice.batch, f"{choice.learning_rate:.1e}") == (int(batch), f"{float(rate):.1e}")


def test_steering_scales_the_classifiers_rates_alone() -> None:
    steering = scale_rates(Steering.model_validate(RATES), 4.0)
    assert steering.phases[0] == Steering.model_validate(RATES).phases[0]
    assert steering.phases[1].classifier.values == {"learning_rate": pytest.approx(8e-5)}
    assert steering.phases[1].detector.values == {"learning_rate": 1e-4}
    changes = [each.change.values for each in steering.interventions]
    assert changes == [{"learning_rate": pytest.approx(4e-4), "weight_decay": 1e-3}, {"learning_rate": 5e-4}]


def test_training_keeps_the_batch_of_its_first_gpu(
    production: Classifier, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fit(memory: int) -> tuple[Classifier, Steering, Any]:
        monkeypatch.setattr(batch_size, "_smallest_gpu", lambda world_size: (f"{memory // GIB} GiB", memory))
        steering = Steering.model_validate(RATES)
        return fit_batch(production, steering, tmp_path, kind="cuda", processes=Processes(), pills=PILLS)

    first = fit(80 * GIB)
    assert first[0].batch == first[0].global_batch_size == 32
    assert first[1].phases[1].classifier.learning_rate == pytest.approx(2e-5 * math.sqrt(4))
    assert fit(16 * GIB) == first
    (event,) = first[2]
    assert (event.epoch, event.kind, event.changes["batch"]) == (0, "batch", 32)
    assert read_json(tmp_path / "batch.json")["gpu"] == "80 GiB"


def test_a_number_is_left_as_it_is(tmp_path: Path) -> None:
    settings, steering = recipe(), Steering()
    fitted = fit_batch(settings, steering, tmp_path, kind="cpu", processes=Processes(), pills=9)
    assert fitted == (settings, steering, [])
    assert list(tmp_path.iterdir()) == []


def test_auto_on_the_cpu_is_the_reference_batch(base: Path, tmp_path: Path) -> None:
    job = classifier_job(tiny_stage(base), tmp_path, settings=recipe(batch="auto", reference_batch=8))
    train_classifier(**job)
    assert same_weights(job["best"], trained_classifier(base)["best"])
    (event,) = [each for each in read_json(job["events"]) if each["kind"] == "batch"]
    assert event["said"].startswith("batch 8 by the CPU (reference batch 8)")
    assert read_json(job["work"] / "batch.json")["gpu"] is None
