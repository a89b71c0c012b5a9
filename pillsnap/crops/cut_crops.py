"""Cut crops for the classifier: every labelled pill by its label, and by the detector's box that matches it."""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pandas as pd

from pillsnap.config.config import Crops
from pillsnap.crops.composed import cut_composed
from pillsnap.crops.crop import cut_crop
from pillsnap.files import ShardWriter, read_from_shard, replacing_folder, write_json
from pillsnap.pictures.boxes import iou_matrix, match_boxes
from pillsnap.pictures.decode import decode_jpeg, encode_jpeg
from pillsnap.progress import progress
from pillsnap.tables.files import make_table, read_split, read_table, write_table
from pillsnap.tables.schemas import COMPOSED, CONTEXTS, CROPS, DETECTIONS, UNSEEN

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Photo:
    """A photograph of the training or validation part, or of an unseen drug.

    Attributes:
        image_id: its name in the manifest.
        pills: its manifest rows.
        contexts: its context crops by label member: left, top, offset, length.
        stored: the open `crops.bin` that holds them.
        detected: the detector's boxes, float (N, 4), x, y, w, h in pixels of the raw photograph.
    """

    image_id: str
    pills: pd.DataFrame
    contexts: pd.DataFrame
    stored: BinaryIO
    detected: np.ndarray


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
        scenes: folders of `compose_scenes`, whose pills are trained on beside the photographs'.

    Raises:
        OneClassError: the training part has one class, so that there is nothing to tell apart.
    """
    _check_classes(read_split(manifest["train"], "train"), crops.parent)
    rows: list[dict[str, Any]] = []
    detected = read_table(detections, DETECTIONS)
    detected = detected[detected["score"] >= min_score]
    with replacing_folder(crops) as folder:
        for split, path in manifest.items():
            pills = read_split(path, split)
            with ShardWriter(folder / f"{split}.bin") as shard:
                photos = _photos(pills, prepared, detected[detected["split"] == split])
                for photo in progress(photos, total=pills["image_id"].nunique(), title=split):
                    rows += _cut(photo, split, shard, settings)
                if scenes and split == "train":
                    rows += cut_composed(scenes, pills, shard, settings)
        table = make_table(rows, CROPS)
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


def _photos(pills: pd.DataFrame, prepared: Sequence[Path], detections: pd.DataFrame) -> Iterator[_Photo]:
    """The photographs of `pills`, archive by archive, with the detector's boxes in them."""
    by_image = dict(list(pills.groupby("image_id", sort=True)))
    boxes = {image_id: rows[list("xywh")].to_numpy(float) for image_id, rows in detections.groupby("image_id")}
    for archive in prepared:
        contexts = read_table(archive / "crops.parquet", CONTEXTS)
        contexts = contexts[contexts["image_id"].isin(by_image)]
        with (archive / "crops.bin").open("rb") as stored:
            for image_id, rows in contexts.groupby("image_id", sort=True):
                detected = boxes.get(image_id, np.zeros((0, 4)))
                yield _Photo(image_id, by_image[image_id], rows.set_index("label_member"), stored, detected)


def _cut(photo: _Photo, split: str, shard: ShardWriter, settings: Crops) -> list[dict[str, Any]]:
    """Cut every pill of a photograph into `shard`; returns rows of schema `CROPS`."""
    labelled = photo.pills[["x", "y", "w", "h"]].to_numpy(float)
    matched = {label: detection for detection, label in match_boxes(photo.detected, labelled, min_iou=settings.min_iou)}
    rows = []
    for number, pill in enumerate(photo.pills.itertuples()):
        if pill.class_index < 0 and split not in UNSEEN:
            continue  # only the detector learns it
        context = photo.contexts.loc[pill.label_member]
        window = decode_jpeg(read_from_shard(photo.stored, int(context["offset"]), int(context["length"])))
        boxes = {"label": labelled[number]}
        if number in matched:
            boxes["detector"] = photo.detected[matched[number]]
        for box_from, box in boxes.items():
            local = box - np.array([context["left"], context["top"], 0, 0], float)
            crop = cut_crop(window, local, size=settings.size, margin=settings.margin)
            offset, length = shard.add(encode_jpeg(crop, settings.quality))
            rows.append(
                {
                    "pill_id": f"{photo.image_id}:{pill.k_code}:{number}",
                    "split": split,
                    "box_from": box_from,
                    "image_id": photo.image_id,
                    "domain": pill.domain,
                    "k_code": pill.k_code,
                    "class_index": pill.class_index,
                    # rounding may bring the IoU of equal boxes above 1
                    "iou": float(min(1.0, iou_matrix(box, labelled[number])[0, 0])) if box_from == "detector" else 1.0,
                    "offset": offset,
                    "length": length,
                }
            )
    return rows


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
