"""Check that the disks have room for what a stage writes."""

import tempfile
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pillsnap.config.config import Config
from pillsnap.hardware import disk_free, file_system
from pillsnap.preflight.amounts import Amounts, composed_crops, undrawn_photos
from pillsnap.preflight.findings import GIB, Finding, finding, gib
from pillsnap.preflight.models import model_bytes, state_bytes
from pillsnap.sources.archives import source_root
from pillsnap.sources.registry import get_kind

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
CROP_SIZES, CROP_BYTES = (48, 144, 224, 480), (0.90, 0.40, 0.34, 0.25)
"""The same of quality 95, crops by their side in pixels (a larger one is smoother, and a JPEG's head weighs less): mean
of 81 synthetic pills of 48 pixels, 0.897; of 30 single and 30 combo ones 0.384 and 0.396, 0.326 and 0.335, 0.246 and
0.243; 60 real ones of 144 pixels took 0.33."""
SCENE_BYTES, SCENE_AREA = 0.15, 0.75
"""Bytes per pixel of a composed scene, and its area as a share of its longer side's square: 0.143 and 0.73 of 750
scenes of 416 pixels."""
CUT_OUT_BYTES = 14_000
"""Bytes of a cut-out pill: mean of 1,600 drawn ones, 13,600."""
ROW_BYTES = 700
"""Bytes a pill in tables: 370 in the manifest's CSV (made-up rows with AIHub's names), the rest in Parquet."""
SHARD_ROOM = 2048
"""Bytes a picture in a shard beside its own: in a tar file it and its label file have a head each, and whole blocks."""
BLOCK = 4096
"""Smallest size of a file on the disk."""
REPORT_BYTES = 64 * 2**20
"""Benchmark, pictures and report: at most a few dozen pictures, whatever the stage's size."""
MARGIN = 1.1
TIGHT = 1.25
"""Free space below this multiple of the need is a warning."""
TEMPORARY = GIB
"""Free space wanted in the temporary folder, where libraries and Snakemake put small files: chosen, not measured."""


@dataclass(frozen=True)
class Part:
    """One part of a stage's outputs.

    Attributes:
        name: description.
        folders: its paths.
        need: bytes that it takes in all.
        written: bytes that are written already.
    """

    name: str
    folders: tuple[Path, ...]
    need: int
    written: int = 0

    @property
    def missing(self) -> int:
        """Bytes still to be written."""
        return max(0, self.need - self.written)


def disk_parts(amounts: Amounts, config: Config, stage: str) -> list[Part]:
    """List the parts of a stage's outputs, with the bytes that are written already."""
    results, work = Path(config.pathvars.results) / stage, Path(config.pathvars.work) / stage
    prepared = amounts.test_pixels * NATIVE_BYTES + amounts.small_pixels * SMALL_BYTES
    prepared += amounts.context_pixels * CONTEXT_BYTES
    composed = config.scenes.photos * SCENE_AREA * config.prepare.photo_size**2 * SCENE_BYTES
    if config.scenes.photos:
        prepared += composed + amounts.drugs * config.scenes.cut_outs_per_drug * CUT_OUT_BYTES
    detector_pictures = amounts.detector_photos + config.scenes.photos
    pictures = amounts.detector_pixels * SMALL_BYTES + composed
    dataset, unpacked = pictures + detector_pictures * SHARD_ROOM, pictures + detector_pictures * 1.5 * BLOCK
    # each pill twice: from its labelled box and from the detected one
    size, composed_pills = config.crops.size, composed_crops(amounts, config)
    crops = (amounts.trained_pills * 2 + composed_pills) * size**2 * float(np.interp(size, CROP_SIZES, CROP_BYTES))
    needs: list[tuple[str, tuple[Path, ...], float]] = [
        ("prepared photographs", (results / "prepared",), prepared + amounts.pills * ROW_BYTES / 2),
        ("manifest", (results / "manifest",), amounts.pills * ROW_BYTES),
        ("detector's data set", (results / "yolo",), dataset),
        ("crops", (results / "crops",), crops + (amounts.trained_pills + composed_pills) * ROW_BYTES / 2),
        ("models", tuple(results / name for name in ("detector", "classifier", "onnx")), model_bytes(config)),
        ("report", tuple(results / name for name in ("benchmark", "figures", "report.html")), REPORT_BYTES),
        (
            "training state, detector",
            (work / "train_detector", work / "train_detector.dataset"),
            # the data set lies unpacked beside it until the training has finished
            state_bytes(config, "detector") + unpacked * (not (work / "train_detector/finished.json").exists()),
        ),
        ("training state, classifier", (work / "train_classifier",), state_bytes(config, "classifier")),
    ]
    drawn = undrawn_photos(config) * amounts.largest * PNG_BYTES
    roots = [source_root(source) for source in config.named_sources.values() if get_kind(source.kind).drawn]
    needs += [("archives to be drawn", tuple(roots), drawn)] if drawn else []
    return [
        Part(name, folders, int(need * MARGIN), 0 if name.startswith("archives") else _bytes_below(folders))
        for name, folders, need in needs
    ]


def _bytes_below(folders: Sequence[Path]) -> int:
    """Sum the bytes on the disk below the folders."""
    files = (file for folder in folders for file in ([folder] if folder.is_file() else folder.rglob("*")))
    return sum(file.stat().st_blocks * 512 for file in files if file.is_file())


def needed_bytes(parts: Sequence[Part]) -> int:
    """Sum the bytes still to be written, of all parts."""
    return sum(part.missing for part in parts)


def check_disk(parts: Sequence[Part], stage: str) -> list[Finding]:
    """Check each file system against the parts on it, and the temporary folder."""
    by_system: dict[int, list[Part]] = defaultdict(list)
    for part in parts:
        by_system[file_system(part.folders[0])].append(part)
    return [*(_check_system(on_it, stage) for on_it in by_system.values()), _check_temporary()]


def _check_system(parts: Sequence[Part], stage: str) -> Finding:
    free, need, written = disk_free(parts[0].folders[0]), needed_bytes(parts), sum(part.written for part in parts)
    largest = sorted(parts, key=lambda part: -part.missing)[:3]
    details = ", ".join(f"{part.name} {gib(part.missing)}" for part in largest if part.missing)
    found = f"{gib(free)} free, {stage} needs about {gib(need)}" + (f" ({details})" if details else "")
    folders = "work" if all("training state" in part.name for part in parts) else "results"
    return finding(
        "disk",
        found + (f"; {gib(written)} are written already" if written else ""),
        refused=free < need,
        warning=free < TIGHT * need,
        cure=f"Free some space, choose a smaller stage, or move pathvars.{folders} to a larger disk",
    )


def _check_temporary() -> Finding:
    folder = tempfile.gettempdir()
    free = disk_free(folder)
    cure = f"Free some space in {folder}, or name another folder in the environment variable TMPDIR"
    return finding("temporary folder", f"{gib(free)} free in {folder}", warning=free < TEMPORARY, cure=cure)
