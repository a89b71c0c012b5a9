"""benchmarks/scenes.py: how its page is computed, and the script at a tiny size."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pillsnap.files import read_json
from tests.support.workflow import PROJECT

FIGURES: dict[str, Any] = {
    "command": "python benchmarks/scenes.py --drugs=1",
    "date": "2026-01-02",
    "device": "CPU: one",
    "commit": {"hash": "0123456789abcdef", "dirty": False},
    "versions": {"python": "3.11"},
    "speed": {"scenes": 1000, "processor": "one", "per_second": 8.04, "ms": {"p5": 40.2, "p50": 101.7, "p95": 300.1}},
    "cut_outs": {"photos": 200, "mean_iou": 0.9761, "lowest_iou": 0.9, "refused": {"faint": 3, "hole": 1}},
    "training": {"model": "yolo11n.yaml", "scenes": 1000, "epochs": 4, "image_size": 320},
    "real": {"pushin-pill": {"photos": 103, "pills": 557, "recall": 0.5, "precision": 0.25, "score": 0.123}},
}


@pytest.fixture
def scenes_page(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(PROJECT / "benchmarks")
    import scenes_page

    return scenes_page


@pytest.mark.parametrize(
    "words",
    [
        "**8.0 a second** on one core of one (processor time, one thread),\n102 ms each in the median, 40 to 300 ms",
        "true ones is **0.976**, the lowest\n0.900; 2.0% were refused (3 `faint`, 1 `hole`).",
        "yolo11n from scratch at 320 pixels, 1,000 scenes of drawn pills, 4 epochs: 4,000 pictures\nin all.",
        "| pushin-pill | 103 | 557 | 0.500 | 0.250 | 0.12 | 0.80 / 0.80 |",
    ],
)
def test_page_follows_from_the_figures(scenes_page: Any, words: str) -> None:
    assert words in scenes_page.page(FIGURES)


def test_page_without_real_photographs_and_refusals(scenes_page: Any) -> None:
    told = scenes_page.page(FIGURES | {"real": {}, "cut_outs": FIGURES["cut_outs"] | {"refused": {}}})
    assert "none was refused." in told and "| none was there |" in told


@pytest.mark.campaign
def test_the_script_measures(tmp_path: Path) -> None:
    sizes = {"drugs": 3, "speed": 3, "photos": 4, "scenes": 8, "epochs": 1, "image-size": 64}
    words = [f"--{name}={value}" for name, value in sizes.items()] + ["--out", str(tmp_path / "out")]
    done = subprocess.run(
        [sys.executable, "benchmarks/scenes.py", *words],
        cwd=PROJECT,
        env=os.environ | {"PILLSNAP_REAL_DATA": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    figures = read_json(tmp_path / "out.json")
    assert figures["speed"]["scenes"] == 3 and figures["speed"]["per_second"] > 0
    assert figures["cut_outs"]["photos"] == 4 and figures["cut_outs"]["mean_iou"] > 0.9
    assert figures["real"] == {}
    assert (tmp_path / "out.md").read_text(encoding="utf-8").startswith("# Composed scenes: measured")
