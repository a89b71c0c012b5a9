"""Whether this machine can run a stage: what is there, and what the stage needs."""

import platform
from dataclasses import dataclass
from enum import StrEnum

from pillsnap.config import Config, ConfigError
from pillsnap.hardware import cores, cpu_name, disk_free, gpus, memory
from pillsnap.provenance import git_commit, package_versions
from pillsnap.sources import SourceError, list_archives

GIB = 2**30
CROP_BYTES_PER_PIXEL = 0.7
"""JPEG quality 95 without chroma subsampling, measured on the synthetic crops; see docs/disk.md."""
PHOTO_BYTES_PER_PIXEL = 0.35
"""JPEG quality 90 of whole photographs, measured on the synthetic photographs."""
AIHUB_PIXELS = 976 * 1280


class Verdict(StrEnum):
    """How a finding ends."""

    ok = "ok"
    warning = "warning"
    refused = "refused"


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at."""

    verdict: Verdict
    what: str
    found: str
    cure: str = ""


def examine(config: Config, stage: str) -> list[Finding]:
    """Look at the machine and at the source of a stage; nothing is changed, no process is touched.

    Raises:
        ConfigError: there is no such stage.
    """
    if stage not in type(config.stages).model_fields:
        raise ConfigError(f"--stage {stage}: must be one of {', '.join(type(config.stages).model_fields)}.")
    return [_versions(), _commit(), _processor(), _memory(), _disk(config, stage), *_gpus(config), _source(config)]


def _versions() -> Finding:
    found = package_versions()
    missing = [name for name, version in found.items() if version == "not installed"]
    text = ", ".join(f"{name} {version}" for name, version in found.items())
    if missing:
        return Finding(Verdict.refused, "versions", text, "Install the lock file: make env")
    return Finding(Verdict.ok, "versions", text)


def _commit() -> Finding:
    commit = git_commit()
    if not commit["hash"]:
        return Finding(Verdict.warning, "commit", "not in a git repository", "Clone the project, so that results name it")
    state = "with uncommitted changes" if commit["dirty"] else "clean"
    return Finding(Verdict.ok, "commit", f"{commit['hash'][:12]}, {state}")


def _processor() -> Finding:
    return Finding(Verdict.ok, "processor", f"{cpu_name()}, {cores()} usable cores, {platform.machine()}")


def _memory(need: int = 4 * GIB) -> Finding:
    total, available = memory()
    found = f"{available / GIB:.1f} of {total / GIB:.1f} GiB free"
    if available < need:
        return Finding(Verdict.warning, "memory", found, f"The trainings want {need / GIB:.0f} GiB: close something")
    return Finding(Verdict.ok, "memory", found)


def needed_bytes(config: Config, stage: str) -> int:
    """Disk that a stage's prepared data will take, in bytes: JPEGs for the detector, context crops, crops.

    Each photograph is stored once for the detector and, from it, one context crop a pill; the estimate takes
    AIHub's 1.04 pills a photograph, a context crop of a quarter of the photograph's area, and adds a tenth.
    """
    images = min(getattr(config.stages, stage).images, _available(config))
    shrunk = AIHUB_PIXELS * min(1.0, config.prepare.photo_size / 1280) ** 2
    photo = shrunk * PHOTO_BYTES_PER_PIXEL * 2  # in the prepared shard and in the detector's data set
    crops = (AIHUB_PIXELS / 4 + 2 * config.crops.size**2) * CROP_BYTES_PER_PIXEL * 1.04
    return int(images * (photo + crops) * 1.1)


def _available(config: Config) -> int:
    """Photographs that the built-in source will make; others are counted when they are indexed."""
    if config.source.kind != "synthetic":
        return 10**9
    made = config.source.synthetic
    singles = made.drugs * (made.photos_per_drug + made.validation_photos_per_drug)
    return singles + 3 * (made.combos + made.validation_combos)


def _disk(config: Config, stage: str) -> Finding:
    need, free = needed_bytes(config, stage), disk_free(config.pathvars.results)
    found = f"{free / GIB:.1f} GiB free, {stage} needs about {need / GIB:.1f} GiB"
    if free < need:
        cure = "Free some space, choose a smaller stage, or move pathvars.results to a larger disk"
        return Finding(Verdict.refused, "disk", found, cure)
    return Finding(Verdict.ok, "disk", found)


def _gpus(config: Config) -> list[Finding]:
    found = gpus()
    if not found and config.device == "cuda":
        return [Finding(Verdict.refused, "GPU", "none, but device = cuda", "Set device to auto or cpu")]
    if not found:
        return [Finding(Verdict.ok, "GPU", "none; trainings run on the CPU")]
    findings = []
    for gpu in found:
        text = f"{gpu.name}: {gpu.memory_free / GIB:.1f} of {gpu.memory_total / GIB:.1f} GiB free"
        if gpu.holders:
            who = ", ".join(f"process {pid} ({used / GIB:.1f} GiB)" for pid, used in gpu.holders)
            findings.append(Finding(Verdict.warning, "GPU", f"{text}; held by {who}", "Wait for it, or ask its owner"))
        else:
            findings.append(Finding(Verdict.ok, "GPU", text))
    return findings


def _source(config: Config) -> Finding:
    try:
        archives = list_archives(config.source)
    except SourceError as error:
        return Finding(Verdict.refused, "source", config.source.kind, str(error))
    return Finding(Verdict.ok, "source", f"{config.source.kind}: {len(archives)} archives below {config.source.root}")
