"""The one decode: a stage's photographs of one archive become small JPEGs, with every check on the way."""

import hashlib
import logging
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
from tqdm import tqdm

from pillsnap.boxes import context_window
from pillsnap.config import Prepare
from pillsnap.files import ShardWriter, replacing_folder
from pillsnap.labels import LabelError, LabelReading, fit_box
from pillsnap.pictures import PictureError, decode_photo, encode_jpeg, shrink
from pillsnap.sources import Archive
from pillsnap.sources.container import Container
from pillsnap.tables import CONTEXTS, ISSUES, PHOTOS, PLAN, make_table, read_table, write_table

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class PreparedPhoto:
    """What one decode gives: hash and size of the raw file, the stored JPEG, one context crop a good label."""

    sha256: str
    width: int
    height: int
    jpeg: bytes
    contexts: list[tuple[dict[str, Any], bytes]] = field(default_factory=list)
    issues: list[tuple[str, str, str, str]] = field(default_factory=list)


def prepare_archive(*, archive: Archive, plan: Path, prepared: Path, settings: Prepare, threads: int) -> None:
    """Decode the planned photographs of one archive.

    Args:
        archive: where the raw photographs lie; they are read in place.
        plan: the stage's plan, schema `PLAN`.
        prepared: folder, written whole: `photos.bin` with `photos.parquet`, `crops.bin` with
            `crops.parquet`, and `issues.parquet`. Test photographs are stored at native size and without
            context crops, since only `run_benchmark` reads them.
        settings: sizes and qualities.
        threads: decoding threads; memory holds a few photographs a thread, whatever the archive's size.

    Raises:
        ContainerError: the archive cannot be opened.
    """
    cv2.setNumThreads(1)
    table = read_table(plan, PLAN)
    photos = list(table[table["archive"] == archive.name].groupby("image_id", sort=True))
    notes = LabelReading(archive.name)
    rows: dict[str, list[dict[str, Any]]] = {"photos": [], "contexts": []}
    with (
        replacing_folder(prepared) as folder,
        Container(archive.photos) as container,
        ShardWriter(folder / "photos.bin") as photo_shard,
        ShardWriter(folder / "crops.bin") as crop_shard,
        ThreadPoolExecutor(threads) as pool,
    ):
        for window in tqdm(list(_windows(photos, 8 * threads)), desc=archive.name, unit="batch", disable=None):
            raw = [(_read(container, pills["member"].iloc[0]), pills) for _, pills in window]
            for (image_id, pills), result in zip(window, pool.map(lambda job: _try(*job, settings), raw), strict=True):
                _store(str(image_id), pills, result, photo_shard, crop_shard, rows, notes)
        write_table(make_table(rows["photos"], PHOTOS), folder / "photos.parquet", PHOTOS)
        write_table(make_table(rows["contexts"], CONTEXTS), folder / "crops.parquet", CONTEXTS)
        write_table(make_table(notes.issues, ISSUES), folder / "issues.parquet", ISSUES)
    log.info("%s: %d photos prepared, %d issues", archive.name, len(rows["photos"]), len(notes.issues))


def _windows(items: list[Any], size: int) -> list[list[Any]]:
    return [items[start : start + size] for start in range(0, len(items), size)]


def _read(container: Container, member: str) -> bytes | PictureError:
    try:
        return container.read(member)
    except KeyError:
        return PictureError("photo_missing", member)
    except OSError as error:
        return PictureError("photo_truncated", str(error)[:200])


def _try(raw: bytes | PictureError, pills: pd.DataFrame, settings: Prepare) -> PreparedPhoto | PictureError:
    if isinstance(raw, PictureError):
        return raw
    try:
        return prepare_photo(raw, pills, settings)
    except PictureError as error:
        return error


def prepare_photo(raw: bytes, pills: pd.DataFrame, settings: Prepare) -> PreparedPhoto:
    """Decode and check one raw photograph and cut its context crops; raises `PictureError`."""
    picture = decode_photo(raw)
    height, width = picture.shape[:2]
    test = pills["split"].iloc[0] == "test"
    if test:
        stored = encode_jpeg(picture, settings.crop_quality)
    else:
        stored = encode_jpeg(shrink(picture, settings.photo_size), settings.photo_quality)
    done = PreparedPhoto(hashlib.sha256(raw).hexdigest(), width, height, stored)
    for pill in pills.itertuples():
        try:
            box = fit_box((pill.x, pill.y, pill.w, pill.h), width, height)
        except LabelError as error:
            done.issues.append(("quarantined", error.reason, pill.label_member, error.detail))
            continue
        if box != (pill.x, pill.y, pill.w, pill.h):
            done.issues.append(("repaired", "bbox_clipped", pill.label_member, str(list(box))))
        if (pill.width, pill.height) != (width, height):
            sizes = f"{pill.width} x {pill.height} in the label, {width} x {height} in the photograph"
            done.issues.append(("repaired", "size_corrected", pill.label_member, sizes))
        done.contexts.append(_context(picture, pill.label_member, box, settings, test=test))
    return done


def _context(
    picture: np.ndarray, label_member: str, box: tuple[float, ...], settings: Prepare, *, test: bool
) -> tuple[dict[str, Any], bytes]:
    height, width = picture.shape[:2]
    left, top, right, bottom = context_window(box, width, height, context=settings.crop_context)
    jpeg = b"" if test else encode_jpeg(picture[top:bottom, left:right], settings.crop_quality)
    return {"label_member": label_member, **dict(zip("xywh", box, strict=True)), "left": left, "top": top}, jpeg


def _store(
    image_id: str,
    pills: pd.DataFrame,
    result: PreparedPhoto | PictureError,
    photo_shard: ShardWriter,
    crop_shard: ShardWriter,
    rows: dict[str, list[dict[str, Any]]],
    notes: LabelReading,
) -> None:
    member = pills["member"].iloc[0]
    if isinstance(result, PictureError):
        notes.note("quarantined", result.reason, member=member, detail=result.detail)
        for label_member in pills["label_member"]:
            notes.note("quarantined", "label_of_quarantined_photo", member=member, label_member=label_member)
        return
    for outcome, reason, label_member, detail in result.issues:
        notes.note(outcome, reason, member=member, label_member=label_member, detail=detail)
    if not result.contexts:
        notes.note("quarantined", "photo_without_usable_label", member=member)
        return
    offset, length = photo_shard.add(result.jpeg)
    rows["photos"].append(
        {
            "image_id": image_id,
            "sha256": result.sha256,
            "width": result.width,
            "height": result.height,
            "offset": offset,
            "length": length,
        }
    )
    for row, jpeg in result.contexts:
        offset, length = crop_shard.add(jpeg)
        rows["contexts"].append({"image_id": image_id, **row, "offset": offset, "length": length})
