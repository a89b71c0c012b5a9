"""Cut crops for the classifier: every labelled pill by its label, and by the detector's box that matches it."""

import itertools
import logging
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from operator import attrgetter
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd

from pillsnap.config.config import Crops
from pillsnap.crops.composed import cut_composed
from pillsnap.crops.crop import cut_crop
from pillsnap.files import ShardWriter, read_from_shard, replacing_folder, write_json
from pillsnap.hardware import usable_threads
from pillsnap.pictures.boxes import iou_matrix, match_boxes
from pillsnap.pictures.decode import decode_jpeg, encode_jpeg
from pillsnap.pictures.in_order import in_order
from pillsnap.progress import progress
from pillsnap.tables.files import ROW_GROUP, make_table, read_split, read_table, write_table
from pillsnap.tables.schemas import COMPOSED, CONTEXTS, CROPS, DETECTIONS, UNSEEN

log = logging.getLogger(__name__)

_PLACE = ["left", "top", "offset", "length"]
_USED = ["image_id", "domain", "k_code", "class_index", *"xywh", *_PLACE]


@dataclass(frozen=True)
class _Photo:
    """A photograph of the training or validation part, or of an unseen drug.

    Attributes:
        pills: its manifest rows, with `left` and `top` of their context crops.
        contexts: the context crops' JPEGs; empty for a pill that is not cut.
        detected: the detector's boxes, x, y, w, h in pixels of the raw photograph.
    """

    pills: list[Any]
    contexts: list[bytes]
    detected: list[list[float]]


class OneClassError(ValueError):
    """A stage of one class, of which no classifier can be trained."""


def cut_crops(
    *,
    manifest: dict[str, Path],
    prepared: Sequence[Path],
    detections: Path,
    crops: Path,
    settings: Crops,
    min_score: float,
    threads: int = 1,
    scenes: Sequence[Path] = (),
) -> None:
    """Cut the crops of training and validation, and of the unseen drugs' first half, whose class is -1.

    A labelled pill of training and validation that has no class gets no crop.

    Args:
        manifest: CSV by split (`train`, `val`, `unseen_val`), schema `MANIFEST`; its rows of that split are used.
        prepared: folders of `prepare_archive`.
        detections: of `detect_pills`, schema `DETECTIONS`.
        crops: folder, written: `<split>.bin` with JPEGs, `index.parquet` of schema `CROPS`, `summary.json`.
        settings: size, margin, quality, IoU of a match.
        min_score: detections below it are left out, as in an answer.
        threads: cutting threads beside the one that reads and writes; the crops are the same with any number.
        scenes: folders of `compose_scenes`, whose pills are trained on beside the photographs'.

    Raises:
        OneClassError: the training part has one class, so that there is nothing to tell apart.
    """
    cv2.setNumThreads(1)
    tables: list[pd.DataFrame] = []
    with replacing_folder(crops) as folder:
        for split, path in manifest.items():
            pills = read_split(path, split)
            if split == "train":
                _check_classes(pills, crops.parent)
            of_split = [("score", ">=", min_score), ("split", "==", split)]
            detected = read_table(detections, DETECTIONS, filters=of_split)
            photos = _photos(pills, prepared, detected, cut_all=split in UNSEEN)
            with ShardWriter(folder / f"{split}.bin") as shard:
                cut = in_order(partial(_cut, settings=settings), photos, threads=usable_threads(threads))
                done = progress(cut, total=pills["image_id"].nunique(), title=split)
                rows = (_stored(row, jpeg, split, shard) for photo in done for row, jpeg in photo)
                composed = cut_composed(scenes, pills, shard, settings) if scenes and split == "train" else ()
                tables += _tables(itertools.chain(rows, composed))
        table = pd.concat(tables, ignore_index=True)
        write_table(table, folder / "index.parquet", CROPS)
        write_json(folder / "summary.json", _summary(table, list(manifest), scenes))
    log.info("%d crops of %d pills", len(table), table["pill_id"].nunique())


def _check_classes(pills: pd.DataFrame, results: Path) -> None:
    drugs = sorted(set(pills.loc[pills["class_index"] >= 0, "k_code"]))
    if len(drugs) == 1:
        raise OneClassError(
            f"The stage has one class, {drugs[0]!r}, so that it trains a detector and no classifier: make "
            f"{results / 'detector_report.html'}, or name the drugs in the labels."
        )


def _photos(
    pills: pd.DataFrame, prepared: Sequence[Path], detections: pd.DataFrame, *, cut_all: bool
) -> Iterator[_Photo]:
    """The photographs of `pills`, archive by archive, with the detector's boxes in them.

    A pill without a class is only for the detector to learn, and has no crop, unless `cut_all`.
    """
    by_archive = dict(list(pills.groupby("archive")))
    own = detections.merge(pills[["image_id", "archive"]].drop_duplicates(), on="image_id")
    seen = dict(list(own.groupby("archive")))
    for archive in prepared:
        if archive.name not in by_archive:
            continue
        boxes = _boxes(seen.get(archive.name, own.head(0)))
        rows = by_archive[archive.name].merge(
            read_table(archive / "crops.parquet", CONTEXTS).drop(columns=list("xywh")),
            on=["image_id", "label_member"],
            how="left",
        )
        rows = rows[_USED].astype(dict.fromkeys(_PLACE, int)).sort_values("image_id", kind="stable")
        with (archive / "crops.bin").open("rb") as stored:
            for image_id, found in itertools.groupby(rows.itertuples(index=False), key=attrgetter("image_id")):
                photo = list(found)
                contexts = [
                    read_from_shard(stored, pill.offset, pill.length) if cut_all or pill.class_index >= 0 else b""
                    for pill in photo
                ]
                yield _Photo(photo, contexts, boxes.get(image_id, []))


def _boxes(detections: pd.DataFrame) -> dict[str, list[list[float]]]:
    """Boxes x, y, w, h by image_id, in their order."""
    boxes: dict[str, list[list[float]]] = defaultdict(list)
    for image_id, box in zip(detections["image_id"], detections[list("xywh")].to_numpy(float).tolist(), strict=True):
        boxes[image_id].append(box)
    return boxes


def _cut(photo: _Photo, settings: Crops) -> list[tuple[dict[str, Any], bytes]]:
    """Cut every pill of a photograph: rows of schema `CROPS` that lack split and place, with their JPEGs."""
    labelled = np.array([[pill.x, pill.y, pill.w, pill.h] for pill in photo.pills])
    detected = np.array(photo.detected).reshape(-1, 4)
    matched = {label: detection for detection, label in match_boxes(detected, labelled, min_iou=settings.min_iou)}
    cut = []
    for number, (pill, context) in enumerate(zip(photo.pills, photo.contexts, strict=True)):
        if not context:
            continue
        window = decode_jpeg(context)
        boxes = {"label": labelled[number]}
        if number in matched:
            boxes["detector"] = detected[matched[number]]
        for box_from, box in boxes.items():
            local = box - np.array([pill.left, pill.top, 0, 0], float)
            crop = cut_crop(window, local, size=settings.size, margin=settings.margin)
            row = {
                "pill_id": f"{pill.image_id}:{pill.k_code}:{number}",
                "box_from": box_from,
                "image_id": pill.image_id,
                "domain": pill.domain,
                "k_code": pill.k_code,
                "class_index": pill.class_index,
                # rounding may bring the IoU of equal boxes above 1
                "iou": float(min(1.0, iou_matrix(box, labelled[number])[0, 0])) if box_from == "detector" else 1.0,
            }
            cut.append((row, encode_jpeg(crop, settings.quality)))
    return cut


def _stored(row: dict[str, Any], jpeg: bytes, split: str, shard: ShardWriter) -> dict[str, Any]:
    offset, length = shard.add(jpeg)
    return row | {"split": split, "offset": offset, "length": length}


def _tables(rows: Iterator[dict[str, Any]]) -> Iterator[pd.DataFrame]:
    """Gather rows as tables of some thousand, which take a tenth of their memory; at least one table."""
    yield make_table(itertools.islice(rows, ROW_GROUP), CROPS)
    while some := list(itertools.islice(rows, ROW_GROUP)):
        yield make_table(some, CROPS)


def _summary(table: pd.DataFrame, splits: Sequence[str], scenes: Sequence[Path]) -> dict[str, Any]:
    """Counts of photographs' pills by split; those of composed scenes are told apart."""
    composed = table["domain"] == COMPOSED
    summary: dict[str, Any] = {COMPOSED: {"pills": int(composed.sum())}} if scenes else {}
    for split in splits:
        rows = table[(table["split"] == split) & ~composed]
        ious = rows.loc[rows["box_from"] == "detector", "iou"]
        summary[split] = {
            "pills": int((rows["box_from"] == "label").sum()),
            "found_by_detector": len(ious),
            "mean_iou": round(float(ious.mean()), 4) if len(ious) else None,
        }
    return summary
