"""benchmarks/reading.py at a tiny size: both graphs answer, and the page tells the ratio."""

import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import reading

from pillsnap.files import read_json
from tests.support.models import export_job, onnx_models, tiny_stage


@pytest.mark.campaign
def test_both_graphs_answer_and_the_ratio_is_told(
    tmp_path: Path, base: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    stage, tiny, job = tmp_path / "stage", tiny_stage(base), export_job(base, tmp_path)
    shutil.copytree(tiny.classes.parent, stage)
    shutil.copytree(onnx_models(base), stage / "onnx")
    for source, place in (
        (tiny.classes, "manifest/classes.json"),
        (tiny.drugs, "manifest/drugs.csv"),
        (job["detector"], "detector/best.safetensors"),
        (job["classifier"], "classifier/best.safetensors"),
        (job["calibration"], "answers/calibration.json"),
        (job["drug_space"], "answers/drug_space.safetensors"),
    ):
        (stage / place).parent.mkdir(exist_ok=True)
        shutil.copy(source, stage / place)
    config = reading.read_config(reading.ROOT / "config.yaml")
    settings = {"onnx": job["settings"], "crops": job["crop_settings"], "benchmark": job["answer_settings"]}
    tiny_config = config.model_copy(
        update={**settings, "detector": config.detector.model_copy(update={"image_size": 64})}
    )
    monkeypatch.setattr(reading, "read_config", lambda path: tiny_config)
    words = {"stage": stage, "photos": 2, "turns": 3, "threads": 1, "out": tmp_path / "found"}
    monkeypatch.setattr(sys, "argv", ["reading.py", *(f"--{name}={value}" for name, value in words.items())])
    reading.main()
    result, page = read_json(tmp_path / "found.json"), (tmp_path / "found.md").read_text(encoding="utf-8")
    assert capsys.readouterr().out.strip() == page.strip() and "synthetic" in page
    for mode, found in result["modes"].items():
        assert len(found["ratio"]) == 3 and min(found["ratio"]) > 0
        assert f"| {mode} | {found['without']:.1f} | {found['reading']:.1f} | {np.median(found['ratio']):.3f} " in page


def test_ways_take_turns_and_the_first_turn_is_not_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, asked = [0.0], []

    class Timed:
        def __init__(self, name: str, seconds: float) -> None:
            self.name, self.seconds = name, seconds

        def identify(self, photo: bytes, mode: str) -> None:
            clock[0] += self.seconds * (10 if len(asked) < 4 else 1)
            asked.append((photo, self.name))

    monkeypatch.setattr(reading.time, "perf_counter", lambda: clock[0])
    found = reading.compare(Timed("without", 0.010), Timed("reading", 0.012), [b"a", b"b"], "single", 2)
    assert found["ratio"] == pytest.approx([1.2, 1.2]) and found["reading"] == pytest.approx(12.0)
    assert asked[:4] == [(b"a", "reading"), (b"a", "without"), (b"b", "without"), (b"b", "reading")]
    assert asked[4][1] == "without", "the other begins"
