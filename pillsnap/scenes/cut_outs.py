"""Cut-out pills: made from a window and its mask, stored, and read again by drug."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd

from pillsnap.files import ShardWriter, read_from_shard
from pillsnap.pictures.decode import decode_jpeg, encode_jpeg
from pillsnap.tables.files import make_table, read_table
from pillsnap.tables.schemas import CUT_OUTS

_MARGIN, _QUALITY = 3, 95
"""Pixels around a stored mask, and JPEG quality of the colours."""


@dataclass(frozen=True)
class CutOut:
    """A pill without its ground.

    Attributes:
        colour: uint8 (H, W, 3) RGB; beyond the mask the colour of the outline's nearest pixel.
        alpha: uint8 (H, W), 255 on the pill.
        length: its longer side as a share of that of its photograph, which stands for millimetres: one camera.
        k_code, class_index: its drug.
    """

    colour: np.ndarray
    alpha: np.ndarray
    length: float
    k_code: str
    class_index: int

    @property
    def side(self) -> int:
        """Longer side of the pill itself in pixels."""
        return max(self.alpha.shape) - 2 * _MARGIN


def cut_out(window: np.ndarray, mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Cut a pill out.

    The outline's own pixels are mixed with ground, so that colours are taken from 2 pixels further inside.

    Args:
        window: uint8 (H, W, 3).
        mask: bool (H, W).

    Returns:
        `colour` and `alpha` of a `CutOut`.
    """
    padded = cv2.copyMakeBorder(window, *(_MARGIN,) * 4, cv2.BORDER_REPLICATE)
    pixels = cv2.copyMakeBorder(mask.astype(np.uint8), *(_MARGIN,) * 4, cv2.BORDER_CONSTANT)
    x, y, w, h = cv2.boundingRect(pixels)
    part = np.s_[y - _MARGIN : y + h + _MARGIN, x - _MARGIN : x + w + _MARGIN]
    colour, pixels = padded[part], pixels[part]
    inner = cv2.erode(pixels, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (5, 5)))
    if not inner.any():
        inner = pixels
    _, nearest = cv2.distanceTransformWithLabels(1 - inner, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)
    of_label = np.zeros((nearest.max() + 1, 3), np.uint8)
    of_label[nearest[inner > 0]] = colour[inner > 0]
    soft = cv2.GaussianBlur(pixels * np.float32(255), (0, 0), 0.7)
    return of_label[nearest], np.rint(soft).astype(np.uint8)


def add_cut_out(shard: ShardWriter, colour: np.ndarray, alpha: np.ndarray) -> dict[str, int]:
    """Append a cut-out to `pills.bin`; returns its place, columns of `CUT_OUTS`."""
    jpeg = encode_jpeg(colour, _QUALITY)
    offset, length = shard.add(jpeg)
    _, mask_bytes = shard.add(cv2.imencode(".png", alpha)[1].tobytes())
    return {"offset": offset, "colour_bytes": length, "mask_bytes": mask_bytes}


class CutOuts:
    """Stored cut-outs by drug.

    Args:
        folders: of `cut_pills`, each with `pills.bin` and `pills.parquet` of schema `CUT_OUTS`.
    """

    def __init__(self, folders: Sequence[Path]) -> None:
        tables = [
            read_table(folder / "pills.parquet", CUT_OUTS).assign(shard=folder / "pills.bin") for folder in folders
        ]
        rows = pd.concat([make_table([], CUT_OUTS), *tables]).sort_values(
            ["k_code", "image_id", "label_member"], kind="stable"
        )
        self._drugs = [list(part.itertuples()) for _, part in rows.groupby("k_code", sort=True)]

    def __len__(self) -> int:
        """Number of drugs."""
        return len(self._drugs)

    def take(self, rng: np.random.Generator, number: int = 1) -> list[CutOut]:
        """Take so many cut-outs of one drug by chance, different ones as far as it has them."""
        rows = self._drugs[int(rng.integers(len(self._drugs)))]
        order = rng.permutation(len(rows))
        return [_load(rows[order[index % len(rows)]]) for index in range(number)]


def _load(row: Any) -> CutOut:
    with row.shard.open("rb") as shard:
        data = read_from_shard(shard, row.offset, row.colour_bytes + row.mask_bytes)
    alpha = cv2.imdecode(np.frombuffer(data[row.colour_bytes :], np.uint8), cv2.IMREAD_GRAYSCALE)
    if alpha is None:
        raise ValueError(
            f"{row.shard}: the mask of {row.image_id} is damaged. Make the cut-outs again with their rule."
        )
    return CutOut(decode_jpeg(data[: row.colour_bytes]), alpha, row.length, row.k_code, row.class_index)
