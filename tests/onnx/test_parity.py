"""Parity: what several threads and batches find is what one photograph after the other gives."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch

from pillsnap.detector.weights import prepare_ultralytics
from pillsnap.onnx.logit_error import logit_error
from pillsnap.onnx.networks import BoxBins, detector_graph
from pillsnap.onnx.parity import batches, compare_detectors, compare_fused, validation_photos
from pillsnap.predict.unfused import SeparateSteps
from pillsnap.tables.files import read_table
from pillsnap.tables.schemas import MANIFEST
from tests.support.models import onnx_models, tiny_stage, untrained_detector
from tests.support.played_card import PlayedCard


def test_detections_are_those_of_the_separate_steps(base: Path, tmp_path: Path) -> None:
    models, stage = onnx_models(base), tiny_stage(base)
    photos = validation_photos(read_table(stage.manifest["val"], MANIFEST), [stage.prepared], 5)
    steps = SeparateSteps.load(models, threads=1, device="cpu")
    graph = detector_graph(untrained_detector(base), tmp_path)
    paths = {"fp32": models / "detector.onnx", "int8": models / "detector.int8.onnx"}
    nms_iou = steps.detector_facts["nms_iou"]
    with ThreadPoolExecutor(3) as pool:
        report, found = compare_detectors(graph, paths, photos, nms_iou=nms_iou, device="cpu", pool=pool)
        fused = compare_fused(models, photos, found["fp32"], device="cpu", pool=pool)
    assert (report["photos"], fused["photos"]) == (5, 5)
    assert set(found) == {"fp32", "int8"}
    for photo, ours in zip(photos, found["fp32"], strict=True):
        (theirs,) = steps.detect_all([photo.picture])
        assert len(theirs.boxes) > 0
        assert np.array_equal(ours.boxes, theirs.boxes) and np.array_equal(ours.scores, theirs.scores)


def test_on_a_gpu_networks_compute_batches_and_those_in_int8_stay_on_the_cpu(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    models, stage = onnx_models(base), tiny_stage(base)
    photos = validation_photos(read_table(stage.manifest["val"], MANIFEST), [stage.prepared], 5)
    graph = detector_graph(untrained_detector(base), tmp_path)
    paths = {name: models / f"detector{suffix}.onnx" for name, suffix in (("fp32", ""), ("int8", ".int8"))}
    compared = {}
    card = PlayedCard()
    for device in ("cpu", "cuda"):
        with ThreadPoolExecutor(3) as pool, monkeypatch.context() as patched:
            if device == "cuda":
                modules = ("pillsnap.onnx.parity", "pillsnap.predict.model", "pillsnap.predict.unfused")
                card.plug_in(patched, *modules)
                patched.setattr("pillsnap.onnx.parity.torch_device", lambda requested: "cpu")
            report, found = compare_detectors(graph, paths, photos, nms_iou=0.6, device=device, pool=pool)
            compared[device] = report, compare_fused(models, photos, found["fp32"], device=device, pool=pool)
    assert card.batches["detector.onnx"] == [5] and card.on_cpu == {"detector.int8.onnx"}
    assert card.batches["pipeline.onnx"] == [1] * 5
    (ours, fused), (theirs, expected) = compared["cuda"], compared["cpu"]
    assert ours["max_box_error_px"] == pytest.approx(theirs["max_box_error_px"], abs=1e-3)
    assert ours["map50"] == theirs["map50"] and fused["photos"] == expected["photos"] == 5


@pytest.mark.parametrize(("count", "sizes"), [(0, []), (1, [1]), (3, [3]), (7, [3, 3, 1])])
def test_batches(count: int, sizes: list[int]) -> None:
    items = np.arange(count)
    found = list(batches(items, 3))
    assert [len(batch) for batch in found] == sizes
    assert np.array_equal(np.concatenate([items[:0], *found]), items)


@pytest.mark.parametrize(
    ("ours", "theirs", "expected"),
    [([0.5, -2.0], [0.51, -2.0], 0.01), ([200.0, 0.0], [200.2, 0.0], 0.001), ([0.0, -9.0], [0.0, -9.0], 0.0)],
    ids=["small ones as they are", "large ones in parts", "equal"],
)
def test_logits_are_compared_as_precisely_as_float32_holds_them(
    ours: list[float], theirs: list[float], expected: float
) -> None:
    assert logit_error(np.array([ours]), np.array([theirs])) == pytest.approx(expected)


def test_box_distances_are_those_of_ultralytics(tmp_path: Path) -> None:
    prepare_ultralytics(tmp_path)
    from ultralytics.nn.modules.block import DFL

    logits = torch.randn(2, 64, 29, generator=torch.Generator().manual_seed(0)) * 20
    logits[0, 0] = 1e4
    assert torch.allclose(BoxBins(16)(logits), DFL(16)(logits), atol=1e-4)
