"""Decode a stage's photographs of one archive, check them, and store small JPEGs. No photograph is decoded again."""

import hashlib
import itertools
import logging
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from pillsnap.config.data import Prepare
from pillsnap.crops.crop import context_window
from pillsnap.files import ShardWriter, replacing_folder, write_json
from pillsnap.manifest.archive_photos import (
    ArchivePhoto,
    Pills,
    each_photo,
    labelled_box,
    photos_with_pills,
    photos_without_pill,
)
from pillsnap.pictures.box_finder import BoxFinder
from pillsnap.pictures.decode import MAX_JPEG_SIDE, PictureError, decode_photo, encode_jpeg
from pillsnap.pictures.scale import perceptual_hash, pyramid, shrink
from pillsnap.progress import progress
from pillsnap.sources.archives import Archive
from pillsnap.sources.labels import LabelError, LabelReading
from pillsnap.tables.files import make_table, read_table, write_rows
from pillsnap.tables.schemas import CONTEXTS, ISSUES, PHOTOS, PLAN, PLANNED_BACKGROUNDS

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class PreparedPhoto:
    """A decoded photograph: hashes, size, the stored JPEG, one context crop a valid label, and issues of the others."""

    sha256: str
    phash: str
    width: int
    height: int
    jpeg: bytes
    contexts: list[tuple[dict[str, Any], bytes]] = field(default_factory=list)
    issues: list[tuple[str, str, str, str]] = field(default_factory=list)


def prepare_archive(
    *,
    archive: Archive,
    plan: Path,
    prepared: Path,
    settings: Prepare,
    threads: int,
    backgrounds: Path | None = None,
    counts: Path | None = None,
    box_finder: BoxFinder | None = None,
) -> None:
    """Decode the planned photographs of one archive.

    Args:
        archive: paths of the raw photographs; it is read in place, and not opened where no photograph is planned.
        plan: the stage's plan, schema `PLAN`.
        prepared: folder, written as a whole: `photos.bin` with `photos.parquet`, `crops.bin` with
            `crops.parquet`, and `issues.parquet`. Test photographs (of unseen drugs too) are stored at native
            size and without context crops, since only `run_benchmark` reads them.
        settings: sizes and qualities.
        threads: decoding threads beside the one that reads and writes. Memory holds three raw photographs and one
            decoded a thread, whatever the archive's size. The PNG decoder holds the GIL: cores are used by parallel
            jobs, not by threads.
        backgrounds: the stage's photographs without a pill, schema `PLANNED_BACKGROUNDS`, which are stored like the
            others. `None`: there are none.
        counts: of `index_archive`: the zip must be the one that was indexed. `None` where there is no index.
        box_finder: finds the boxes where labels have none; `None`: they are the labels'. It is written as `boxes.json`.

    Raises:
        ContainerError: the archive cannot be opened, or is not the one that was indexed.
    """
    cv2.setNumThreads(1)
    own = [("archive", "==", archive.name)]
    planned = read_table(plan, PLAN, filters=own)
    empty = (
        read_table(backgrounds, PLANNED_BACKGROUNDS, filters=own)
        if backgrounds
        else make_table([], PLANNED_BACKGROUNDS)
    )
    total = planned["image_id"].nunique() + len(empty)
    photos = itertools.chain(photos_with_pills(planned), photos_without_pill(empty))
    notes = LabelReading(archive.name)
    rows: dict[str, list[dict[str, Any]]] = {"photos": [], "contexts": []}
    with (
        replacing_folder(prepared) as folder,
        ShardWriter(folder / "photos.bin") as photo_shard,
        ShardWriter(folder / "crops.bin") as crop_shard,
    ):
        prepare = partial(_prepare_or_error, settings=settings, box_finder=box_finder)
        results = each_photo(archive, photos, prepare, threads=threads, counts=counts) if total else iter(())
        for photo, result in progress(results, total=total, title=archive.name):
            _store(photo, result, photo_shard, crop_shard, rows, notes)
        write_rows(rows["photos"], folder / "photos.parquet", PHOTOS)
        write_rows(rows["contexts"], folder / "crops.parquet", CONTEXTS)
        write_rows(notes.issues, folder / "issues.parquet", ISSUES)
        if box_finder:
            write_json(folder / "boxes.json", dict(box_finder.facts))
    log.info("%s: %d photos prepared; %s", archive.name, len(rows["photos"]), notes.reasons())


def _prepare_or_error(
    raw: bytes | PictureError, photo: ArchivePhoto, settings: Prepare, box_finder: BoxFinder | None
) -> PreparedPhoto | PictureError:
    if isinstance(raw, PictureError):
        return raw
    try:
        test = photo.row.split in ("test", "unseen_test")
        return prepare_photo(raw, photo.pills, settings, test=test, box_finder=box_finder)
    except PictureError as error:
        return error


def prepare_photo(
    raw: bytes, pills: Pills, settings: Prepare, *, test: bool, box_finder: BoxFinder | None = None
) -> PreparedPhoto:
    """Decode and check one raw photograph and cut its context crops; raises `PictureError`.

    Args:
        raw: the file's bytes.
        pills: the plan's rows of the photograph; none for a background.
        settings: sizes and qualities.
        test: whether it is of the test part, and is stored at native size.
        box_finder: finds the box where labels have none.
    """
    picture = decode_photo(raw)
    height, width = picture.shape[:2]
    if max(width, height) > MAX_JPEG_SIDE:
        limit = f"limit {MAX_JPEG_SIDE} along a side, as it is stored"
        raise PictureError("photo_too_large", f"{width} x {height} pixels, {limit}")
    levels = pyramid(picture)
    if test:
        stored = encode_jpeg(picture, settings.crop_quality)
    else:
        # only the detector reads these, for which half the colour resolution is enough
        stored = encode_jpeg(shrink(levels, settings.photo_size), settings.photo_quality, full_colour=False)
    done = PreparedPhoto(hashlib.sha256(raw).hexdigest(), perceptual_hash(levels), width, height, stored)
    for pill in pills:
        try:
            box, repairs = (box_finder.find(picture), []) if box_finder else labelled_box(pill, width, height, raw)
        except LabelError as error:
            done.issues.append(("quarantined", error.reason, pill.label_member, error.detail))
            continue
        done.issues.extend(("repaired", reason, pill.label_member, detail) for reason, detail in repairs)
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
    photo: ArchivePhoto,
    result: PreparedPhoto | PictureError,
    photo_shard: ShardWriter,
    crop_shard: ShardWriter,
    rows: dict[str, list[dict[str, Any]]],
    notes: LabelReading,
) -> None:
    image_id, member = photo.row.image_id, photo.row.member
    if isinstance(result, PictureError):
        notes.note("quarantined", result.reason, member=member, detail=result.detail)
        for pill in photo.pills:
            notes.note("quarantined", "label_of_quarantined_photo", member=member, label_member=pill.label_member)
        return
    for outcome, reason, label_member, detail in result.issues:
        notes.note(outcome, reason, member=member, label_member=label_member, detail=detail)
    if photo.pills and not result.contexts:
        notes.note("quarantined", "photo_without_usable_label", member=member)
        return
    offset, length = photo_shard.add(result.jpeg)
    rows["photos"].append(
        {
            "image_id": image_id,
            "sha256": result.sha256,
            "phash": result.phash,
            "width": result.width,
            "height": result.height,
            "offset": offset,
            "length": length,
        }
    )
    for row, jpeg in result.contexts:
        offset, length = crop_shard.add(jpeg)
        rows["contexts"].append({"image_id": image_id, **row, "offset": offset, "length": length})
