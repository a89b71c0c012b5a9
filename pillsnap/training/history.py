"""History of a training, one row an epoch: ultralytics' `results.csv` read, and ours written and read."""

import csv
import io
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pillsnap.files import write_text

DETECTOR_COLUMNS = {
    "epoch": ("epoch",),
    "seconds": ("time",),
    "box_loss": ("train/box_loss",),
    "cls_loss": ("train/cls_loss",),
    "dfl_loss": ("train/dfl_loss",),
    "precision": ("metrics/precision(B)", "metrics/precision"),
    "recall": ("metrics/recall(B)", "metrics/recall"),
    "map50": ("metrics/mAP50(B)", "metrics/mAP50", "metrics/mAP_0.5"),
    "map50_95": ("metrics/mAP50-95(B)", "metrics/mAP50-95", "metrics/mAP_0.5:0.95"),
    "learning_rate": ("lr/pg0", "lr0", "x/lr0"),
}
"""Our column: its names in `results.csv` of the versions of ultralytics; `time` counts seconds since the start of the
training."""


def read_ultralytics_results(text: str) -> list[dict[str, float | None]]:
    """Rows of an ultralytics `results.csv`, tolerantly: blank and half-written lines are left out, an empty or
    unreadable value is `None`, a repeated epoch's last row counts.

    Returns:
        one mapping an epoch with the keys of `DETECTOR_COLUMNS`, by epoch; `seconds` are those of the epoch, `None`
        where the file does not have them.
    """
    lines = [line for line in text.splitlines() if line.strip()]
    rows = list(csv.reader(io.StringIO("\n".join(lines))))
    if not rows:
        return []
    header = [name.strip() for name in rows[0]]
    by_epoch = {}
    for cells in rows[1:]:
        row = detector_row(dict(zip(header, cells, strict=False)))
        if len(cells) == len(header) and row["epoch"] is not None:
            by_epoch[row["epoch"]] = row
    seconds = _seconds_of_each({epoch: row["seconds"] for epoch, row in sorted(by_epoch.items())})
    return [by_epoch[epoch] | {"seconds": seconds[epoch]} for epoch in sorted(by_epoch)]


def detector_row(values: Mapping[str, Any], *, finite: bool = True) -> dict[str, float | None]:
    """Our row out of ultralytics' values, numbers or texts by its names for them.

    Args:
        values: by any version's name.
        finite: whether NaN and infinity become `None`.
    """
    return {ours: _first_number(values, theirs, finite) for ours, theirs in DETECTOR_COLUMNS.items()}


def _seconds_of_each(totals: Mapping[float, float | None]) -> dict[float, float | None]:
    """Seconds of each epoch out of ultralytics' seconds since the start; a clock that fell back was restarted."""
    seconds: dict[float, float | None] = {}
    for epoch, total in totals.items():
        before = totals.get(epoch - 1) if seconds else 0.0
        if total is None or before is None:
            seconds[epoch] = None
        else:
            seconds[epoch] = total - before if total >= before else total
    return seconds


def _first_number(values: Mapping[str, Any], names: Sequence[str], finite: bool) -> float | None:
    for name in names:
        try:
            number = float(values[name])
        except (KeyError, TypeError, ValueError):
            continue
        if math.isfinite(number) or not finite:
            return number
    return None


def write_history(rows: Sequence[Mapping[str, float | None]], path: str | Path) -> None:
    """Write rows as CSV with whole epochs and an empty cell for `None`; all rows have the first one's keys."""
    columns = list(rows[0]) if rows else ["epoch"]
    lines = [",".join(columns)]
    for row in rows:
        lines.append(",".join(_cell(column, row[column]) for column in columns))
    write_text(path, "\n".join(lines) + "\n")


def _cell(column: str, value: float | None) -> str:
    if value is None:
        return ""
    return str(int(value)) if column == "epoch" else f"{value:.6g}"


def read_history(path: str | Path) -> list[dict[str, float | None]]:
    """Rows of `write_history`."""
    with Path(path).open(encoding="utf-8", newline="") as stream:
        return [{key: float(value) if value else None for key, value in row.items()} for row in csv.DictReader(stream)]
