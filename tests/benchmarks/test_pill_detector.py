"""benchmarks/pill_detector.py: how its page is computed, and the script at a tiny size."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pillsnap.files import read_json
from tests.support.workflow import PROJECT

FIGURES: dict[str, Any] = {
    "command": "python benchmarks/pill_detector.py --grounds=200",
    "date": "2026-01-02",
    "device": "CPU: one",
    "commit": {"hash": "0123456789abcdef", "dirty": True},
    "versions": {"python": "3.11"},
    "score": 0.3,
    "scenes": 200,
    "detectors": [
        {
            "trained": False,
            "sha256": "ab" * 32,
            "bytes": 5_260_000,
            "image_size": 320,
            "real": {
                "pushin-pill": {
                    "photos": 103,
                    "pills": 557,
                    "at_score": {"recall": 0.5, "precision": 0.25, "score": 0.3},
                    "best": {"recall": 0.4, "precision": 0.75, "score": 0.456},
                }
            },
            "grounds": {"with things": {"boxes": 7, "with_boxes": 5}, "bare": {"boxes": 1, "with_boxes": 1}},
        }
    ],
}
TRAINED = FIGURES["detectors"][0] | {"trained": True, "image_size": 224, "real": {}}


@pytest.fixture
def page(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(PROJECT / "benchmarks")
    import pill_detector_page

    return pill_detector_page.page


@pytest.mark.parametrize(
    "words",
    [
        "`weights/pill-detector.safetensors`, 5.3 MB, SHA-256 `abab",
        "| as it is | pushin-pill | 103 | 557 | 0.500, 0.250 | 0.400, 0.750 (0.46) | 0.80, 0.80 |",
        "200 composed scenes without a pill, of a seed that no training used, at a score of 0.3",
        "| as it is | with things | 3.5 | 2.0 | 5 |",
        "| as it is | bare | 0.5 | 2.0 | 1 |",
        "commit `0123456789`, with changes",
    ],
)
def test_page_follows_from_the_figures(page: Any, words: str) -> None:
    assert words in page(FIGURES)


def test_the_page_is_that_of_its_figures(page: Any) -> None:
    figures = PROJECT / "benchmarks/pill_detector.json"
    assert page(read_json(figures)) == figures.with_suffix(".md").read_text(encoding="utf-8")


def test_a_trained_detector_stands_beside(page: Any) -> None:
    told = page(FIGURES | {"detectors": [*FIGURES["detectors"], TRAINED]})
    assert "- trained: the detector of a stage" in told and "224 pixels" in told
    assert "| trained | with things | 3.5 | 2.0 | 5 |" in told


@pytest.mark.campaign
def test_the_script_measures(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "benchmarks/pill_detector.py", "--grounds", "6", "--out", tmp_path / "out"],
        cwd=PROJECT, env=os.environ | {"PILLSNAP_REAL_DATA": str(tmp_path)},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    figures = read_json(tmp_path / "out.json")
    assert (figures["scenes"], figures["detectors"][0]["real"]) == (6, {})
    assert (tmp_path / "out.md").read_text(encoding="utf-8").startswith("# The detector that comes with the project")
