"""The workflow is planned from any folder: workflow files lie in the checkout, data in the working folder."""

import os
import re
from pathlib import Path

from tests.support.elsewhere import write_module, write_overlay
from tests.support.preloaded import run_preloaded
from tests.support.workflow import AFTER_MANIFEST, DATA_RULES, PROJECT, SCENE_RULES, planned_rules

EVERYTHING = {"make_synthetic_archive", *DATA_RULES, *AFTER_MANIFEST} - SCENE_RULES  # by default no scene is composed


def plan(folder: Path, *words: str) -> str:
    """What a dry run in `folder` says."""
    command = ["snakemake", "--dry-run", "--printshellcmds", *words]
    status, told = run_preloaded(command, folder=folder, environment=os.environ | {"PYTHONPATH": str(PROJECT)})
    assert status == 0, told
    return told


def test_results_are_planned_apart_from_the_workflow(tmp_path: Path) -> None:
    elsewhere = write_overlay(tmp_path / "결과 1", "seed: 7\n")
    words = ("--configfile", f"{PROJECT}/config.yaml", "own.yaml")
    told = plan(elsewhere, "--snakefile", f"{PROJECT}/Snakefile", *words)
    assert planned_rules(told) == EVERYTHING
    assert sorted(re.findall(r"python (\S+\.py) --", told)) == sorted(
        f"{PROJECT}/scripts/{name}.py" for name in ("check_machine", "train_classifier", "train_detector")
    )
    assert "--best results/stage4/classifier/best.safetensors" in told


def test_the_working_folder_can_be_named(tmp_path: Path) -> None:
    elsewhere = write_overlay(tmp_path / "elsewhere", "seed: 7\n")
    words = ("--directory", str(elsewhere), "--configfile", "config.yaml", str(elsewhere / "own.yaml"))
    assert planned_rules(plan(PROJECT, *words)) == EVERYTHING


def test_in_the_checkout_every_path_is_relative() -> None:
    """So that clones agree on them, and a stage that DVC brought is up to date."""
    told = plan(PROJECT, "--forceall")
    assert "pillsnap/manifest/plan_stage.py" in told
    assert "python scripts/train_classifier.py --" in told
    compared = re.findall(r"^(?:    (?:input|output): |Shell command: ).*$", told, re.MULTILINE)
    assert compared and not [line for line in compared if str(PROJECT) in line]


def test_rules_are_planned_as_a_module(tmp_path: Path) -> None:
    folder = write_module(tmp_path / "outer", PROJECT)
    assert planned_rules(plan(folder)) == EVERYTHING
    told = plan(folder, "--", "photos.txt")
    assert planned_rules(told) == {"make_synthetic_archive", *DATA_RULES, "count_photos"}
    assert f"python {PROJECT}/scripts/check_machine.py --plan made/stage4/plan.parquet" in told


def test_rules_of_the_module_can_have_a_prefix(tmp_path: Path) -> None:
    folder = write_module(tmp_path / "outer", PROJECT)
    snakefile = folder / "Snakefile"
    snakefile.write_text(snakefile.read_text().replace("from pillsnap", "from pillsnap as pills_*"))
    told = plan(folder, "--", "photos.txt")
    assert planned_rules(told) == {
        *(f"pills_{rule}" for rule in ("make_synthetic_archive", *DATA_RULES)),
        "count_photos",
    }
