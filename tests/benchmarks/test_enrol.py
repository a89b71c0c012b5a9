"""benchmarks/enrol.py: how its page is computed, and the script at a tiny size."""

import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from pillsnap.enrol.measure_references import DRAWS
from pillsnap.files import read_json
from pillsnap.predict.model import PillSnap
from tests.support.models import onnx_models, tiny_stage, trained_classifier
from tests.support.workflow import PROJECT
from tests.support.yolo_files import write_yolo_set


@pytest.fixture
def benchmark(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(PROJECT / "benchmarks")
    import enrol

    return enrol


def figures(references: int, top1: float, trained: float) -> dict[str, Any]:
    shares = {"in_set": 0.97, "unknown": 0.02, "known": 0.001, "right": 0.96, "mistaken": 0.01}
    counts = {"references": references, "drugs": 50, "pills": 4500}
    over = {"top1": top1, "least": 0.25, "most": 1.0, "spread": 0.123}
    of_trained = {"pills": 3000, "top1": trained, "known": 0.8, "known_right": 0.9987}
    return counts | over | shares | {"trained": of_trained}


CLASSIFIER = {"pills": 450, "top1": 0.654, "least": 0.25, "most": 1.0, "spread": 0.123, "trained": {"top1": 0.962}}
TRAINED = {
    "references": 5,
    "drugs": 17,
    "epochs": 30,
    "read": figures(5, 0.91, 0.975),
    "features": figures(5, 0.8, 0.9),
    "classifier": CLASSIFIER,
}
LIMIT = {"before": {"pills": 296, "top1": 0.971}, "numbers": [TRAINED]}

RESULT = {
    "command": "python benchmarks/enrol.py",
    "date": "2026-01-02",
    "device": "CPU: one",
    "commit": {"hash": "0123456789abcdef", "dirty": False},
    "versions": {"python": "3.11"},
    "drugs": 50,
    "trained_drugs": 42,
    "photos": 700,
    "found": 699,
    "draws": 10,
    "trained": {"pills": 300, "top1": 0.98, "known": 0.87, "known_right": 1.0},
    "read": [figures(1, 0.73, 0.95), figures(5, 0.9, 0.976)],
    "features": [figures(1, 0.68, 0.79), figures(5, 0.79, 0.9)],
    "limit": None,
    "real": {"name": "shelf", "drugs": 17, "photos": 267, "pills": 1383, "found": 1142}
    | {"read": [figures(5, 0.19, 0.9)], "features": [], "limit": LIMIT},
}


@pytest.mark.parametrize(
    "words",
    [
        "| features and imprint | 5 | 4,500 | **90.0 %** | ± 12.3; 25.0 % to 100.0 % | 97.0 % | 2.0 % | 0.1 % |",
        "| features alone | 1 | 4,500 | **68.0 %** |",
        "| features and imprint | 5 | 97.6 % | 0.4 | 80.0 % | 99.87 % |",
        "- 50 new drugs, all enrolled at once beside 42 trained ones; in 699 of 700 photographs",
        "300 pills of the test part; 98.0 % named right, 87.0 % `known`, 100.00 % of these right",
        "**The photographs are synthetic**",
        "1,142 of\n1,383 labelled pills in 267 photographs were found.",
        "| features and imprint | 5 | 4,500 | **19.0 %** |",
        "| features and imprint | 5 | 4,500 | **91.0 %** | ± 12.3; 25.0 % to 100.0 % | 97.5 % |",
        "| classifier trained with them | 5 | 450 | **65.4 %** | ± 12.3; 25.0 % to 100.0 % | 96.2 % |",
        "### Trained with them\n",
        "names 97.1 % of the test part's 296 crops right, answers 98.0 %",
        "Made by `python benchmarks/enrol.py`",
    ],
)
def test_page_follows_from_the_figures(benchmark: Any, words: str) -> None:
    assert words in benchmark.enrol_page.page(RESULT).replace("\u202f", " ")


def test_page_without_trainings_says_nothing_of_them(benchmark: Any) -> None:
    assert "the limit" not in benchmark.enrol_page.page(RESULT)


def test_new_drugs_are_drawn_found_enrolled_and_answered(
    benchmark: Any, base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage, tiny = tmp_path / "stage", tiny_stage(base)
    shutil.copytree(tiny.classes.parent, stage)
    shutil.copytree(onnx_models(base), stage / "onnx")
    shutil.copy(tiny.classes, stage / "manifest")
    (stage / "classifier").mkdir()
    shutil.copy(trained_classifier(base)["best"], stage / "classifier")
    centre = {f"{name}{number}": "01"[name == "b"] + " 0.5 0.5 0.9 0.9" for name in "ab" for number in range(3)}
    write_yolo_set(tmp_path / "shelf", names=["one", "other"], parts={"train": centre})
    words = {
        "stage": stage,
        "real": tmp_path / "shelf",
        "drugs": 2,
        "photos": 3,
        "min-iou": 1e-6,
        "limit": 1,
        "work": tmp_path / "work",
        "out": tmp_path / "out",
    }
    config = ["--config", "config.yaml", "tests/workflow/tiny.yaml"]
    monkeypatch.setattr(sys, "argv", ["enrol.py", *(f"--{name}={value}" for name, value in words.items()), *config])
    benchmark.main()
    found, page = read_json(tmp_path / "out.json"), (tmp_path / "out.md").read_text(encoding="utf-8")
    assert (found["drugs"], found["photos"]) == (2, 6) and 0 < found["found"] <= 6
    for way in ("read", "features"):
        for one in found[way]:
            assert one["references"] in (1, 2) and one["trained"]["pills"] == DRAWS * found["trained"]["pills"] > 0
    real = found["real"]
    assert (real["drugs"], real["photos"], real["pills"]) == (2, 6, 6) and 0 < real["found"] <= 6 and real["read"]
    for limit in (found["limit"], real["limit"]):
        (one,) = limit["numbers"]
        assert (one["references"], one["drugs"], one["epochs"]) == (1, 2, 2) and 0 < one["classifier"]["top1"] <= 1
        # all are measured on the same pills
        assert one["classifier"]["pills"] == one["read"]["pills"] == one["features"]["pills"] > 0
        assert one["classifier"]["trained"]["pills"] == one["read"]["trained"]["pills"] == limit["before"]["pills"]
    assert found["read"] and f"in {found['found']} of 6 photographs" in page


def test_no_new_drug_has_a_k_code_of_the_models(benchmark: Any, base: Path) -> None:
    snap = PillSnap.load(onnx_models(base), threads=1, device="cpu")
    snap.classes[0] = type(snap.classes[0])(
        0, benchmark.make_catalogue(drugs=1, seed=benchmark.SEED)[0].k_code, (), "a"
    )
    photos = list(benchmark.drawn_photos(snap, 3, 2))
    codes = [photo.pills[0][0].k_code for photo in photos]
    assert len(photos) == 6 and len(set(codes)) == 3 and snap.classes[0].k_code not in codes
    assert len({photo.stem for photo in photos}) == 6
