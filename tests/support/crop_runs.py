"""Runs of cut_crops on small archives, for tests."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pillsnap.config.config import Crops
from pillsnap.crops.cut_crops import cut_crops
from pillsnap.tables.files import make_table, read_table, write_table
from pillsnap.tables.schemas import CROPS, DETECTIONS
from tests.support.archives import BOXES, DataRun


def seen(pills: pd.DataFrame, change: Callable[[np.ndarray], np.ndarray], score: float = 0.9) -> pd.DataFrame:
    """Detections at every place of `BOXES`, as `change` moves it, in every photograph."""
    boxes = change(np.array(BOXES, float))
    rows = [
        {"image_id": image_id, "split": split, "score": score, **dict(zip("xywh", box, strict=True))}
        for image_id, split in dict(zip(pills["image_id"], pills["split"], strict=True)).items()
        for box in boxes
    ]
    return make_table(rows, DETECTIONS)


def cut(run: DataRun, folder: Path, detections: pd.DataFrame, **changes: Any) -> pd.DataFrame:
    """The index of the crops that `cut_crops` cuts into `folder`."""
    write_table(detections, folder.with_suffix(".parquet"), DETECTIONS)
    cut_crops(
        **{
            "manifest": run.manifest("train", "val"),
            "prepared": run.prepared,
            "detections": folder.with_suffix(".parquet"),
            "crops": folder,
            "settings": SETTINGS,
            "min_score": 0.3,
        }
        | changes
    )
    return read_table(folder / "index.parquet", CROPS)


SETTINGS = Crops(size=48)
