"""All checks of a stage, for the rule `check_machine` and `pillsnap doctor`."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from pillsnap.config.config import Config
from pillsnap.cuda import cuda_driver
from pillsnap.hardware import Gpu, gpus
from pillsnap.preflight.amounts import Amounts
from pillsnap.preflight.cuda import check_compiler, check_cuda, check_onnx_runtime
from pillsnap.preflight.disk import Part, check_disk, disk_parts
from pillsnap.preflight.findings import Finding
from pillsnap.preflight.gpu import check_batches, check_gpus, choose_batches, gpu_need, with_batches
from pillsnap.preflight.manifest import check_manifest
from pillsnap.preflight.memory import check_memory, check_shared_memory, memory_needs
from pillsnap.preflight.plan import check_plan
from pillsnap.preflight.raw import check_archives
from pillsnap.preflight.surroundings import check_locks
from pillsnap.sources.archives import SourceError
from pillsnap.sources.registry import list_all_archives


@dataclass(frozen=True)
class MachineCheck:
    """A stage's needs of the machine, and findings: disk by part, memory by rule and on a GPU, in bytes."""

    parts: list[Part]
    memory_needs: dict[str, int]
    gpu_need: int
    gpus: list[Gpu]
    findings: list[Finding]


def check_hardware(amounts: Amounts, config: Config, stage: str, *, jobs: int) -> MachineCheck:
    """Check disk, file locks, memory and GPUs against a stage's needs.

    Args:
        amounts: of the stage.
        config: settings, and the folders to check.
        stage: its name.
        jobs: parallel jobs of `prepare_archive`.
    """
    found, driver = gpus(), cuda_driver()
    on_gpu = bool(driver and driver.devices) and config.device != "cpu"
    parts = disk_parts(amounts, config, stage)
    choices = choose_batches(driver, amounts, config)
    config = with_batches(config, choices)
    needs = memory_needs(amounts, config, jobs=jobs, gpu=on_gpu)
    findings = [
        *check_disk(parts, stage),
        *check_locks(config),
        check_memory(needs, jobs=jobs),
        *check_shared_memory(config),
        *check_gpus(found, driver, config),
        *check_cuda(found, driver, config),
        *check_onnx_runtime(driver, config),
        *check_compiler(driver, config),
        *check_batches(choices),
    ]
    return MachineCheck(parts, needs, gpu_need(config), found, findings)


def check_data(
    plan: pd.DataFrame, backgrounds: pd.DataFrame, summary: Mapping[str, Any], config: Config, stage: str
) -> list[Finding]:
    """Check raw archives, plan, and the manifest of an earlier run.

    Args:
        plan: schema `PLAN`.
        backgrounds: schema `PLANNED_BACKGROUNDS`.
        summary: content of `plan.json`.
        config: settings, source, and the folders to check.
        stage: its name.
    """
    results = Path(config.pathvars.results)
    try:
        archives = list_all_archives(config.named_sources)
    except SourceError:
        archives = {}
    return [
        check_archives({*plan["archive"], *backgrounds["archive"]}, archives, results / "index"),
        *check_plan(plan, summary, config),
        check_manifest(results / stage / "manifest"),
    ]
