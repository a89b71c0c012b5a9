"""Rules behind the manifest at AIHub's full size, without photographs: tables, and one small picture an archive."""

import statistics
import time
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
from cluster_plan import production

from pillsnap.config.data import Yolo
from pillsnap.crops.crop import cut_crop
from pillsnap.crops.cut_crops import cut_crops
from pillsnap.dataset.write_dataset_page import write_dataset_page
from pillsnap.detector.build_yolo_dataset import build_yolo_dataset
from pillsnap.files import sha256_of
from pillsnap.pictures.decode import decode_jpeg, encode_jpeg
from pillsnap.tables.files import make_table, read_split, read_table, write_table
from pillsnap.tables.schemas import CONTEXTS, DETECTIONS, ISSUES, PHOTOS, PLAN

WEAK = 3
"""One photograph in so many has a detection that is too weak to be used."""
SINGLES = 108_000
"""Single-pill photographs of the detector's data set: with a quarter more for validation, and the few combinations
that are built, as many photographs as docs/cluster.md reckons with."""
CONTEXT_SIDE = 440
"""Pixels of a pill's context crop, a fifth of AIHub's photograph (`pillsnap.preflight.amounts.CONTEXT_SHARE`)."""


def make_up_prepared(names: Sequence[str], results: Path) -> None:
    """Write what `prepare_archive` would, as if every planned photograph had been decoded.

    Every photograph, and every context crop, of an archive is the same small picture.
    """
    rng = np.random.default_rng(576)
    plan = read_table(results / "plan.parquet", PLAN)
    by_archive = dict(list(plan.groupby("archive")))
    for name in names:
        folder, pills = results / "prepared" / name, by_archive.get(name, plan.head(0))
        folder.mkdir(parents=True)
        jpegs = [encode_jpeg(picture_of(side, rng), 80) for side in (64, 16)]
        for kind, jpeg in zip(("photos", "crops"), jpegs, strict=True):
            (folder / f"{kind}.bin").write_bytes(jpeg)
        lengths = [len(jpeg) for jpeg in jpegs]
        photos = pills.drop_duplicates("image_id")[["image_id", "width", "height"]]
        hashes = [rng.integers(0, 256, (len(photos), 32), dtype=np.uint8) for _ in range(2)]
        texts = [[row.tobytes().hex() for row in rows] for rows in hashes]
        photos = photos.assign(sha256=texts[0], phash=texts[1], offset=0, length=lengths[0])[list(PHOTOS.columns)]
        contexts = pills.assign(left=0, top=0, offset=0, length=lengths[1])[list(CONTEXTS.columns)]
        write_table(photos, folder / "photos.parquet", PHOTOS)
        write_table(contexts, folder / "crops.parquet", CONTEXTS)
        write_table(make_table([], ISSUES), folder / "issues.parquet", ISSUES)


def make_up_detections(manifest: Path, path: Path) -> None:
    """Write what `detect_pills` would, as if it found every labelled pill, and here and there something weak."""
    files = {"train": "train", "val": "val", "unseen_val": "unseen"}
    pills = pd.concat([read_split(manifest / f"{file}.csv", split) for split, file in files.items()])
    strong = pills.assign(score=0.9, x=pills["x"] + 1)
    found = pd.concat([strong, strong[::WEAK].assign(score=0.1)]).sort_values("image_id", kind="stable")
    write_table(found[list(DETECTIONS.columns)].reset_index(drop=True), path, DETECTIONS)


def picture_of(side: int, rng: np.random.Generator) -> np.ndarray:
    """A smooth picture of random colours, uint8 (side, side, 3)."""
    return cv2.GaussianBlur(rng.integers(0, 256, (side, side, 3), dtype=np.uint8), (0, 0), 3)


def build_dataset(names: list[str], results: Path) -> None:
    build_yolo_dataset(
        manifest={split: results / "manifest" / f"{split}.csv" for split in ("train", "val")},
        prepared=[results / "prepared" / name for name in names],
        dataset=results / "yolo",
        settings=Yolo(max_single_photos=SINGLES),
        seed=576,
        backgrounds=results / "manifest/backgrounds.csv",
    )


def write_page(names: list[str], results: Path) -> None:
    files = {name: results / "manifest" / f"{name}.csv" for name in ("quarantine", "overlapping_labels")}
    write_dataset_page(
        stage="stage4",
        manifest={split: results / "manifest" / f"{split}.csv" for split in ("train", "val", "test")},
        **files,
        classes=results / "manifest/classes.json",
        summary=results / "manifest/summary.json",
        plan_summary=results / "plan.json",
        prepared=[results / "prepared" / name for name in names],
        page=results / "dataset.html",
        raw={},
        sources={"aihub": "aihub"},
        source_of=dict.fromkeys(names, "aihub"),
    )


def cut_tables(names: list[str], results: Path) -> None:
    """`cut_crops` with crops of a few pixels, so that reading, matching and writing tables remain."""
    manifest = {"train": "train", "val": "val", "unseen_val": "unseen"}
    cut_crops(
        manifest={split: results / "manifest" / f"{file}.csv" for split, file in manifest.items()},
        prepared=[results / "prepared" / name for name in names],
        detections=results / "detections.parquet",
        crops=results / "crops",
        settings=production().crops.model_copy(update={"size": 8}),
        min_score=production().benchmark.min_score,
    )


def pill_cut_seconds() -> float:
    """Processor seconds of the pixels of a pill in `cut_crops`: its context decoded, cut twice at production's size."""
    crops = production().crops
    context = encode_jpeg(picture_of(CONTEXT_SIDE, np.random.default_rng(576)), 95)
    seconds = []
    for _ in range(20):
        start = time.thread_time()
        window = decode_jpeg(context)
        for left in (120, 121):
            crop = cut_crop(window, (left, 120, 200, 180), size=crops.size, margin=crops.margin)
            encode_jpeg(crop, crops.quality)
        seconds.append(time.thread_time() - start)
    return statistics.median(seconds)


def hashed_bytes_a_second(folder: Path, size: int = 256 * 2**20) -> float:
    """Rate at which one core hashes a file in the page cache, as each job does with all that it read and wrote."""
    path = folder / "hashed.bin"
    path.write_bytes(bytes(size))
    start = time.thread_time()
    sha256_of(path)
    seconds = time.thread_time() - start
    path.unlink()
    return size / seconds
