"""benchmarks/answers.py at a tiny size: what it writes, and that its page tells every figure."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pillsnap.files import read_json
from tests.support.models import onnx_models, tiny_stage, trained_classifier, untrained_checkpoint
from tests.support.workflow import PROJECT


@pytest.mark.campaign
def test_ways_are_measured_and_told(tmp_path: Path, base: Path) -> None:
    stage = tmp_path / "stage"
    tiny = tiny_stage(base)
    shutil.copytree(tiny.classes.parent, stage)
    shutil.copytree(onnx_models(base), stage / "onnx")
    for source, place in (
        (untrained_checkpoint(base), "detector/best.pt"),
        (trained_classifier(base)["best"], "classifier/best.safetensors"),
    ):
        (stage / place).parent.mkdir()
        shutil.copy(source, stage / place)
    words = {"stage": stage, "count": 5, "warmup": 1, "threads": 1, "device": "cpu", "out": tmp_path / "out"}
    command = [sys.executable, "benchmarks/answers.py", *(f"--{name}={value}" for name, value in words.items())]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    result, page = read_json(tmp_path / "out.json"), (tmp_path / "out.md").read_text(encoding="utf-8")
    assert result["side_by_side"]["1"]["n"] == 5
    for name, told in (("fused", "one graph"), ("int8", "one graph in INT8"), ("pytorch", "ultralytics and timm")):
        way = result["side_by_side"]["1"][name]
        assert 0 < way["p50_ms"] <= way["p95_ms"] <= way["p99_ms"]
        assert f"| 1 | {told} | {way['p50_ms']:.1f} | {way['p95_ms']:.1f} | {way['p99_ms']:.1f} |" in page
    assert "synthetic" in page
