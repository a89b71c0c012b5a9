"""Findings drawn on their photographs."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pillsnap.audit.findings import DETECTION, LABEL
from pillsnap.manifest.stored_photos import stored_photos
from pillsnap.pictures.boxes import iou_matrix
from pillsnap.pictures.decode import decode_jpeg, encode_jpeg
from pillsnap.pictures.draw import WRONG, Caption, draw_boxes

OTHER = "#b35806"
QUALITY = 85


def draw_findings(
    folder: Path,
    pills: pd.DataFrame,
    detections: pd.DataFrame,
    findings: pd.DataFrame,
    prepared: Sequence[Path],
    limit: int,
) -> pd.Series:
    """Draw the first `limit` photographs of each kind of finding, as JPEG in the size that is stored.

    Labels are blue with their K-code. Findings are red: a detection with its score, a label with its K-code; with the
    latter the detection that overlaps it most is drawn in brown with its score.

    Args:
        folder: where `pictures/<kind>_<number>.jpg` are written.
        pills: manifest rows, and backgrounds.
        detections: schema `DETECTIONS`.
        findings: schema `FINDINGS`.
        prepared: folders of `prepare_archive`.
        limit: photographs of each kind.

    Returns:
        for each row of `findings` the picture below `folder` that shows it, empty where there is none.
    """
    (folder / "pictures").mkdir()
    names = pd.Series("", findings.index)
    for kind in (DETECTION, LABEL):
        own = findings[findings["kind"] == kind]
        chosen = {image_id: number for number, image_id in enumerate(own["image_id"].unique()[:limit])}
        file_of = {image_id: f"pictures/{kind}_{number:02d}.jpg" for image_id, number in chosen.items()}
        names.update(own["image_id"].map(file_of))
        for data, rows in stored_photos(pills[pills["image_id"].isin(chosen)], prepared):
            photo, labelled = rows.iloc[0], rows[rows["label_member"] != ""]
            captions = _captions(labelled, _rows(own, photo), _rows(detections, photo))
            drawn = draw_boxes(*_scaled(decode_jpeg(data), captions, photo["width"]))
            (folder / file_of[photo["image_id"]]).write_bytes(encode_jpeg(drawn, QUALITY))
    return names


def _rows(table: pd.DataFrame, photo: pd.Series) -> pd.DataFrame:
    return table[table["image_id"] == photo["image_id"]]


def _captions(labelled: pd.DataFrame, found: pd.DataFrame, seen: pd.DataFrame) -> list[Caption]:
    """Captions in pixels of the raw photograph; the findings come last, above the others."""
    missed = found[found["kind"] == LABEL]
    good = labelled[~labelled["label_member"].isin(missed["label_member"])]
    captions = [Caption(_box(row), _ascii(row.k_code)) for row in good.itertuples()]
    overlaps = iou_matrix(seen[list("xywh")].to_numpy(), missed[list("xywh")].to_numpy())
    nearest = sorted({int(column.argmax()) for column in overlaps.T if column.any()})
    captions += [Caption(_box(row), f"{row.score:.2f}", OTHER) for row in seen.iloc[nearest].itertuples()]
    captions += [Caption(_box(row), _ascii(row.k_code) or f"{row.score:.2f}", WRONG) for row in found.itertuples()]
    return captions


def _ascii(text: str) -> str:
    # K-codes may be any text in a YOLO set; the caption's font knows ASCII only
    return text.encode("ascii", "replace").decode()


def _box(row: Any) -> tuple[float, float, float, float]:
    return row.x, row.y, row.w, row.h


def _scaled(picture: np.ndarray, captions: Sequence[Caption], width: int) -> tuple[np.ndarray, list[Caption]]:
    """The captions in pixels of the stored picture, whose raw photograph is `width` pixels wide."""
    scale = picture.shape[1] / width
    boxes = (tuple(value * scale for value in one.box) for one in captions)
    return picture, [Caption(box, one.text, one.colour) for one, box in zip(captions, boxes, strict=True)]
