"""`batch: auto`: which batch a GPU's memory gives, what follows from it, and that a training keeps it."""

import math
import re
from pathlib import Path
from typing import Any

import pytest
import torch

from pillsnap.classifier.train_classifier import train_classifier
from pillsnap.config.config import Config
from pillsnap.config.load import read_config
from pillsnap.config.training import Classifier, Detector, Steering
from pillsnap.detector.weights import prepare_ultralytics
from pillsnap.files import read_json
from pillsnap.preflight.findings import GIB
from pillsnap.training import batch_size
from pillsnap.training.batch_size import BatchChoice, Model, choose_batch, fit_batch, scale_rates
from pillsnap.training.processes import Processes
from tests.support.models import classifier_job, recipe, same_weights, tiny_stage, trained_classifier
from tests.support.workflow import PROJECT

PROFILE = PROJECT / "profiles" / "production"
PICTURES = 400_000
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
def production() -> Config:
    return read_config(PROJECT / "config.yaml", PROFILE / "pillsnap.yaml", PROFILE / "large_gpu.yaml")


def choose(
    settings: Classifier | Detector, memory: int | None, *, world_size: int = 1, pictures: int = PICTURES
) -> BatchChoice:
    return choose_batch(settings, gpu="a GPU", gpu_memory=memory, world_size=world_size, pictures=pictures)


@pytest.mark.parametrize("part", ["classifier", "detector"])
@pytest.mark.parametrize(
    ("memory", "world_size", "pictures", "batch"),
    [
        (None, 1, PICTURES, 8),
        (8 * GIB, 1, PICTURES, 8),
        (16 * GIB, 1, PICTURES, 8),
        (16 * GIB, 4, PICTURES, 32),
        (10_000 * GIB, 1, PICTURES, 128),
        (139 * GIB, 1, 3_300, 32),
        (139 * GIB, 1, 10, 8),
    ],
    ids=["CPU", "too small", "16 GB", "four of 16 GB", "no GPU has", "few pictures", "hardly any"],
)
def test_batch_by_memory_processes_and_pictures(
    production: Config, part: str, memory: int | None, world_size: int, pictures: int, batch: int
) -> None:
    assert choose(getattr(production, part), memory, world_size=world_size, pictures=pictures).batch == batch


def test_rates_and_average_follow_the_batch(production: Config) -> None:
    recipe = production.classifier
    choice = choose(recipe, 300 * GIB)
    assert choice.learning_rate == pytest.approx(recipe.learning_rate * 4)
    # as many pictures leave the average as without: 16 steps of the reference batch are one
    assert choice.average_decay == pytest.approx(recipe.average_decay**16)
    assert "batch 128 by a GPU, 300 GiB (reference batch 8): learning rate 0.0002" in choice.event.said
    same = choose(recipe, None)
    assert (same.learning_rate, same.average_decay) == (recipe.learning_rate, recipe.average_decay)


def test_the_detectors_average_reaches_back_as_many_pictures(production: Config, tmp_path: Path) -> None:
    """One update of the larger batch forgets what `ratio` updates of the reference batch do, at any time of the
    training; and the recorded decay is that of ultralytics' average."""
    prepare_ultralytics(tmp_path)
    from ultralytics.utils.torch_utils import ModelEMA

    decay, choice = ModelEMA(torch.nn.Linear(1, 1)).decay, choose(production.detector, 139 * GIB)
    assert choice.ratio == 8 and choice.average_decay == pytest.approx(decay(1e9) ** 8)
    for updates in (1, 100, 2_000, 100_000):
        small = math.prod(decay(8 * updates - each) for each in range(8))
        assert choice.scale_decay(decay)(updates) == pytest.approx(small, abs=0.01)


def test_document_tells_the_batches_of_the_production_recipe(production: Config) -> None:
    page = (PROJECT / "docs" / "training.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| [\w ]+ \| (\d+) GiB" + r" \| (\d+) \| ([\d.e-]+)" * 2 + r" \|$", page, re.MULTILINE)
    assert len(rows) == 4
    for memory, *told in rows:
        choices = [choose(recipe, int(memory) * GIB) for recipe in (production.classifier, production.detector)]
        assert [int(batch) for batch in told[::2]] == [one.batch for one in choices]
        assert [f"{float(rate):.1e}" for rate in told[1::2]] == [f"{one.learning_rate:.1e}" for one in choices]


@pytest.mark.parametrize(
    ("model", "rate", "changed"),
    [
        ("classifier", 8e-5, {"learning_rate": pytest.approx(4e-4), "weight_decay": 1e-3}),
        ("detector", 4e-4, {"learning_rate": pytest.approx(2e-3)}),
    ],
)
def test_steering_scales_one_models_rates_alone(model: Model, rate: float, changed: dict[str, Any]) -> None:
    before = Steering.model_validate(RATES)
    steering = scale_rates(before, 4.0, model=model)
    assert steering.phases[0] == before.phases[0]
    assert getattr(steering.phases[1], model).values == {"learning_rate": pytest.approx(rate)}
    other = "detector" if model == "classifier" else "classifier"
    assert getattr(steering.phases[1], other) == getattr(before.phases[1], other)
    assert {each.model: each.change.values for each in steering.interventions} == {
        model: changed,
        other: next(each.change.values for each in before.interventions if each.model == other),
    }


@pytest.mark.parametrize("part", ["classifier", "detector"])
def test_training_keeps_the_batch_of_its_first_gpu(
    production: Config, part: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fit(memory: int) -> tuple[Any, Steering, BatchChoice | None]:
        monkeypatch.setattr(batch_size, "_smallest_gpu", lambda world_size: (f"{memory // GIB} GiB", memory))
        steering, recipe = Steering.model_validate(RATES), getattr(production, part)
        return fit_batch(recipe, steering, tmp_path, kind="cuda", processes=Processes(), pictures=PICTURES)

    recipe, steering, choice = fit(80 * GIB)
    assert recipe.batch == recipe.global_batch_size == 32
    assert recipe.learning_rate == pytest.approx(2 * getattr(production, part).learning_rate)
    rate = getattr(Steering.model_validate(RATES).phases[1], part).learning_rate
    assert getattr(steering.phases[1], part).learning_rate == pytest.approx(2 * rate)
    assert fit(16 * GIB) == (recipe, steering, choice)
    assert choice and (choice.event.epoch, choice.event.kind, choice.event.changes["batch"]) == (0, "batch", 32)
    assert read_json(tmp_path / "batch.json")["gpu"] == "80 GiB"


def test_a_number_is_left_as_it_is(tmp_path: Path) -> None:
    settings, steering = recipe(), Steering()
    fitted = fit_batch(settings, steering, tmp_path, kind="cpu", processes=Processes(), pictures=9)
    assert fitted == (settings, steering, None)
    assert list(tmp_path.iterdir()) == []


def test_auto_on_the_cpu_is_the_reference_batch(base: Path, tmp_path: Path) -> None:
    job = classifier_job(tiny_stage(base), tmp_path, settings=recipe(batch="auto", reference_batch=8))
    train_classifier(**job)
    assert same_weights(job["best"], trained_classifier(base)["best"])
    (event,) = [each for each in read_json(job["events"]) if each["kind"] == "batch"]
    assert event["said"].startswith("batch 8 by the CPU (reference batch 8)")
    assert read_json(job["work"] / "batch.json")["gpu"] is None


def test_a_training_that_resumes_tells_its_batch_once(base: Path, tmp_path: Path) -> None:
    for epochs in (1, 2):
        job = classifier_job(tiny_stage(base), tmp_path, settings=recipe(batch="auto", epochs=epochs))
        train_classifier(**job)
    assert [each["kind"] for each in read_json(job["events"])].count("batch") == 1
