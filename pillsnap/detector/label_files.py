"""Label files as ultralytics reads them: class and normalised box, one pill a line."""

from pathlib import Path

import pandas as pd


def write_label_files(pills: pd.DataFrame, folder: Path) -> None:
    """Write `<image_id>.txt` for each photograph.

    Args:
        pills: image_id, width and height of the photograph in pixels, box x, y, w, h in them; one pill a row.
        folder: it must exist.
    """
    for image_id, rows in pills.groupby("image_id", sort=True):
        centre_x, centre_y = (rows["x"] + rows["w"] / 2) / rows["width"], (rows["y"] + rows["h"] / 2) / rows["height"]
        width, height = rows["w"] / rows["width"], rows["h"] / rows["height"]
        boxes = zip(centre_x, centre_y, width, height, strict=True)
        lines = ["0 " + " ".join(f"{value:.6f}" for value in box) for box in boxes]
        (folder / f"{image_id}.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
