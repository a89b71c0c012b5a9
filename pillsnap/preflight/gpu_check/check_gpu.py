"""All checks of a GPU, and their record."""

import platform
from collections.abc import Callable, Iterable
from dataclasses import asdict
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from pillsnap.config.config import Config
from pillsnap.cuda import cuda_driver
from pillsnap.files import write_json
from pillsnap.hardware import cores, cpu_name
from pillsnap.preflight.gpu_check.device import STOPPING, check_device
from pillsnap.preflight.gpu_check.forecast import forecast
from pillsnap.preflight.gpu_check.rows import Row, Verdict, run_checks

PACKAGES = ("torch", "torchvision", "timm", "ultralytics", "onnxruntime-gpu", "nvidia-cudnn-cu13", "triton")
SECONDS = 420
"""After which no further check is begun."""
STEPS = 30

Check = Callable[[], Iterable[Row]]


def check_gpu(config: Config, *, stage: str, models: Path, record: Path) -> list[Row]:
    """Check the first GPU with the stage's models, and write a record. Only where no GPU works (`STOPPING`) the checks
    after the device's are not made.

    Args:
        config: recipes, seed, folders.
        stage: whose classes and photographs count.
        models: folder of `export_onnx`.
        record: written, JSON: date, machine, versions and all rows.
    """
    rows = run_checks({"device": partial(check_device, config)}, seconds=SECONDS)
    if any(row.verdict is Verdict.failed and row.check in STOPPING for row in rows):
        rows += [Row(name, "", "", Verdict.not_checked, "no GPU that works") for name in _checks(config, stage, models)]
    else:
        rows += run_checks(_checks(config, stage, models), seconds=SECONDS)
        rows += run_checks({"forecast": partial(forecast, config, stage, rows)}, seconds=SECONDS)
    write_json(record, _record(stage, rows))
    return rows


def _checks(config: Config, stage: str, models: Path, device: str = "cuda") -> dict[str, Check]:
    drugs = getattr(config.stages, stage).classes

    def compute() -> Iterable[Row]:
        from pillsnap.preflight.gpu_check.compute import check_compute

        return check_compute(device)

    def classifier() -> Iterable[Row]:
        from pillsnap.preflight.gpu_check.classifier import check_classifier

        return check_classifier(_with_batches(config, stage), drugs=drugs, device=device, steps=STEPS)

    def variations() -> Iterable[Row]:
        from pillsnap.preflight.gpu_check.classifier import check_variations

        batch = _with_batches(config, stage).classifier.global_batch_size
        return check_variations(config, batch=batch, drugs=drugs, device=device, steps=STEPS)

    def loader() -> Iterable[Row]:
        from pillsnap.preflight.gpu_check.loading import check_loading

        return check_loading(_with_batches(config, stage), drugs=drugs, device=device, steps=STEPS)

    def calibration() -> Iterable[Row]:
        from pillsnap.preflight.gpu_check.calibration import check_calibration

        return check_calibration(config, drugs=drugs, device=device)

    def memory() -> Iterable[Row]:
        from pillsnap.preflight.gpu_check.memory import check_memory_cap

        return check_memory_cap(config, drugs=drugs, device=device)

    def detector() -> Iterable[Row]:
        from pillsnap.preflight.gpu_check.detector import check_detector

        return check_detector(_with_batches(config, stage), device=device)

    def onnx_runtime() -> Iterable[Row]:
        from pillsnap.preflight.gpu_check.onnx_runtime import check_onnx_runtime

        return check_onnx_runtime(models, device)

    def data() -> Iterable[Row]:
        from pillsnap.preflight.gpu_check.data import check_data

        return check_data(config)

    def several_gpus() -> Iterable[Row]:
        import torch

        from pillsnap.preflight.gpu_check.several import check_several_gpus

        return check_several_gpus(config, drugs=drugs, device=device, there=torch.cuda.device_count())

    checks: dict[str, Check] = {  # what the forecast rests on comes first: the time may end
        "product": compute,
        "classifier": classifier,
        "loader": loader,
        "calibration": calibration,
        "detector": detector,
        "data": data,
        "ONNX Runtime": onnx_runtime,
        "memory that ends": memory,
        "several GPUs": several_gpus,
        "classifier, variations": variations,
    }
    return {name: partial(_with_free_memory, check, device) for name, check in checks.items()}


def _with_free_memory(check: Check, device: str) -> Iterable[Row]:
    """Make a check with the memory that those before it held: some start processes of their own on the device."""
    from pillsnap.preflight.gpu_check.compute import release_memory

    release_memory(device)
    return check()


def _with_batches(config: Config, stage: str) -> Config:
    """The configuration with the batches that `auto` becomes in the stage."""
    if "auto" not in (config.detector.batch, config.classifier.batch):
        return config  # without pandas, by which the stage's amounts are counted
    from pillsnap.preflight.amounts import estimate_amounts
    from pillsnap.preflight.gpu import choose_batches, with_batches

    return with_batches(config, choose_batches(cuda_driver(), estimate_amounts(config, stage), config))


def _record(stage: str, rows: list[Row]) -> dict[str, Any]:
    return {
        "stage": stage,
        "checked_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": {"cpu": cpu_name(), "cores": cores(), "kernel": platform.release()},
        "versions": {package: _version(package) for package in PACKAGES} | {"python": platform.python_version()},
        "rows": [asdict(row) for row in rows],
    }


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"
