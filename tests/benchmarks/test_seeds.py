"""benchmarks/seeds.py: how its page is computed, and the script at a tiny size."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pillsnap.files import read_json
from tests.support.workflow import PROJECT

FOLDER = PROJECT / "benchmarks"


def run(seed: int, minutes: float | None, top1: float, ece: float, chance: float) -> dict[str, Any]:
    metrics = {
        "classifier": {"top1": top1},
        "detector": {"map50": None},
        "trust": {"ece": ece, "ece_chance_95": chance, "known": 0.5},
        "same_pill": {"known": top1 - 0.2},
        "latency": {mode: {"p95_ms": value} for mode, value in (("single", 20.0), ("combo", 40.0))},
        "environment": {"device": "CPU", "threads": 2},
    }
    commit = {"hash": f"{seed:<016x}", "dirty": False}
    return {"seed": seed, "minutes": minutes, "commit": commit, "metrics": metrics}


RESULT = {
    "command": "python benchmarks/seeds.py",
    "date": "2026-01-02",
    "device": "CPU: one",
    "commit": {"hash": "0123456789abcdef", "dirty": True},
    "versions": {"python": "3.11"},
    "stage": "stage4",
    "targets": {"top1": 0.92, "map50": 0.85, "p95_ms": 50, "ece": 0.02},
    "runs": [run(576, 12.34, 0.95, 0.024, 0.0265), run(1, None, 0.9, 0.027, 0.0261)],
}


@pytest.fixture
def seeds_page(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(FOLDER)
    import seeds_page

    return seeds_page


@pytest.mark.parametrize(
    "words",
    [
        "| figure | target | seed 576 | seed 1 | mean |",
        "| Classifier top-1 | ≥ 92 % | 95.00 % | **90.00 %** | 92.50 % |",
        "| Classifier top-5 | – | – | – | – |",
        "| Detector mAP@0.5 | ≥ 85 % | **–** | **–** | **–** |",
        "| 0.0240 (≤ 0.02, or 0.0265 by chance) | **0.0270** (≤ 0.02, or 0.0261 by chance) | 0.0255 (",
        "| Whole answer, p95 (slower of single and combo) | < 50 ms | 40.0 ms | 40.0 ms | 40.0 ms |",
        "| Answers that are known | – | 50.0 % | 50.0 % | 50.0 % |",
        "| Two photographs of a pill: answers that are known | – | 75.0 % | 70.0 % | 72.5 % |",
        "| Minutes, from nothing to the report | – | 12.3 | – | 12.3 |",
        "| Commit | – | `2400000000` | `1000000000` | – |",
        "Targets met: 3 of 4 with seed 576, 1 of 4 with seed 1.",
        "commit `0123456789`, with changes",
    ],
)
def test_page_follows_from_the_figures(seeds_page: Any, words: str) -> None:
    text = seeds_page.page(RESULT).replace("\u202f", " ").replace("\u00a0", " ")
    assert words in text


SNAKEMAKE = """#!/usr/bin/env python3
import json, sys
from pathlib import Path
folder = Path(sys.argv[sys.argv.index("--directory") + 1])
calls = folder / "calls.json"
before = json.loads(calls.read_text()) if calls.exists() else []
calls.write_text(json.dumps([*before, sys.argv[1:]]))
metrics = folder / "results/stage1/metrics.json"
metrics.parent.mkdir(parents=True, exist_ok=True)
metrics.write_text(json.dumps({"classifier": {"top1": 0.5}}))
record = metrics.parent / "provenance/run_benchmark.json"
record.parent.mkdir(exist_ok=True)
record.write_text(json.dumps({"commit": {"hash": "fedcba9876543210", "dirty": False}}))
"""


def test_each_seed_is_a_run_of_its_own_that_is_timed_once(tmp_path: Path) -> None:
    (tmp_path / "snakemake").write_text(SNAKEMAKE, encoding="utf-8")
    (tmp_path / "snakemake").chmod(0o755)
    words = ["--seeds", "3", "4", "--config", "config.yaml", "tests/workflow/tiny.yaml", "--stage", "stage1"]
    words += ["--folder", str(tmp_path / "runs"), "--out", str(tmp_path / "page")]
    environment = os.environ | {"PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}"}
    minutes = []
    for _ in range(2):
        command = [sys.executable, "benchmarks/seeds.py", *words]
        subprocess.run(command, cwd=PROJECT, env=environment, capture_output=True, text=True, check=True)
        minutes.append([one["minutes"] for one in read_json(tmp_path / "page.json")["runs"]])
    assert minutes[0] == minutes[1] and None not in minutes[0]
    for seed in (3, 4):
        first, second = read_json(tmp_path / f"runs/seed-{seed}/calls.json")
        assert first == second
        for word in (f"seed={seed}", str(PROJECT / "config.yaml"), str(PROJECT / "tests/workflow/tiny.yaml")):
            assert word in first
        assert first[-1] == "results/stage1/report.html"
    page = (tmp_path / "page.md").read_text(encoding="utf-8")
    assert "| seed 3 | seed 4 | mean |" in page and "| `fedcba9876` | `fedcba9876` |" in page
