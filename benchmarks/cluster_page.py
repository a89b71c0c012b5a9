"""Tables of docs/cluster.md, all computed from the files of measurements and the profile."""

import re
from typing import Any

import yaml
from cluster_plan import (
    ASSUMED_TERAFLOPS,
    CORES,
    EXECUTOR_MB,
    NODES,
    PROJECT,
    Measured,
    Step,
    added_seconds,
    disk,
    full_amounts,
    gpu_operations,
    hours,
    node_hours,
    production,
    steps,
)
from slurm_jobs import job_table

from pillsnap.files import write_text
from pillsnap.preflight.memory import memory_needs

PAGE = PROJECT / "docs" / "cluster.md"
PROFILE = PROJECT / "profiles" / "slurm" / "config.yaml"
EXPECTED_HOURS = 20, 30
"""Of both trainings, as the project's requirements expect them."""

_PLAN = """| step | jobs | a job | on the cluster | node-hours | rate from |
|---|---|---|---|---|---|
{rows}
| **all** | **{jobs}** | | **{hours:.1f} h** | **{node_hours:.1f}** | |
| of these without a GPU | {data_jobs} | | {data_hours:.1f} h | {data_node_hours:.1f} | |

Each job has {added:.0f} s more for Slurm and Snakemake: the median of the records above. Snakemake looks after a job
every 20 s and, where nothing ended, ever more seldom, at most 3 minutes apart: up to {notice:.1f} h more over
{steps} steps. `prepare_archive` would read {read:.2f} TB at {rate:.1f} GB/s; where the shared disk gives 1 GB/s, the
step takes {read_hours:.1f} h."""

_GPU = """| rule | 10^15 operations | hours at {teraflops:.0f} TFLOP/s |
|---|---|---|
{rows}

The project's requirements expect {low} to {high} h of both trainings; a GPU that keeps up {slow:.0f} to {fast:.0f}
TFLOP/s would do that."""

_DISK = """| what | GB |
|---|---|
{rows}
| **written by stage4** | **{written:,.0f}** |"""


def tables() -> dict[str, str]:
    """Every table of the page by its name."""
    measured, config = Measured.read(), production()
    amounts = full_amounts(config)
    planned = steps(measured, config, amounts)
    return {
        "plan": _plan(planned, measured, amounts),
        "gpu": _gpu(gpu_operations(config, amounts)),
        "disk": _disk(disk(measured, config, amounts)),
        "memory": _memory(measured, memory_needs(amounts, config, jobs=1, gpu=True)),
        "jobs": _jobs(measured.slurm),
    }


def page(text: str) -> str:
    """The page with its tables written anew."""
    for name, table in tables().items():
        block = re.compile(rf"<!-- {name} -->\n.*?<!-- end -->", re.DOTALL)
        if not block.search(text):
            raise ValueError(f"{PAGE.name} has no place for the table {name}")
        text = block.sub(lambda _, name=name, table=table: f"<!-- {name} -->\n{table}\n<!-- end -->", text)
    return text


def _plan(planned: list[Step], measured: Measured, amounts: Any) -> str:
    added = added_seconds(measured)
    data = [step for step in planned if not step.gpu]
    prepare = next(step for step in planned if step.rule == "prepare_archive")
    read = amounts.photos * measured.prepare["photos"]["mean_bytes"]
    return _PLAN.format(
        rows="\n".join(_plan_row(step, added) for step in planned),
        jobs=sum(step.jobs for step in planned),
        hours=sum(hours(step, added) for step in planned),
        node_hours=sum(node_hours(step, added) for step in planned),
        data_jobs=sum(step.jobs for step in data),
        data_hours=sum(hours(step, added) for step in data),
        data_node_hours=sum(node_hours(step, added) for step in data),
        added=added,
        notice=len(planned) * 3 / 60,
        steps=len(planned),
        read=read / 1e12,
        rate=read / (hours(prepare, added) * 3600) / 1e9,
        read_hours=read / 1e9 / 3600,
    )


def _plan_row(step: Step, added: float) -> str:
    return (
        f"| `{step.rule}`{', GPU' if step.gpu else ''} | {step.jobs} | {_duration(step.seconds)} "
        f"| {_duration(hours(step, added) * 3600)} | {node_hours(step, added):.2f} | {step.source} |"
    )


def _duration(seconds: float) -> str:
    return (
        f"{seconds:.0f} s"
        if seconds < 120
        else f"{seconds / 60:.0f} min"
        if seconds < 7200
        else f"{seconds / 3600:.1f} h"
    )


def _gpu(operations: dict[str, float]) -> str:
    trainings = operations["train_detector"] + operations["train_classifier"]
    fast, slow = (trainings / 1e12 / 3600 / expected for expected in EXPECTED_HOURS)
    rows = [
        f"| `{rule}` | {count / 1e15:,.0f} | {count / ASSUMED_TERAFLOPS / 1e12 / 3600:.1f} |"
        for rule, count in operations.items()
    ]
    low, high = EXPECTED_HOURS
    return _GPU.format(rows="\n".join(rows), teraflops=ASSUMED_TERAFLOPS, low=low, high=high, fast=fast, slow=slow)


def _disk(parts: dict[str, float]) -> str:
    raw, *_ = parts
    rows = [f"| {name} | {need / 1e9:,.1f} |" for name, need in parts.items()]
    return _DISK.format(rows="\n".join(rows), written=sum(need for name, need in parts.items() if name != raw) / 1e9)


def asked_mb(rule: str) -> int:
    """Memory that the profile asks for at the first attempt, in MB."""
    value = yaml.safe_load(PROFILE.read_text(encoding="utf-8"))["set-resources"][rule]["mem_mb"]
    return int(value.removesuffix(" * attempt"))


def full_size_mb(measured: Measured, needs: dict[str, int]) -> dict[str, float]:
    """Memory of the rules whose need at full size was measured, or follows from a measured slope, in MB."""
    steps = {
        "index_archive": "index",
        "plan_stage": "plan stage4",
        "build_manifest": "manifest",
        "build_yolo_dataset": "build_dataset",
        "write_dataset_page": "write_page",
        "cut_crops": "cut_tables",
    }
    whole = {rule: measured.full_size["steps"][step]["peak_bytes"] / 1e6 for rule, step in steps.items()}
    sloped = {rule: need / 1e6 for rule, need in needs.items()}
    return sloped | {rule: max(need, sloped.get(rule, 0)) for rule, need in whole.items()}


def _memory(measured: Measured, needs: dict[str, int]) -> str:
    full = full_size_mb(measured, needs)
    rows = ["| rule | demo, peak MB | stage4 in full, MB | asked, MB |", "|---|---|---|---|"]
    for rule, cost in measured.rules["rules"].items():
        need = f"{full[rule]:,.0f}" if rule in full else "not measured"
        rows.append(f"| `{rule}` | {cost['peak_mb']:,} | {need} | {asked_mb(rule):,} |")
    rows += ["", f"Asked is more than {EXECUTOR_MB} MB above each: Snakemake's two processes in a job."]
    return "\n".join(rows)


def _jobs(result: dict[str, Any]) -> str:
    versions = result["versions"]
    head = (
        f"{result['date']}, {result['slurm']}, {result['device']}, snakemake {versions['snakemake']}, commit "
        f"`{result['commit']['hash'][:10]}`: {len(result['jobs'])} jobs in {result['seconds']:.0f} s."
    )
    return f"{head}\n\n{job_table(result)}"


if __name__ == "__main__":
    write_text(PAGE, page(PAGE.read_text(encoding="utf-8")))
    print(f"{NODES} nodes of {CORES} cores; wrote {PAGE.relative_to(PROJECT)}")
