"""The benchmark of full size runs, at a small one."""

import json
import subprocess
import sys

import pytest

from tests.support.workflow import PROJECT

pytestmark = pytest.mark.campaign


def test_benchmark_of_full_size_runs_and_counts_right(tmp_path) -> None:
    words = [sys.executable, "benchmarks/full_size.py", "--small", "--images", "1500", "--out", str(tmp_path / "size")]
    done = subprocess.run(words, cwd=PROJECT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    result = json.loads((tmp_path / "size.json").read_text(encoding="utf-8"))
    steps = ["build the archives", "index", "plan stage4", "snakemake -n", "manifest"]
    assert list(result["steps"]) == [*steps, "build_dataset", "write_page", "cut_tables"]
    assert all(step["seconds"] > 0 and step["peak_bytes"] > 10**7 for step in result["steps"].values())
    assert (result["pairs"], result["drugs"], result["planned_photos"]) == (7, 20, 1500)
    assert result["pill_cut_seconds"] > 0 and result["hashed_bytes_a_second"] > 10**7
    assert result["labels"] == 2100 + 3 * (result["photos"] - 2100)
    page = (tmp_path / "size.md").read_text(encoding="utf-8")
    assert f"{result['labels']:,} labels" in page and "synthetic" in page
