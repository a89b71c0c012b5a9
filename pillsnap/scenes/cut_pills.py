"""Cut pills out of an archive's single-pill training photographs, for scenes."""

import logging
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd

from pillsnap.files import ShardWriter, read_from_shard, replacing_folder, write_json
from pillsnap.manifest.hash_order import hash_order
from pillsnap.pictures.decode import decode_jpeg
from pillsnap.progress import progress
from pillsnap.scenes.cut_outs import add_cut_out, cut_out
from pillsnap.scenes.mask import CutOutError, segment_pill
from pillsnap.tables.files import read_split, read_table, write_rows
from pillsnap.tables.schemas import CONTEXTS, CUT_OUTS, REFUSED_CUT_OUTS

log = logging.getLogger(__name__)


def cut_pills(*, train: Path, prepared: Path, cut_outs: Path, per_drug: int, seed: int) -> None:
    """Cut out the pills of one archive: out of its stored context crops, so that no photograph is decoded again.

    Of each drug the same `per_drug` photographs are chosen whatever the archives; only those of this one are cut.
    A doubtful cut-out is refused: read = cut out + refused.

    Args:
        train: CSV of the training part, schema `MANIFEST`. No photograph of another part is read.
        prepared: folder of `prepare_archive`; its name is the archive's.
        cut_outs: folder, written: `pills.bin` with `pills.parquet` of schema `CUT_OUTS`, `refused.parquet` of schema
            `REFUSED_CUT_OUTS`, `summary.json` with the counts.
        per_drug: photographs of a drug at most.
        seed: of the choice.
    """
    cv2.setNumThreads(1)
    pills = choose_pills(read_split(train, "train"), per_drug, seed)
    pills = pills[pills["archive"] == prepared.name]
    contexts = read_table(prepared / "crops.parquet", CONTEXTS)
    chosen = contexts.merge(pills[["image_id", "label_member", "k_code", "class_index", "width", "height"]])
    with replacing_folder(cut_outs) as folder, (prepared / "crops.bin").open("rb") as stored:
        rows = progress(chosen.itertuples(), total=len(chosen), title=prepared.name, unit="pills")
        counts = store_cut_outs(
            folder,
            (
                (pill, decode_jpeg(read_from_shard(stored, pill.offset, pill.length)), (pill.left, pill.top))
                for pill in rows
            ),
        )
        write_json(folder / "summary.json", counts)
    refused = counts["refused"] or "none"
    log.info("%s: %d of %d pills cut out, refused: %s", prepared.name, counts["cut_out"], counts["read"], refused)


def store_cut_outs(folder: Path, windows: Iterable[tuple[Any, np.ndarray, tuple[int, int]]]) -> dict[str, Any]:
    """Cut pills out and write `pills.bin`, `pills.parquet` and `refused.parquet`, see `cut_pills`.

    Args:
        folder: written into.
        windows: rows of the pills, of the manifest's columns, each with a part of its photograph, uint8 (H, W, 3), and
            the x and y in the photograph where it begins.

    Returns:
        number of pills `read` and `cut_out`, and of those `refused` by reason.
    """
    rows: list[dict[str, Any]] = []
    refused: list[dict[str, str]] = []
    with ShardWriter(folder / "pills.bin") as shard:
        for pill, window, (left, top) in windows:
            named = {"image_id": pill.image_id, "label_member": pill.label_member}
            try:
                mask = segment_pill(window, (pill.x - left, pill.y - top, pill.w, pill.h))
            except CutOutError as error:
                refused.append(named | {"reason": error.reason})
                continue
            rows.append(named | _row(pill, mask) | add_cut_out(shard, *cut_out(window, mask)))
    write_rows(rows, folder / "pills.parquet", CUT_OUTS)
    write_rows(refused, folder / "refused.parquet", REFUSED_CUT_OUTS)
    reasons = pd.Series([row["reason"] for row in refused], dtype=str).value_counts().sort_index()
    counts = {reason: int(number) for reason, number in reasons.items()}
    return {"read": len(rows) + len(refused), "cut_out": len(rows), "refused": counts}


def choose_pills(pills: pd.DataFrame, per_drug: int, seed: int) -> pd.DataFrame:
    """Choose `per_drug` single-pill photographs of each drug, by a hash of their name."""
    singles = pills[(pills["domain"] == "single") & pills["fully_labelled"]].reset_index(drop=True)
    order = pd.Series(hash_order(singles["image_id"].to_list(), seed), index=singles.index).sort_values(kind="stable")
    return singles.loc[order.index].groupby("k_code", sort=False).head(per_drug)


def _row(pill: Any, mask: np.ndarray) -> dict[str, Any]:
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    side = max(int(rows[-1] - rows[0]), int(columns[-1] - columns[0])) + 1
    length = min(1.0, side / max(pill.width, pill.height))
    return {"k_code": pill.k_code, "class_index": pill.class_index, "length": length}
