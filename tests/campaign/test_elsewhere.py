"""Results apart from the workflow, made for real: by `snakemake --directory`, and as a Snakemake module."""

import subprocess
from pathlib import Path
from typing import Any

import pytest

from pillsnap.files import read_json, sha256_of
from pillsnap.workflow.rules import RULES
from tests.support.elsewhere import write_module, write_overlay
from tests.support.workflow import AFTER_CROPS, DATA_RULES, Workflow, planned_rules

WRITTEN = ("results", "work", "logs", "data", ".snakemake")
SAME = (
    "plan.parquet",
    "manifest/train.csv",
    "manifest/classes.json",
    "detector/best.safetensors",
    "detections.parquet",
    "crops/train.bin",
    "classifier/best.safetensors",
    "answers/calibration.json",
)


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Workflow:
    """A project in which nothing is made."""
    return Workflow.copy_to(tmp_path_factory.mktemp("apart") / "the workflow")


def snakemake(checkout: Workflow, folder: Path, *words: str) -> str:
    """Run Snakemake in `folder` with the environment of `checkout`."""
    command = ["snakemake", "--cores", "2", *words]
    done = subprocess.run(command, cwd=folder, env=checkout.environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, (done.stdout + done.stderr)[-8000:]
    return done.stdout + done.stderr


def records(results: Path) -> list[dict[str, Any]]:
    return [read_json(path) for path in sorted(results.rglob("provenance/**/*.json"))]


@pytest.fixture(scope="module")
def elsewhere(checkout: Workflow) -> Path:
    """A folder without git and config.yaml, in which everything was made."""
    folder = write_overlay(checkout.folder.parent / "결과 1", "benchmark: {warmup: 2}\n")
    snakemake(checkout, folder, *described(checkout), "--", "results/stage4/report.html")
    return folder


def described(checkout: Workflow) -> tuple[str, ...]:
    """Words that name the workflow and its configuration."""
    return ("-s", f"{checkout.folder}/Snakefile", "--configfile", f"{checkout.folder}/config.yaml", "own.yaml")


def test_everything_is_made_there_and_nothing_in_the_checkout(checkout: Workflow, elsewhere: Path) -> None:
    assert (elsewhere / "results/stage4/report.html").stat().st_size > 100_000
    for name in WRITTEN:
        assert (elsewhere / name).is_dir() and not (checkout.folder / name).exists()
    assert checkout.run("git", "status", "--porcelain") == ""


def test_records_name_the_workflows_code_and_commit(checkout: Workflow, elsewhere: Path) -> None:
    found = records(elsewhere / "results")
    assert {record["rule"] for record in found} == {*RULES, "write_report"} - {"evaluate_detector"}
    commit = checkout.run("git", "rev-parse", "HEAD").strip()
    for record in found:
        assert record["commit"] == {"hash": commit, "dirty": False}
        assert record["code"] == {path: sha256_of(checkout.folder / path) for path in record["code"]}
        assert not [path for path in (*record["inputs"], *record["outputs"]) if Path(path).is_absolute()]


def test_results_are_those_of_a_run_in_the_checkout(elsewhere: Path, made: Workflow) -> None:
    for name in SAME:
        assert (elsewhere / "results/stage4" / name).read_bytes() == (
            made.folder / "results/stage4" / name
        ).read_bytes()


def test_edits_of_the_checkout_rerun_just_what_they_concern(checkout: Workflow, elsewhere: Path) -> None:
    words = ("--dry-run", *described(checkout), "--", "results/stage4/report.html")
    assert planned_rules(snakemake(checkout, elsewhere, *words)) == set()
    for name in ("pillsnap/classifier/loop.py", "scripts/train_classifier.py"):
        content = (checkout.folder / name).read_text(encoding="utf-8")
        try:
            (checkout.folder / name).write_text(f"{content}\n# edited\n", encoding="utf-8")
            assert planned_rules(snakemake(checkout, elsewhere, *words)) == AFTER_CROPS
        finally:
            (checkout.folder / name).write_text(content, encoding="utf-8")


def test_rules_run_as_a_module(checkout: Workflow) -> None:
    """From raw archives to the manifest, with a script that `shell:` starts; then a rule of the outer workflow."""
    folder = write_module(checkout.folder.parent / "outer", checkout.folder)
    snakemake(checkout, folder, "--", "photos.txt")
    assert int((folder / "photos.txt").read_text()) > 1
    assert (folder / "made/stage4/manifest/train.csv").is_file() and not (folder / "results").exists()
    found = records(folder / "made")
    assert {record["rule"] for record in found} == {"make_synthetic_archive", *DATA_RULES}
    assert all((checkout.folder / path).is_file() for record in found for path in record["code"])
