"""benchmarks/split.py at a tiny size: both splits of the same photographs, what leaks, and how its page is computed."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pillsnap.files import read_json
from tests.support.workflow import PROJECT

pytestmark = pytest.mark.campaign

DRUGS, GROUPS, LONGITUDES, UNSEEN = 2, 5, 3, 2


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the script writes, without its ending; two epochs on 30 photographs."""
    folder = tmp_path_factory.mktemp("split")
    sizes = {"drugs": DRUGS, "groups": GROUPS, "longitudes": LONGITUDES, "unseen": UNSEEN, "seeds": 1}
    words = [f"--{name}={value}" for name, value in sizes.items()]
    words += ["--config", "config.yaml", "tests/workflow/tiny.yaml", "--out", str(folder / "out")]
    done = subprocess.run(
        [sys.executable, "benchmarks/split.py", *words], cwd=PROJECT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return folder / "out"


@pytest.fixture(scope="module")
def runs(out: Path) -> dict[str, dict[str, Any]]:
    return {run["split"]: run for run in read_json(out.with_suffix(".json"))["runs"]}


def test_both_splits_have_parts_of_the_same_sizes(runs: dict[str, Any]) -> None:
    photos = DRUGS * GROUPS * LONGITUDES
    parts = {"train": photos * 3 // 5, "val": photos // 5, "test": photos // 5}
    assert {split: run["photos"] for split, run in runs.items()} == {"grouped": parts, "random": parts}


def test_only_the_random_split_leaks(runs: dict[str, Any]) -> None:
    assert runs["grouped"]["audit"]["groups_on_two_sides"] == 0
    assert runs["grouped"]["test_photos_of_trained_groups"] == 0
    assert 0 < runs["random"]["audit"]["groups_on_two_sides"] <= DRUGS * GROUPS
    assert 0 < runs["random"]["test_photos_of_trained_groups"] <= runs["random"]["photos"]["test"]


@pytest.mark.parametrize("split", ["grouped", "random"])
def test_both_models_are_measured_on_the_same_unseen_groups(runs: dict[str, Any], split: str) -> None:
    run = runs[split]
    assert run["test"]["pills"] == run["photos"]["test"]
    assert run["unseen"]["pills"] == DRUGS * UNSEEN
    for measured in (run["test"], run["unseen"]):
        assert 0 <= measured["low"] <= measured["top1"] <= measured["high"] <= 1
        right = measured["top1"] * measured["pills"]
        assert right == pytest.approx(round(right), abs=1e-3)
    assert run["pretended"] == pytest.approx(run["test"]["top1"] - run["unseen"]["top1"], abs=1e-4)
    assert 0 <= run["val_top1"] <= 1 and run["epochs"] == 2


def test_page_tells_every_run(out: Path, runs: dict[str, Any]) -> None:
    page = out.with_suffix(".md").read_text(encoding="utf-8")
    for split, run in runs.items():
        assert f"| {run['seed']} | {split} | {run['val_top1']:.1%} | {run['test']['top1']:.1%} (" in page
    assert "synthetic" in page
    assert read_json(out.with_suffix(".json"))["command"].startswith("python benchmarks/split.py --drugs=2")
