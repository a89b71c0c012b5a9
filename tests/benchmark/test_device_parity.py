"""Answers on a GPU against the CPU's; here the GPU is played by the CPU, with its own rounding."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnxruntime
import pytest

from pillsnap.benchmark import device_parity
from pillsnap.benchmark.device_parity import compare_devices
from pillsnap.pictures.decode import encode_jpeg
from pillsnap.predict import model
from pillsnap.predict.sessions import open_session
from pillsnap.report.sections.models import _device_rows
from tests.support.models import draw_photo, onnx_models


class Rounding:
    """A session whose logits are off by a little."""

    def __init__(self, session: onnxruntime.InferenceSession, error: float) -> None:
        self._session, self._error = session, error

    def run(self, names: list[str] | None, given: dict[str, np.ndarray]) -> list[np.ndarray]:
        first, *others = self._session.run(names, given)
        return [first + self._error, *others] if names else [first, *others]

    def __getattr__(self, name: str) -> Any:
        return getattr(self._session, name)


@pytest.mark.parametrize("error", [0.0, 0.25])
def test_differences_are_measured(monkeypatch: pytest.MonkeyPatch, base: Path, error: float) -> None:
    asked = []

    def opened(path: Path, *, threads: int, device: str) -> Any:
        asked.append((path.name, device))
        session = open_session(path, threads=threads, device="cpu")
        return Rounding(session, error) if device == "cuda" else session

    for module in (device_parity, model):
        monkeypatch.setattr(module, "open_session", opened)
    photos = {"single": [encode_jpeg(draw_photo([0])[0], 90)], "combo": [encode_jpeg(draw_photo([0, 1, 2])[0], 90)]}
    found = compare_devices(onnx_models(base), photos, threads=1)
    on_gpu = {name for name, device in asked if device == "cuda"}
    assert on_gpu == {"pipeline.onnx", "classifier.onnx", "pipeline.fp16.onnx", "classifier.fp16.onnx"}
    plain, half = found["cuda"], found["cuda fp16"]
    assert (plain["photos"], plain["same_pills"], plain["same_top1"], plain["max_box_error_px"]) == (2, 1, 1, 0)
    assert plain["crops"] > 1 and plain["max_distance_error"] == 0
    assert plain["max_logit_error"] == pytest.approx(error, abs=1e-6)
    assert half["max_logit_error"] != plain["max_logit_error"], "half the digits"
    rows = _device_rows(SimpleNamespace(accuracy={"devices": found}))
    assert [row[0] for row in rows] == ["GPU, CUDA", "GPU, CUDA, FP16"] and "100.00" in rows[0][2]
    assert _device_rows(SimpleNamespace(accuracy={})) == []
