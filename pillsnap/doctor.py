"""Whether this machine can run a stage: what is there, and what the stage needs."""

import platform
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from pillsnap.config import Config
from pillsnap.hardware import cores, cpu_name, disk_free, gpus, memory
from pillsnap.load_config import ConfigError
from pillsnap.provenance import git_commit, package_versions
from pillsnap.sources import SourceError, list_archives
from pillsnap.sources.archives import source_root
from pillsnap.sources.yolo import PHOTO_SUFFIXES

GIB = 2**30
AIHUB_SIZE = 976, 1280
PNG_BYTES = 1.26
"""Bytes per pixel of a synthetic PNG; mean of 20 combo photographs (1.23 of 42 single ones)."""
NATIVE_BYTES = 0.27
"""Bytes per pixel of a whole photograph as JPEG of quality 95 without chroma subsampling.

This and the figures below are the largest of three means, rounded up: 42 single and 20 combo synthetic photographs
and 60 real ones of 480 x 640 pixels. Here: 0.26, 0.26, 0.24."""
SMALL_BYTES = 0.25
"""The same of quality 90, shrunk to 416 pixels: 0.10, 0.13, 0.25."""
CONTEXT_BYTES = 0.37
"""The same of quality 95, context crops: 0.28, 0.29, 0.37."""
CONTEXT_SHARE = 0.20
"""Share of the photograph's area that a pill's context crop takes, context 0.6: 0.20, 0.17, 0.12."""
CROP_BYTES = 0.38
"""The same of quality 95, crops of 144 pixels: 0.38, 0.38, 0.33."""
COMBO_PILLS = 3.15
"""Pills on a synthetic combo photograph."""


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
        return Finding(
            Verdict.warning, "commit", "not in a git repository", "Clone the project, so that results name it"
        )
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
    """Disk that a stage made from nothing will take, in bytes: synthetic archives that are not drawn yet, prepared
    photographs (test ones at native size), context crops, the detector's data set, crops; and a tenth more.

    An estimate: every photograph counts with AIHub's size, combos with their whole share. Models and training state
    are not in it.
    """
    pixels = AIHUB_SIZE[0] * AIHUB_SIZE[1]
    there = photos_there(config)
    images = getattr(config.stages, stage).images
    images = images if there is None else min(images, there)
    test = images * config.plan.test_fraction
    trained, combos = images - test, config.plan.combo_fraction
    pills = trained * (1 + combos * (COMBO_PILLS - 1))
    small = pixels * min(1.0, config.prepare.photo_size / max(AIHUB_SIZE)) ** 2 * SMALL_BYTES
    dataset = trained * combos + min(trained * (1 - combos), config.yolo.max_single_photos * 1.25)
    prepared = test * pixels * NATIVE_BYTES + trained * small + pills * pixels * CONTEXT_SHARE * CONTEXT_BYTES
    # each pill twice: from its labelled box and as the detector saw it
    crops = pills * 2 * config.crops.size**2 * CROP_BYTES
    return int((_undrawn(config) * pixels * PNG_BYTES + prepared + dataset * small + crops) * 1.1)


def photos_there(config: Config) -> int | None:
    """Photographs of the source: those that the synthetic one draws, a YOLO data set's image files; `None` where
    only the index tells (AIHub)."""
    if config.source.kind == "synthetic":
        made = config.source.synthetic
        singles = made.drugs * (made.photos_per_drug + made.validation_photos_per_drug)
        return singles + 3 * (made.combos + made.validation_combos)
    if config.source.kind == "yolo":
        folders = [Path(archive.photos) for archive in list_archives(config.source).values()]
        return sum(file.suffix.lower() in PHOTO_SUFFIXES for folder in folders for file in folder.rglob("*"))
    return None


def _undrawn(config: Config) -> float:
    """Synthetic photographs that are still to be drawn, taking archives for equally large."""
    if config.source.kind != "synthetic":
        return 0
    archives = list_archives(config.source).values()
    missing = sum(not Path(archive.photos).is_file() for archive in archives)
    return (photos_there(config) or 0) * missing / len(archives)


def _disk(config: Config, stage: str) -> Finding:
    free = disk_free(config.pathvars.results)
    try:
        need = needed_bytes(config, stage)
    except SourceError:
        return Finding(Verdict.ok, "disk", f"{free / GIB:.1f} GiB free; the need is unknown without the source")
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
    return Finding(
        Verdict.ok, "source", f"{config.source.kind}: {len(archives)} archives below {source_root(config.source)}"
    )
