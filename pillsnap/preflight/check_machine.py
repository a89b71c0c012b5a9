"""Check machine and plan before a stage's first photograph is decoded."""

import logging
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pillsnap.config.config import Config
from pillsnap.files import read_json, write_json
from pillsnap.hardware import cores, memory
from pillsnap.preflight.amounts import count_amounts
from pillsnap.preflight.backgrounds import check_backgrounds
from pillsnap.preflight.findings import Finding, Verdict, of_verdict
from pillsnap.preflight.stage import MachineCheck, check_data, check_hardware
from pillsnap.tables.files import read_table
from pillsnap.tables.schemas import PLAN, PLANNED_BACKGROUNDS

log = logging.getLogger(__name__)


class PreflightError(RuntimeError):
    """A stage that cannot succeed on this machine or with this data; the message has every refusal with its cure."""


def check_machine(
    *, plan: Path, plan_backgrounds: Path, plan_summary: Path, preflight: Path, config: Config, jobs: int
) -> None:
    """Check machine and data against a stage's plan. Nothing is changed, no process is touched.

    Args:
        plan, plan_backgrounds, plan_summary: of `plan_stage`.
        preflight: written, JSON: findings, bytes needed by part and by rule, and the machine's resources. Its folder
            has the stage's name. Not written where something is refused.
        config: the whole configuration.
        jobs: maximum number of parallel jobs.

    Raises:
        PreflightError: something is refused.
    """
    stage, table = preflight.parent.name, read_table(plan, PLAN)
    empty = read_table(plan_backgrounds, PLANNED_BACKGROUNDS)
    machine = check_hardware(count_amounts(table, empty, config), config, stage, jobs=jobs)
    data = check_data(table, empty, read_json(plan_summary), config, stage)
    findings = [*machine.findings, *check_backgrounds(config.scenes), *data]
    for one in findings:
        log.info("%s  %s: %s", one.verdict.value, one.what, one.found)
    refuse(findings, stage)
    write_json(preflight, _record(machine, findings, stage))


def refuse(findings: Sequence[Finding], stage: str) -> None:
    """Raise `PreflightError` with every refusal and its cure, if there is any."""
    refused = of_verdict(findings, Verdict.refused)
    if refused:
        lines = [f"  {one.what}: {one.found}.\n    {one.cure}." for one in refused]
        raise PreflightError(f"{stage} is refused before its first photograph is decoded:\n" + "\n".join(lines))


def _record(machine: MachineCheck, findings: Sequence[Finding], stage: str) -> dict[str, Any]:
    total, available = memory()
    warned = bool(of_verdict(findings, Verdict.warning))
    return {
        "stage": stage,
        "verdict": (Verdict.warning if warned else Verdict.ok).value,
        "checked_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "findings": [asdict(one) for one in findings],
        "disk_bytes": {part.name: {"need": part.need, "there": part.written} for part in machine.parts},
        "memory_bytes": machine.memory_needs,
        "gpu_bytes": machine.gpu_need,
        "machine": {
            "cores": cores(),
            "memory_total_bytes": total,
            "memory_available_bytes": available,
            "gpus": [asdict(gpu) for gpu in machine.gpus],
        },
    }
