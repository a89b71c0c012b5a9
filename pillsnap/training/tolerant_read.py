"""Read files of a training that still writes them, or was killed; what cannot be parsed is left out."""

import csv
import io
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

Row = Mapping[str, float | None]


def read_rows(path: Path) -> list[Row]:
    """Rows of numbers of a CSV file, such as `history.csv` and `resources.csv`; empty where there is no such file.

    A row with another number of cells than the head has is left out; a cell that is no finite number is `None`.
    """
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").replace("\0", "").splitlines()
    except OSError:
        return []
    table = list(csv.reader(io.StringIO("\n".join(line for line in lines if line.strip()))))
    if not table:
        return []
    head, *rows = table
    return [
        {name.strip(): _number(cell) for name, cell in zip(head, cells, strict=True)}
        for cells in rows
        if len(cells) == len(head)
    ]


def _number(cell: str) -> float | None:
    try:
        value = float(cell)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def read_mapping(path: Path) -> dict[str, Any]:
    """A JSON object; empty where the file has none."""
    value = _json(path)
    return value if isinstance(value, dict) else {}


def read_mappings(path: Path) -> list[dict[str, Any]]:
    """A JSON list's objects; empty where the file has none."""
    value = _json(path)
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
