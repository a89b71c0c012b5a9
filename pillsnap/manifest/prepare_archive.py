"""Decode a stage's photographs of one archive, check them, and store small JPEGs. No photograph is decoded again."""

import hashlib
import itertools
import logging
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd

from pillsnap.config.data import Prepare
from pillsnap.crops.crop import context_window
from pillsnap.files import ShardWriter, read_json, replacing_folder, write_json
from pillsnap.pictures.box_finder import Box, BoxFinder
from pillsnap.pictures.decode import PictureError, decode_photo, encode_jpeg
from pillsnap.pictures.scale import perceptual_hash, pyramid, shrink
from pillsnap.progress import progress
from pillsnap.sources.archives import Archive
from pillsnap.sources.containers.container import Container, ContainerError, MemberError
from pillsnap.sources.labels import LabelError, LabelReading, box_scale, fit_box
from pillsnap.tables.files import make_table, read_table, write_table
from pillsnap.tables.schemas import CONTEXTS, ISSUES, PHOTOS, PLAN, PLANNED_BACKGROUNDS

log = logging.getLogger(__name__)

Pills = list[Any]
"""The plan's rows of one photograph, as named tuples."""


@dataclass(frozen=True)
class _Photo:
    """A planned photograph: one of its rows, for image_id, member and split, and its pills; a background has none."""

    row: Any
    pills: Pills


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
    photos = itertools.chain(_by_photo(planned), (_Photo(row, []) for row in empty.itertuples(index=False)))
    notes = LabelReading(archive.name)
    rows: dict[str, list[dict[str, Any]]] = {"photos": [], "contexts": []}
    with (
        replacing_folder(prepared) as folder,
        ShardWriter(folder / "photos.bin") as photo_shard,
        ShardWriter(folder / "crops.bin") as crop_shard,
    ):
        prepare = partial(_prepare_or_error, settings=settings, box_finder=box_finder)
        results = _prepare_photos(archive, photos, prepare, threads, counts) if total else iter(())
        for photo, result in progress(results, total=total, title=archive.name):
            _store(photo, result, photo_shard, crop_shard, rows, notes)
        write_table(make_table(rows["photos"], PHOTOS), folder / "photos.parquet", PHOTOS)
        write_table(make_table(rows["contexts"], CONTEXTS), folder / "crops.parquet", CONTEXTS)
        write_table(make_table(notes.issues, ISSUES), folder / "issues.parquet", ISSUES)
        if box_finder:
            write_json(folder / "boxes.json", dict(box_finder.facts))
    log.info("%s: %d photos prepared; %s", archive.name, len(rows["photos"]), notes.reasons())


def _prepare_photos(
    archive: Archive,
    photos: Iterator[_Photo],
    prepare: Callable[[bytes | PictureError, _Photo], PreparedPhoto | PictureError],
    threads: int,
    counts: Path | None,
) -> Iterator[tuple[_Photo, PreparedPhoto | PictureError]]:
    """Yield photographs in their order; the next ones are read while the threads work."""
    with Container(archive.photos) as container, ThreadPoolExecutor(threads) as pool:
        _check_indexed(container, counts)
        running: deque = deque()
        for photo in photos:
            raw = _read(container, photo.row.member)
            running.append((photo, pool.submit(prepare, raw, photo)))
            if len(running) > 2 * threads:
                done, future = running.popleft()
                yield done, future.result()
        for done, future in running:
            yield done, future.result()


def _check_indexed(container: Container, counts: Path | None) -> None:
    """Raise `ContainerError` where the zip is not the indexed one, whose boxes the plan holds."""
    if counts and read_json(counts)["photos_directory"] != container.directory_hash():
        raise ContainerError(
            f"{container.path}: is not the zip that was indexed; its list of files is another one. None of it is used. "
            f"Delete {counts} and give the same command again, which reads its labels anew."
        )


def _by_photo(planned: pd.DataFrame) -> Iterator[_Photo]:
    """Yield the photographs of a plan, ordered by image_id."""
    ordered = planned.sort_values("image_id", kind="stable")
    for _, pills in itertools.groupby(ordered.itertuples(index=False), key=lambda pill: pill.image_id):
        rows = list(pills)
        yield _Photo(rows[0], rows)


def _read(container: Container, member: str) -> bytes | PictureError:
    try:
        return container.read(member)
    except KeyError:
        return PictureError("photo_missing", member)
    except MemberError as error:
        return PictureError(error.reason, error.detail)
    except OSError as error:
        return PictureError("photo_truncated", str(error)[:200])


def _prepare_or_error(
    raw: bytes | PictureError, photo: _Photo, settings: Prepare, box_finder: BoxFinder | None
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
    levels = pyramid(picture)
    if test:
        stored = encode_jpeg(picture, settings.crop_quality)
    else:
        # only the detector reads these, for which half the colour resolution is enough
        stored = encode_jpeg(shrink(levels, settings.photo_size), settings.photo_quality, full_colour=False)
    done = PreparedPhoto(hashlib.sha256(raw).hexdigest(), perceptual_hash(levels), width, height, stored)
    for pill in pills:
        try:
            box = box_finder.find(picture) if box_finder else _labelled_box(pill, done)
        except LabelError as error:
            done.issues.append(("quarantined", error.reason, pill.label_member, error.detail))
            continue
        done.contexts.append(_context(picture, pill.label_member, box, settings, test=test))
    return done


def _labelled_box(pill: Any, photo: PreparedPhoto) -> Box:
    """Return the label's box in the photograph's own pixels, and note what was repaired; raises `LabelError`."""
    width, height = photo.width, photo.height
    across, down = box_scale((pill.width, pill.height), (width, height))
    labelled = (pill.x * across, pill.y * down, pill.w * across, pill.h * down)
    sizes = f"{pill.width} x {pill.height} in the label, {width} x {height} in the photograph"
    try:
        box = fit_box(labelled, width, height)
    except LabelError as error:
        other = "" if (pill.width, pill.height) == (width, height) else f"; {sizes}"
        raise LabelError(error.reason, f"{error.detail}{other}") from error
    if box != labelled:
        photo.issues.append(("repaired", "bbox_clipped", pill.label_member, str(list(box))))
    if (pill.width, pill.height) != (width, height):
        reason = "size_corrected" if across == down == 1 else "box_scaled"
        photo.issues.append(("repaired", reason, pill.label_member, sizes))
    return box


def _context(
    picture: np.ndarray, label_member: str, box: tuple[float, ...], settings: Prepare, *, test: bool
) -> tuple[dict[str, Any], bytes]:
    height, width = picture.shape[:2]
    left, top, right, bottom = context_window(box, width, height, context=settings.crop_context)
    jpeg = b"" if test else encode_jpeg(picture[top:bottom, left:right], settings.crop_quality)
    return {"label_member": label_member, **dict(zip("xywh", box, strict=True)), "left": left, "top": top}, jpeg


def _store(
    photo: _Photo,
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
