"""Label files as ultralytics reads them: class and normalised box, one pill a line."""

import itertools
import operator
from pathlib import Path

import numpy as np
import pandas as pd


def write_label_files(pills: pd.DataFrame, folder: Path) -> None:
    """Write `<image_id>.txt` for each photograph.

    Args:
        pills: image_id, width and height of the photograph in pixels, box x, y, w, h in them; one pill a row.
        folder: it must exist.
    """
    ordered = pills.sort_values("image_id", kind="stable")
    boxes, sizes = (ordered[columns].to_numpy(float) for columns in (list("xywh"), ["width", "height"]))
    shares = np.hstack([(boxes[:, :2] + boxes[:, 2:] / 2) / sizes, boxes[:, 2:] / sizes]).tolist()
    lines = zip(
        ordered["image_id"], ("0 {:.6f} {:.6f} {:.6f} {:.6f}\n".format(*share) for share in shares), strict=True
    )
    for image_id, rows in itertools.groupby(lines, key=operator.itemgetter(0)):
        (folder / f"{image_id}.txt").write_text("".join(line for _, line in rows), encoding="utf-8")
