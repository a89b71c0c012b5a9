"""The production recipe, run for real at a tiny size: its files and its profile, only the sizes are others."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from pillsnap.files import read_json
from pillsnap.training.history import read_history
from tests.support.workflow import PROJECT, Workflow


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Results of a stage that the production profile made."""
    made = Workflow.copy_to(tmp_path_factory.mktemp("production") / "project")
    shutil.copy(PROJECT / "tests" / "campaign" / "production_tiny.yaml", made.folder / "overlay.yaml")
    files = ("config.yaml", "profiles/production/pillsnap.yaml", "overlay.yaml")
    made.snakemake("--workflow-profile", "profiles/production", "--configfile", *files)
    return made.folder / "results" / "stage4"


def events(results: Path, model: str, kind: str) -> list[tuple[int, str]]:
    """Epoch and name of what the steering did."""
    told: list[dict[str, Any]] = read_json(results / model / "events.json")
    return [(event["epoch"], event["name"]) for event in told if event["kind"] == kind]


@pytest.mark.parametrize("model", ["detector", "classifier"])
def test_phases_and_milestones_come_at_their_epochs(results: Path, model: str) -> None:
    assert events(results, model, "phase") == [(0, "baseline"), (2, "fine-tuning"), (4, "final push")]
    assert events(results, model, "milestone") == [(5, "epoch 5")]


def test_validation_every_five_epochs_and_at_the_end(results: Path) -> None:
    for model, metric in (("detector", "map50"), ("classifier", "val_top1")):
        history = read_history(results / model / "history.csv")
        assert [row["epoch"] for row in history if row[metric] is not None] == [5, 6]


def test_input_grows(results: Path) -> None:
    history = read_history(results / "classifier" / "history.csv")
    assert [row["size"] for row in history] == [32, 32, 48, 48, 64, 64]


def test_final_push_has_its_learning_rate(results: Path) -> None:
    for model, rate in (("detector", 1e-4), ("classifier", 4e-4)):
        recorded = [row["learning_rate"] for row in read_history(results / model / "history.csv")]
        assert 0.5 * rate < recorded[-2] <= rate, f"{model}: {recorded}"


def test_recipe_was_the_production_one(results: Path) -> None:
    for model in ("detector", "classifier"):
        settings = read_json(results / "provenance" / f"train_{model}.json")["settings"]["settings"]
        asked = {"batch": 8, "precision": "bf16", "validate_every": 5, "checkpoint_every": 5, "weight_decay": 5e-4}
        assert {key: settings[key] for key in asked} == asked
    assert settings["layer_decay"] == 0.9 and settings["balance"] == 0.5


def test_report_shows_them(results: Path) -> None:
    page = (results / "report.html").read_text(encoding="utf-8")
    for text in ("final push", "fine-tuning", "Epoch 5, detector", "Epoch 5, classifier"):
        assert text in page
