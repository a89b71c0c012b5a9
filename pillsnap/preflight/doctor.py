"""Examine whether this machine can run a stage: its resources, and the stage's needs."""

import platform
from collections.abc import Iterator
from pathlib import Path

from pillsnap.config.config import Config
from pillsnap.config.load import ConfigError
from pillsnap.files import read_json
from pillsnap.hardware import cores, cpu_name, schedulable_cores
from pillsnap.preflight.amounts import count_amounts, estimate_amounts
from pillsnap.preflight.backgrounds import check_backgrounds
from pillsnap.preflight.findings import Finding, Verdict, finding
from pillsnap.preflight.stage import check_data, check_hardware
from pillsnap.preflight.surroundings import check_home, check_paths, check_user
from pillsnap.sources.archives import SourceError, source_root
from pillsnap.sources.registry import get_kind, list_all_archives, list_archives
from pillsnap.tables.files import read_table
from pillsnap.tables.schemas import PLAN, PLANNED_BACKGROUNDS
from pillsnap.workflow.arithmetic import has_avx2
from pillsnap.workflow.git import GitError
from pillsnap.workflow.provenance import package_versions, read_commit


def examine(config: Config, stage: str) -> list[Finding]:
    """Examine the machine, the source and the plan of a stage; nothing is changed, no process is touched.

    Where the stage is planned, these are the checks of the rule `check_machine`; before that, the need of disk and
    memory is estimated from the configuration.

    Raises:
        ConfigError: there is no such stage.
    """
    if stage not in type(config.stages).model_fields:
        raise ConfigError(f"--stage {stage}: must be one of {', '.join(type(config.stages).model_fields)}.")
    return [
        _versions(),
        _commit(),
        _processor(config),
        check_user(),
        check_home(),
        _paths(config),
        *_sources(config),
        *check_backgrounds(config.scenes),
        *_stage(config, stage),
    ]


def _stage(config: Config, stage: str) -> list[Finding]:
    folder, jobs = Path(config.pathvars.results) / stage, cores()
    if not (folder / "plan.parquet").is_file():
        unplanned = Finding(Verdict.ok, "plan", "not made yet: disk and memory are estimated from the settings")
        return [*check_hardware(estimate_amounts(config, stage), config, stage, jobs=jobs).findings, unplanned]
    try:
        plan, summary = read_table(folder / "plan.parquet", PLAN), read_json(folder / "plan.json")
        empty = read_table(folder / "plan.backgrounds.parquet", PLANNED_BACKGROUNDS)
    except (OSError, ValueError) as error:
        return [Finding(Verdict.warning, "plan", f"cannot be read ({error})", "Plan again: -R plan_stage")]
    hardware = check_hardware(count_amounts(plan, empty, config), config, stage, jobs=jobs)
    return [*hardware.findings, *check_data(plan, empty, summary, config, stage)]


def _versions() -> Finding:
    found = package_versions()
    missing = [name for name, version in found.items() if version == "not installed"]
    text = ", ".join(f"{name} {version}" for name, version in found.items())
    if missing:
        return Finding(Verdict.refused, "versions", text, "Install the lock file: make env")
    return Finding(Verdict.ok, "versions", text)


def _commit() -> Finding:
    try:
        commit = read_commit()
    except GitError as error:
        return Finding(Verdict.warning, "commit", f"{error.reason}: results will not name it", error.cure)
    state = "with uncommitted changes" if commit["dirty"] else "clean"
    found = f"{commit['hash'][:12]} changed the project last, {state}"
    if commit.get("shallow"):
        found += "; the clone is shallow, and the code may be that of an earlier commit"
        return Finding(Verdict.warning, "commit", found, "Fetch the history: git fetch --unshallow")
    return Finding(Verdict.ok, "commit", found)


def _processor(config: Config) -> Finding:
    usable, schedulable = cores(), schedulable_cores()
    found = f"{cpu_name()}, {usable} usable cores, {platform.machine()}"
    if config.portable:
        found += (
            "; pictures and trainings are kept to AVX2"
            if has_avx2()
            else "; no AVX2: it makes bytes of its own (portable)"
        )
    if usable < schedulable:
        found += f"; a quota limits them, and `--cores all` would take {schedulable}"
    cure = f"Give Snakemake as many as are usable: --cores {usable}"
    return finding("processor", found, warning=usable < schedulable, cure=cure)


def _paths(config: Config) -> Finding:
    try:
        return check_paths(config, list_all_archives(config.named_sources))
    except SourceError:  # which is told of each source
        return check_paths(config, {})


def _sources(config: Config) -> Iterator[Finding]:
    for name, source in config.named_sources.items():
        title = "source" if len(config.named_sources) == 1 else f"source {name}"
        try:
            archives = list_archives(source)
            found = f"{source.kind}: {len(archives)} archives below {source_root(source)}"
            if get_kind(source.kind).drawn and (
                missing := [one for one in archives.values() if not Path(one.photos).exists()]
            ):
                found += f", {len(missing)} of them still to be drawn"
            yield Finding(Verdict.ok, title, found)
        except SourceError as error:
            yield Finding(Verdict.refused, title, source.kind, str(error))
