"""The parts of the deep check, run on the CPU or against a driver that is played; no figure here is a GPU's."""

import json
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from pillsnap import cuda
from pillsnap.cli import app
from pillsnap.config.config import Config
from pillsnap.config.training import Classifier
from pillsnap.cuda import CudaDevice, CudaDriver
from pillsnap.files import write_json, write_text
from pillsnap.hardware import cores, usable_threads
from pillsnap.preflight.amounts import estimate_amounts
from pillsnap.preflight.gpu_check import check_gpu as check_gpu_module
from pillsnap.preflight.gpu_check import classifier as classifier_module
from pillsnap.preflight.gpu_check import loading as loading_module
from pillsnap.preflight.gpu_check import memory as memory_module
from pillsnap.preflight.gpu_check.calibration import check_calibration
from pillsnap.preflight.gpu_check.check_gpu import check_gpu
from pillsnap.preflight.gpu_check.classifier import Steps
from pillsnap.preflight.gpu_check.compute import check_compute, need_precision
from pillsnap.preflight.gpu_check.data import check_data
from pillsnap.preflight.gpu_check.detector import check_detector
from pillsnap.preflight.gpu_check.device import check_device
from pillsnap.preflight.gpu_check.forecast import classifier_hours, fastest_batch, forecast
from pillsnap.preflight.gpu_check.loading import check_loading
from pillsnap.preflight.gpu_check.memory import check_memory_cap
from pillsnap.preflight.gpu_check.onnx_runtime import ERRORS, check_onnx_runtime, measure
from pillsnap.preflight.gpu_check.rows import NotCheckedError, Row, Verdict, run_checks
from pillsnap.preflight.gpu_check.rule_hours import rules_of
from pillsnap.preflight.gpu_check.several import check_several_gpus
from pillsnap.preflight.models import training_bytes
from pillsnap.reader.model import Reader
from pillsnap.workflow.rules import RULES
from tests.support.models import onnx_models
from tests.support.nvidia import install_cuda, install_nvml
from tests.support.preflight import PRODUCTION, config
from tests.support.workflow import PROJECT

SMALL = config(
    classifier={"model": "test_resnet", "model_args": None, "image_size": 48, "start_size": 32, "batch": 4},
    detector={"model": "yolo11n.yaml", "image_size": 64, "batch": 4},
    crops={"size": 64},
)
UUID = "11111111-1111-1111-1111-111111111111"


def ok(name: str) -> Row:
    return Row(name, "1", "1", Verdict.ok)


def told(rows: list[Row]) -> list[tuple[str, str]]:
    return [(row.check, row.verdict.value) for row in rows]


def test_what_cannot_be_checked_is_never_ok() -> None:
    def lacking() -> Iterator[Row]:
        import pillsnap.no_such_module  # noqa: F401

        yield ok("never")

    def broken() -> Iterator[Row]:
        yield ok("before")
        raise RuntimeError("CUDA error: device-side assert\nmore")

    def elsewhere() -> Iterator[Row]:
        raise NotCheckedError("only a GPU's memory can be capped")

    rows = run_checks(
        {"lacking": lacking, "broken": broken, "elsewhere": elsewhere, "fine": lambda: [ok("fine")]}, seconds=60
    )
    names = ("lacking", "before", "broken", "elsewhere", "fine")
    verdicts = ("not checked", "ok", "failed", "not checked", "ok")
    assert told(rows) == list(zip(names, verdicts, strict=True))
    assert (rows[0].cure, rows[2].measured) == (
        "there is no module pillsnap: install pillsnap[pipeline]",
        "RuntimeError: CUDA error: device-side assert",
    )


def test_the_check_ends_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([0, 1, 2, 11, 12])
    monkeypatch.setattr("pillsnap.preflight.gpu_check.rows.time", SimpleNamespace(monotonic=lambda: next(clock)))
    rows = run_checks(
        {"long": lambda: [ok("first"), ok("second"), ok("third")], "late": lambda: [ok("late")]}, seconds=10
    )
    assert told(rows) == [("first", "ok"), ("second", "ok"), ("long", "not checked"), ("late", "not checked")]


@pytest.mark.parametrize(
    ("driver", "uuid", "rows"),
    [
        ({"init": 100}, UUID, {"CUDA device": "failed"}),
        ({}, UUID, {"CUDA": "ok", "first GPU": "ok", "NVML and torch": "ok"}),
        ({}, "other", {"CUDA": "ok", "first GPU": "ok", "NVML and torch": "failed"}),
        ({"version": 12040}, UUID, {"CUDA": "failed", "first GPU": "ok", "NVML and torch": "ok"}),
        ({"capability": 75}, UUID, {"CUDA": "ok", "bf16": "failed", "first GPU": "ok", "NVML and torch": "ok"}),
    ],
)
def test_device(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, driver: dict, uuid: str, rows: dict) -> None:
    install_cuda(monkeypatch, tmp_path, **driver)
    install_nvml(monkeypatch, tmp_path)
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.get_device_properties", lambda index: SimpleNamespace(uuid=uuid))
    assert dict(told(list(check_device(PRODUCTION)))) == rows


def test_compute_measures_and_checks_the_product() -> None:
    product, *copies = check_compute("cpu")
    assert product.verdict is Verdict.ok and product.figures["tflops"] > 0
    assert 0 < product.figures["error"] < 0.02, "bf16 rounds"
    assert all(copy.figures["gb_per_second"] > 0 for copy in copies)


def test_a_card_without_bf16_multiplies_in_fp16(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pillsnap.preflight.gpu_check.compute.computes_bf16", lambda _: False)
    product, *_ = check_compute("cpu")
    assert (product.check, product.verdict) == ("fp16 product", Verdict.ok) and product.figures["error"] < 0.002


def test_a_recipe_in_bf16_is_not_measured_on_a_card_without(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Its rows say why, and a recipe in another precision is measured."""
    monkeypatch.setattr("torch.cuda.get_device_capability", lambda: (7, 5))
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    needing = ("classifier", "loader", "detector", "memory that ends", "several GPUs", "classifier, variations")
    checks = check_gpu_module._checks(PRODUCTION, "stage4", tmp_path)
    rows = run_checks({name: checks[name] for name in needing}, seconds=60)
    assert [(row.check, row.verdict.value) for row in rows] == [(name, "not checked") for name in needing]
    assert {row.cure.split(",")[0] for row in rows} == {"detector.precision = bf16", "classifier.precision = bf16"}
    for precision in ("fp16", "fp32"):
        need_precision(PRODUCTION.classifier.model_copy(update={"precision": precision}), "cuda")


def test_a_wrong_product_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pillsnap.preflight.gpu_check.compute.HALF_ERROR", 0.0)
    assert next(iter(check_compute("cpu"))).verdict is Verdict.failed


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int, bool | str]]:
    """Size, batch and compilation of each measurement, on a card whose memory ends."""
    real, found = classifier_module.measure_steps, []

    def measured(recipe: Classifier, size: int, **more: object) -> Steps:
        found.append((size, recipe.batch, recipe.compile))
        if size * recipe.batch > 400:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return real(recipe.model_copy(update={"compile": False}), size, **more)  # compiling is a test of its own

    monkeypatch.setattr(classifier_module, "measure_steps", measured)
    monkeypatch.setattr(classifier_module, "WARMUP", 1)
    return found


@pytest.mark.parametrize("compiled", [False, True, "reduce-overhead"])
def test_the_recipe_is_measured_first_as_it_trains(asked: list, compiled: bool | str) -> None:
    """Compiled where it says so, its last size first; only then otherwise, until memory ends."""
    recipe = SMALL.classifier.model_copy(update={"compile": compiled})
    settings = SMALL.model_copy(update={"classifier": recipe})
    *rows, validation = classifier_module.check_classifier(settings, drugs=3, device="cpu", steps=1)
    own = [(48, 4, compiled), (32, 4, compiled)]
    assert asked == own and [(row.figures["size"], row.figures["compiled"]) for row in rows] == [
        (size, compiled) for size, _, _ in own
    ]
    assert validation.figures["validation_images_per_second"] > 0 and validation.figures["batch"] == 8
    asked.clear()
    rows += classifier_module.check_variations(settings, batch=4, drugs=3, device="cpu", steps=1)
    plain = [(48, 4, False), (48, 8, False), (48, 16, False), (32, 4, False), (32, 8, False), (32, 16, False)]
    others = [(size, 4, mode) for mode in (True, "reduce-overhead") for size in (48, 32)]
    assert asked == [each for each in [*plain, *others] if each not in own], "no figure twice"
    fits = {each for each in [*plain, *others] if each[1] < 16}
    found = [(row.figures["size"], row.figures["batch"], row.figures["compiled"]) for row in rows]
    assert set(found) == fits and len(found) == len(fits)
    assert all(row.figures["images_per_second"] > 0 and row.verdict is Verdict.ok for row in rows)


def test_the_batch_that_auto_becomes_is_compiled_too(asked: list) -> None:
    auto = SMALL.classifier.model_copy(update={"batch": "auto", "reference_batch": 4, "start_size": None})
    settings = SMALL.model_copy(update={"classifier": auto})
    list(classifier_module.check_variations(settings, batch=8, drugs=3, device="cpu", steps=1))
    assert asked == [(48, 4, False), (48, 16, False), (48, 8, True), (48, 8, "reduce-overhead")]


def test_what_the_forecast_rests_on_is_checked_before_the_time_ends(tmp_path: Path) -> None:
    names = list(check_gpu_module._checks(PRODUCTION, "stage4", tmp_path))
    assert names[:6] == ["product", "classifier", "loader", "calibration", "detector", "data"]
    assert names[-1] == "classifier, variations"


def test_memory_that_ends_is_survived(monkeypatch: pytest.MonkeyPatch) -> None:
    """The card is played: with all of its memory one micro-batch fits, capped only a half."""
    fractions, parts = [], []

    def measured(*_: object, accumulation_steps: int = 1, **__: object) -> Steps:
        parts.append(accumulation_steps)
        if fractions and fractions[-1] < 1 and accumulation_steps == 1:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return Steps(1.0, 8 * 2**30)

    monkeypatch.setattr(memory_module, "measure_steps", measured)
    monkeypatch.setattr("torch.cuda.set_per_process_memory_fraction", fractions.append)
    monkeypatch.setattr("torch.cuda.get_device_properties", lambda _: SimpleNamespace(total_memory=16 * 2**30))
    (row,) = check_memory_cap(SMALL, drugs=3, device="cuda")
    assert (row.verdict, row.figures, parts) == (Verdict.ok, {"accumulation_steps": 2}, [1, 1, 2])
    assert fractions == [pytest.approx(0.4), 1.0], "the cap is taken away again"
    with pytest.raises(NotCheckedError):
        next(iter(check_memory_cap(SMALL, drugs=3, device="cpu")))


def test_loader_and_training_are_compared() -> None:
    (row,) = check_loading(SMALL, drugs=3, device="cpu", steps=3)
    names = ("loader", "training", "together")
    assert all(row.figures[f"{name}_images_per_second"] > 0 for name in names)
    assert row.measured.endswith("is the bottleneck")


@pytest.mark.parametrize(("seconds", "fewest", "most"), [(30, 64, 64), (0.1, 2, 10)], ids=["all", "bounded"])
def test_batches_that_were_decoded_ahead_do_not_count(
    monkeypatch: pytest.MonkeyPatch, seconds: float, fewest: int, most: int
) -> None:
    """With a loader that is played: 8 workers have decoded 16 batches ahead, each further one takes 10 ms."""
    loaded, trained = [], []

    class Played:
        def __init__(self, *_: object, **__: object) -> None: ...

        def batches(self, order: list) -> Iterator[tuple[None, list[int]]]:
            for number in range(len(order)):
                loaded.append(number)
                if number >= 16:
                    time.sleep(0.01)
                yield None, [0] * 4

    def measured(*_: object, **more: object) -> Steps:
        trained.append((more["steps"], more.get("discarded")))
        return Steps(1000.0)

    monkeypatch.setattr("pillsnap.classifier.batches.CropBatches", Played)
    monkeypatch.setattr("pillsnap.hardware.usable_threads", lambda most: 8)
    monkeypatch.setattr(loading_module, "measure_steps", measured)
    monkeypatch.setattr(loading_module, "SECONDS", seconds)
    (row,) = check_loading(SMALL, drugs=3, device="cpu", steps=3)
    assert 100 < row.figures["loader_images_per_second"] <= 4 / 0.01
    discarded = 16 + loading_module.WARMUP
    assert fewest <= len(loaded) - discarded <= most
    alone, (steps, discarded) = trained
    assert alone == (3, None) and fewest <= steps <= most and discarded == 16


def test_calibration_is_measured_as_it_computes(monkeypatch: pytest.MonkeyPatch) -> None:
    """All crops by the rule's own code, with the reader, in FP32; without a reader where there is none."""
    seen: list[torch.Tensor] = []

    def read(self: Reader, pictures: torch.Tensor) -> tuple[torch.Tensor, ...]:
        seen.append(pictures)
        return tuple(torch.zeros(len(pictures), 1) for _ in range(3))

    monkeypatch.setattr(Reader, "forward", read)
    monkeypatch.setattr(loading_module, "CROPS", 70)
    (row,) = check_calibration(SMALL, drugs=3, device="cpu")
    assert row.check == "calibration 48 px, fp32, with the reader"
    assert [len(crops) for crops in seen] == [64, 6] * 2 and {crops.dtype for crops in seen} == {torch.float32}
    assert row.figures["calibration_images_per_second"] > 0
    unread = SMALL.model_copy(update={"reader": SMALL.reader.model_copy(update={"weights": None})})
    (row,) = check_calibration(unread, drugs=3, device="cpu")
    assert row.check.endswith("nothing read") and len(seen) == 4


def test_onnx_runtime_answers_in_a_process_without_torch(base: Path, tmp_path: Path) -> None:
    full, half = check_onnx_runtime(onnx_models(base), "cpu")
    assert (full.verdict, full.figures["max_logit_error"]) == (Verdict.ok, 0)
    assert 0 < half.figures["max_logit_error"] < ERRORS["fp16"]
    assert half.verdict is Verdict.ok
    assert list(full.figures["pills"]) == [str(pills) for pills in range(1, 9)]
    with pytest.raises(NotCheckedError, match="--models"):
        next(iter(check_onnx_runtime(tmp_path, "cpu")))
    (row,) = check_onnx_runtime(onnx_models(base), "cuda")
    assert row.verdict is Verdict.failed and "ONNX Runtime cannot use CUDA" in row.measured


@pytest.mark.parametrize(
    ("error", "verdicts"),
    [(0.005, "ok ok"), (0.015, "failed ok"), (0.1, "failed failed"), (float("nan"), "failed failed")],
)
def test_logits_that_are_off_fail(base: Path, monkeypatch: pytest.MonkeyPatch, error: float, verdicts: str) -> None:
    """What is no number fails, too."""
    times = {str(pills): {"first_ms": 1.0, "steady_ms": 1.0} for pills in range(1, 9)}
    found = {"max_logit_error": error, "pills": times}
    said = json.dumps({"fp32": found, "fp16": found})
    done = subprocess.CompletedProcess([], 0, stdout=said, stderr="")
    monkeypatch.setattr("pillsnap.preflight.gpu_check.onnx_runtime.subprocess.run", lambda *_, **__: done)
    rows = list(check_onnx_runtime(onnx_models(base), "cuda"))
    assert [row.verdict.value for row in rows] == verdicts.split()
    assert all(bool(row.cure) == (row.verdict is Verdict.failed) for row in rows)


def test_large_logits_are_compared_in_parts_of_them(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """As the export compares them: an imprint adds up to hundreds. The card that is played is off by a thousandth."""

    def opened(path: Path, *, threads: int, device: str) -> SimpleNamespace:
        logits = np.array([[400.0, -0.5]]) * (1.001 if device == "cuda" else 1)
        return SimpleNamespace(get_inputs=lambda: [SimpleNamespace(shape=[1, 8, 8, 3])], run=lambda *_: [logits])

    monkeypatch.setattr("pillsnap.predict.sessions.open_session", opened)
    found = measure(tmp_path, "cuda")
    assert all(one["max_logit_error"] == pytest.approx(0.001) for one in found.values())
    assert found["fp32"]["max_logit_error"] < ERRORS["fp32"]


def test_what_the_driver_reports_of_the_steps_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a card that is played: its memory, and how busy it was where the driver says so."""
    memory = "0.2 GiB, of it 0.1 GiB tensors"
    for busy, words in ((0.97, f"12.0 images/s, GPU busy 97%, {memory}"), (None, f"12.0 images/s, {memory}")):
        done = Steps(12.0, 2**27, 2**28, busy)
        monkeypatch.setattr(classifier_module, "measure_steps", lambda *_, done=done, **__: done)
        row = next(iter(classifier_module.check_classifier(SMALL, drugs=3, device="cpu", steps=1)))
        assert (row.measured, row.figures["gpu_busy"]) == (words, busy)


def test_memory_is_judged_by_what_torch_takes_for_the_tensors(monkeypatch: pytest.MonkeyPatch) -> None:
    """The estimate has what is lost between blocks, and CUDA's context, which torch does not count."""
    verdicts = []
    allowed = training_bytes(SMALL, "classifier")
    for reserved in (allowed, allowed + 1):
        done = Steps(12.0, allowed // 2, reserved)
        monkeypatch.setattr(classifier_module, "measure_steps", lambda *_, done=done, **__: done)
        row = next(iter(classifier_module.check_classifier(SMALL, drugs=3, device="cpu", steps=1)))
        assert (row.figures["reserved_bytes"], row.figures["preflight_bytes"]) == (reserved, allowed)
        verdicts.append(row.verdict.value)
    assert verdicts == ["ok", "failed"]


def test_steps_are_measured_with_the_convolutions_of_the_training(monkeypatch: pytest.MonkeyPatch) -> None:
    """cuDNN tries them, on the card that is played, and only there; afterwards as before."""
    tried: list[bool] = []
    trainer = SimpleNamespace(
        **dict.fromkeys(("use_precision", "set_rates", "views", "end_step"), lambda *_, **__: None),
        step=lambda *_, **__: tried.append(torch.backends.cudnn.benchmark),
    )
    monkeypatch.setattr(classifier_module, "ClassifierTrainer", lambda *_, **__: trainer)
    monkeypatch.setattr(classifier_module, "WARMUP", 0)
    monkeypatch.setattr(classifier_module, "Gpus", lambda: SimpleNamespace(busy=lambda _: None))
    for name in ("synchronize", "reset_peak_memory_stats"):
        monkeypatch.setattr(f"torch.cuda.{name}", lambda: None)
    for name, held in (("allocated", 1), ("reserved", 2)):
        monkeypatch.setattr(f"torch.cuda.max_memory_{name}", lambda held=held: held)
    crops = classifier_module.draw_crops(4, 40, 3, "cpu")
    for device in ("cuda", "cpu"):
        batches = iter([crops])
        done = classifier_module.measure_steps(SMALL.classifier, 32, drugs=3, device=device, steps=1, batches=batches)
        held = (1, 2) if device == "cuda" else (None, None)
        assert (done.tensor_bytes, done.reserved_bytes) == held
    assert tried == [True, False] and not torch.backends.cudnn.benchmark


@pytest.mark.campaign
def test_detector_is_killed_and_resumes() -> None:
    resumed, rate = check_detector(SMALL, device="cpu", steps=4)
    assert (resumed.verdict, resumed.measured) == (Verdict.ok, "killed after an epoch; 3 of 3 epochs")
    assert rate.figures["images_per_second"] > 0


def test_processes_of_a_check_find_the_memory_free(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What the classifier's check held, compiled or not, would not leave them enough on a small card."""
    done: list[str] = []
    monkeypatch.setattr("torch.compiler.reset", lambda: done.append("graphs dropped"))
    monkeypatch.setattr("torch.cuda.empty_cache", lambda: done.append("blocks freed"))
    checks = check_gpu_module._checks(PRODUCTION, "stage4", tmp_path)
    functions = {
        "detector": "detector.check_detector",
        "ONNX Runtime": "onnx_runtime.check_onnx_runtime",
        "several GPUs": "several.check_several_gpus",
    }
    for name, function in functions.items():
        path = f"pillsnap.preflight.gpu_check.{function}"
        monkeypatch.setattr(path, lambda *_, name=name, **__: done.append(name) or [])
        checks[name]()
    assert done == [each for name in functions for each in ("graphs dropped", "blocks freed", name)]


def test_models_are_measured_with_the_batch_that_auto_becomes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked: list[tuple[str, Config]] = []
    card = CudaDriver((13, 0), (CudaDevice("Test card", "a", (9, 0), 139 * 2**30),))
    monkeypatch.setattr(check_gpu_module, "cuda_driver", lambda: card)
    for module, name in (("detector", "detector"), ("classifier", "classifier"), ("loading", "loading")):
        monkeypatch.setattr(
            f"pillsnap.preflight.gpu_check.{module}.check_{name}",
            lambda one, name=name, **_: asked.append((name, one)) or [],
        )
    auto = {part: getattr(PRODUCTION, part).model_copy(update={"batch": "auto"}) for part in ("detector", "classifier")}
    for settings in (PRODUCTION, PRODUCTION.model_copy(update=auto)):
        checks = check_gpu_module._checks(settings, "stage4", tmp_path)
        assert [checks[name]() for name in ("detector", "classifier", "loader")] == [[], [], []]
    batches = [one.detector.batch if name == "detector" else one.classifier.batch for name, one in asked]
    assert batches == [8, 8, 8, 64, 64, 64]


@pytest.mark.campaign
def test_two_processes_share_a_step_and_end_together() -> None:
    step, end = check_several_gpus(SMALL, drugs=3, device="cpu", there=2)
    assert (step.verdict, step.measured) == (Verdict.ok, "2 processes did it, to the same weights")
    assert end.verdict is Verdict.ok and end.measured.startswith("both ended after ")


@pytest.mark.parametrize(
    ("weights", "failed_at", "ended", "verdicts"),
    [
        ([1.5, 1.5], 100.0, 130.0, ["ok", "ok"]),
        ([1.5, 1.6], 100.0, 130.0, ["failed", "ok"]),
        ([1.5], None, 130.0, ["failed", "failed"]),
        ([1.5, 1.5], 100.0, 161.0, ["ok", "failed"]),
        ([1.5, 1.5], 100.0, None, ["ok", "failed"]),
    ],
    ids=["fine", "other weights", "one died before", "too late", "hangs"],
)
def test_what_two_processes_must_do(
    monkeypatch: pytest.MonkeyPatch,
    weights: list[float],
    failed_at: float | None,
    ended: float | None,
    verdicts: list[str],
) -> None:
    def played(folder: Path) -> float | None:
        for rank, value in enumerate(weights):
            write_json(folder / f"rank-{rank}.json", {"weights": value})
        if failed_at:
            write_json(folder / "failed.json", {"at": failed_at})
        return ended

    monkeypatch.setattr("pillsnap.preflight.gpu_check.several._run", played)
    rows = list(check_several_gpus(SMALL, drugs=3, device="cuda", there=2))
    assert [row.verdict.value for row in rows] == verdicts
    assert all(bool(row.cure) == (row.verdict is Verdict.failed) for row in rows)
    with pytest.raises(NotCheckedError, match="there is no second GPU"):
        next(iter(check_several_gpus(SMALL, drugs=3, device="cuda", there=1)))


def test_forecast_by_hand() -> None:
    """Two epochs at 128 px, two at 256 and one at 384: an image takes 10 ms, 20 ms and, by pixels, 13.75 ms."""
    recipe = Classifier(image_size=384, start_size=128, resize_every=2, resize_by=128, epochs=5, horizon=5)
    hours = classifier_hours(recipe, {128: 100.0, 384: 50.0}, 3600)
    assert hours == pytest.approx(2 * 0.01 + 2 * 0.01375 + 0.02)
    assert sum(classifier_hours(recipe, {384: 50.0}, each) for each in (1800, 1800)) == pytest.approx(0.1)


def rated(**figures: object) -> Row:
    return Row("measured", "", "", Verdict.ok, figures=figures)


def rates(of: dict[tuple[int, int], float], compiled: bool | str = False) -> list[Row]:
    """The classifier's rates by size and batch."""
    return [
        rated(size=size, batch=batch, images_per_second=rate, compiled=compiled) for (size, batch), rate in of.items()
    ]


@pytest.fixture
def unmade(tmp_path: Path) -> Config:
    """The small configuration with a first stage of 200 photographs; no stage was made."""
    pathvars = SMALL.pathvars.model_copy(update={"logs": str(tmp_path / "logs")})
    stages = SMALL.stages.model_copy(update={"stage1": SMALL.stages.stage1.model_copy(update={"images": 200})})
    return SMALL.model_copy(update={"pathvars": pathvars, "stages": stages})


def test_forecast_advises_the_fastest_batch(unmade: Config) -> None:
    rows = rates({(32, 4): 100.0, (48, 4): 50.0, (32, 64): 900.0, (48, 64): 400.0, (32, 128): 990.0})
    assert fastest_batch([row.figures for row in rows], SMALL.classifier) == 64, "128 does not fit at the last size"
    *_, ours, best = forecast(unmade, "stage1", rows)
    assert (ours.check, best.check) == ("classifier, the recipe's batch 4", "classifier, the fastest batch 64")
    assert best.figures["learning_rate"] == pytest.approx(4 * SMALL.classifier.learning_rate)
    assert ours.figures["hours"] > 7 * best.figures["hours"] > 0
    *_, slow, _ = forecast(unmade, "stage1", [*rows, rated(loader_images_per_second=25.0)])
    assert slow.figures["hours"] == pytest.approx(slow.figures["pills"] * unmade.classifier.epochs / 25 / 3600)


def hours_of(settings: Config, rows: list[Row]) -> dict[str, float | None]:
    """Hours of stage2's rules; `None` where they are not measured."""
    found = [row for row in forecast(settings, "stage2", rows) if row.check.startswith("forecast: ")]
    for row in found:
        missing = "not measured" in row.measured
        assert (row.verdict, bool(row.cure)) == (Verdict.not_checked if missing else Verdict.ok, missing)
    return {row.check.removeprefix("forecast: "): row.figures.get("hours") for row in found}


def test_forecast_of_every_rule_says_what_was_not_measured(unmade: Config, tmp_path: Path) -> None:
    """A rule's hours are by a rate of this check, else by a finished stage, else not known."""
    amounts, val, recipe = estimate_amounts(unmade, "stage2"), unmade.plan.val_fraction, unmade.classifier
    rules = set(RULES) - {"evaluate_detector", "cut_pills", "compose_scenes"}
    assert set(rules_of(PRODUCTION)) == rules - {"make_synthetic_archive"}
    assert hours_of(unmade, []) == dict.fromkeys(rules) | {"stage2": 0}
    write_text(tmp_path / "logs/stage1/export_onnx.tsv", "s\tcpu_time\n72.0\t60\n")
    write_text(tmp_path / "logs/stage1/cut_crops.tsv", "s\tcpu_time\n36.0\t30\n")
    write_text(tmp_path / "logs/stage1/train_classifier.tsv", "s\tcpu_time\n1.0\t1\n")
    write_text(tmp_path / "logs/index_archive/TS_1.tsv", "s\tcpu_time\n3.6\t3\n")
    growth = amounts.trained_pills / estimate_amounts(unmade, "stage1").trained_pills
    assert growth > 1.5
    scaled = {"export_onnx": 0.02, "index_archive": 0.001, "cut_crops": pytest.approx(0.01 * growth)}
    assert hours_of(unmade, []) == dict.fromkeys(rules) | scaled | {"stage2": pytest.approx(0.021 + 0.01 * growth)}
    rows = [
        *rates({(32, 4): 100.0, (48, 4): 50.0}),
        *rates({(32, 4): 400.0, (48, 4): 200.0}, "reduce-overhead"),
        rated(validation_images_per_second=300.0),
        rated(calibration_images_per_second=150.0),
        rated(model="detector", images_per_second=10.0),
        rated(rule="prepare_archive", each_second=5.0),
        rated(rule="cut_crops", each_second=50.0),
    ]
    pills, photos = amounts.trained_pills * (1 - val), amounts.detector_photos * (1 - val)
    checked = amounts.trained_pills * val / 300 / 3600
    hours = hours_of(unmade, rows)
    assert hours["cut_crops"] == pytest.approx(amounts.trained_pills / 50 / usable_threads(unmade.threads) / 3600), (
        "a rate counts more than a stage"
    )
    assert hours["prepare_archive"] == pytest.approx(amounts.photos / 5 / cores() / 3600)
    assert hours["train_detector"] == pytest.approx(unmade.detector.epochs * photos / 10 / 3600)
    training = classifier_hours(recipe, {32: 100.0, 48: 50.0}, pills)
    assert hours["train_classifier"] == pytest.approx(training + recipe.epochs * checked), "validations counted"
    crops = min(amounts.trained_pills, 64 * amounts.drugs)
    assert hours["calibrate_answers"] == pytest.approx(crops / 150 / 3600 + 2 * checked), "a row of its own"
    graphs = unmade.model_copy(update={"classifier": recipe.model_copy(update={"compile": "reduce-overhead"})})
    assert hours_of(graphs, rows)["train_classifier"] == pytest.approx(training / 4 + recipe.epochs * checked)
    said = [
        next(row.measured for row in forecast(graphs, "stage2", some) if row.check == "forecast: train_classifier")
        for some in (rows, rates({(48, 4): 50.0}))
    ]
    assert ["uncompiled" in words for words in said] == [False, True], "another configuration is called so"


def test_forecast_takes_the_batch_that_auto_becomes(unmade: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    auto = unmade.classifier.model_copy(update={"batch": "auto", "reference_batch": 4})
    settings = unmade.model_copy(update={"classifier": auto})
    rows = rates({(32, 4): 10.0, (48, 4): 10.0, (32, 8): 20.0, (48, 8): 20.0})
    monkeypatch.setattr("pillsnap.preflight.gpu_check.forecast.cuda_driver", lambda: None)
    on_cpu = hours_of(settings, rows)["train_classifier"]
    card = CudaDriver((13, 0), (CudaDevice("Test card", "a", (9, 0), 2**40),))
    monkeypatch.setattr("pillsnap.preflight.gpu_check.forecast.cuda_driver", lambda: card)
    monkeypatch.setattr("pillsnap.training.batch_size.MOST_REFERENCES", 2)
    assert hours_of(settings, rows)["train_classifier"] == pytest.approx(on_cpu / 2)
    assert hours_of(settings, rows[:2])["train_classifier"] is None, "no rate of that batch"


def test_work_of_the_data_rules_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pillsnap.preflight.gpu_check.data.REPEATS", 1)
    rows = list(check_data(SMALL))
    assert [row.figures["rule"] for row in rows] == ["prepare_archive", "cut_crops"]
    assert all(row.figures["each_second"] > 0 for row in rows)


def test_without_a_gpu_the_command_fails_and_checks_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(cuda, "LIBRARY", str(tmp_path / "none.so"))
    words = ["doctor", "--deep", "--config", str(PROJECT / "config.yaml"), "--record", str(tmp_path / "gpu.json")]
    done = CliRunner().invoke(app, words, env={"COLUMNS": "200"})
    assert done.exit_code == 1 and "there is no libcuda.so.1" in done.stdout
    record = json.loads((tmp_path / "gpu.json").read_text())
    assert {row["verdict"] for row in record["rows"][1:]} == {"not checked"}
    assert record["versions"]["torch"] and record["checked_at"] and record["machine"]["cores"]


def test_all_checks_run_where_there_is_a_gpu(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(check_gpu_module, "check_device", lambda config: [ok("device")])
    monkeypatch.setattr(check_gpu_module, "_checks", lambda *_: {"one": lambda: [ok("one")]})
    rows = check_gpu(SMALL, stage="stage1", models=tmp_path, record=tmp_path / "gpu.json")
    assert told(rows)[:2] == [("device", "ok"), ("one", "ok")]
    assert ("forecast: train_classifier", "not checked") in told(rows)


@pytest.mark.parametrize(
    ("driver", "played", "stopped_by"),
    [
        ({"capability": 75}, {}, None),
        ({}, {"get_device_properties": SimpleNamespace(uuid="of an instance")}, None),
        ({"version": 12040}, {}, "CUDA"),
        ({"capability": 75}, {"get_arch_list": ["sm_80", "sm_90"]}, "architecture"),
        ({}, {"is_available": False}, "torch"),
        ({"init": 100}, {}, "CUDA device"),
    ],
    ids=["no bf16", "MIG", "old driver", "old card", "torch without CUDA", "no card"],
)
def test_only_a_gpu_that_cannot_compute_stops_the_check(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, driver: dict, played: dict, stopped_by: str | None
) -> None:
    install_cuda(monkeypatch, tmp_path, **driver)
    install_nvml(monkeypatch, tmp_path)
    fine = {"is_available": True, "get_device_properties": SimpleNamespace(uuid=UUID), "get_arch_list": []}
    for name, answer in (fine | played).items():
        monkeypatch.setattr(f"torch.cuda.{name}", lambda *_, answer=answer: answer)
    monkeypatch.setattr(check_gpu_module, "_checks", lambda *_: {"one": lambda: [ok("one")]})
    rows = check_gpu(PRODUCTION, stage="stage4", models=tmp_path, record=tmp_path / "gpu.json")
    failed = [row.check for row in rows if row.verdict is Verdict.failed]
    assert failed and (stopped_by is None or stopped_by in failed)
    assert dict(told(rows))["one"] == ("not checked" if stopped_by else "ok")


def test_make_takes_further_configuration_files() -> None:
    overlays = ["profiles/production/large_gpu.yaml", "mine.yaml"]
    words = ["make", "--dry-run", "gpu-check", f"CONFIG={' '.join(overlays)}"]
    done = subprocess.run(words, cwd=PROJECT, capture_output=True, text=True, check=True)
    command = shlex.split(done.stdout[done.stdout.index("pillsnap doctor") :])
    files = [file for option, file in pairwise(command) if option == "--config"]
    assert files == ["config.yaml", "profiles/production/pillsnap.yaml", *overlays]


ABSENT = (
    *("pandas", "pandera", "pyarrow", "kornia_rs", "ultralytics", "pycocotools", "snakemake", "dvc", "onnx"),
    *("onnxruntime", "sklearn", "tensorboard"),
)
BARE = """
import sys
sys.modules |= dict.fromkeys(sys.argv[2:])
from pathlib import Path
from pillsnap.config.load import read_config
from pillsnap.preflight.gpu_check import check_gpu, classifier
from pillsnap.preflight.gpu_check.rows import run_checks
config = read_config("config.yaml", sys.argv[1])
classifier.LARGEST_BATCH, classifier.WARMUP, check_gpu.STEPS = 4, 1, 1
real = classifier.measure_steps
def measure_steps(recipe, *words, **more):
    return real(recipe.model_copy(update={"compile": False}), *words, **more)
classifier.measure_steps = measure_steps
for row in run_checks(check_gpu._checks(config, "stage1", Path("none"), "cpu"), seconds=60):
    print(row.check.split(" ")[0], row.verdict.value, row.cure, sep="|")
"""


def test_torch_torchvision_and_timm_are_enough(tmp_path: Path) -> None:
    """What the other packages would be needed for is not checked, and the extra that brings them is named."""
    overlay = SMALL.model_dump(include={"classifier": {"model", "model_args", "image_size", "start_size", "batch"}})
    (tmp_path / "small.yaml").write_text(json.dumps(overlay))
    command = [sys.executable, "-c", BARE, str(tmp_path / "small.yaml"), *ABSENT]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=PROJECT)
    assert done.returncode == 0, done.stderr
    rows = {name: rest for name, *rest in (line.split("|") for line in done.stdout.splitlines())}
    assert rows["bf16"][0] == rows["classifier"][0] == "ok"
    assert rows["ONNX"] == ["not checked", "there is no module onnxruntime: install pillsnap[gpu]"]
    assert rows["detector"][0] == "not checked" and rows["detector"][1].endswith("install pillsnap[pipeline]")
