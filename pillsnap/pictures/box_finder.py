"""Boxes of photographs whose labels have none."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pillsnap.files import read_json

Box = tuple[float, float, float, float]


def whole_photo(picture: np.ndarray) -> Box:
    """Return the box of a whole photograph, uint8 (H, W, 3)."""
    height, width = picture.shape[:2]
    return 0.0, 0.0, float(width), float(height)


@dataclass(frozen=True)
class BoxFinder:
    """Where boxes come from that no label gives.

    Attributes:
        find: takes a photograph, uint8 (H, W, 3), and returns the box x, y, w, h of its one pill in pixels; raises
            `LabelError` where there is no such box.
        facts: what pages tell of it, JSON values: `from` is `whole` or `detector`.
    """

    find: Callable[[np.ndarray], Box] = whole_photo
    facts: Mapping[str, Any] = field(default_factory=lambda: {"from": "whole"})


def box_sources(kept: pd.DataFrame, prepared: Sequence[Path]) -> dict[str, Any]:
    """Tell where boxes come from that are no labels', for the manifest's summary.

    Args:
        kept: manifest rows.
        prepared: folders of `prepare_archive`, whose `boxes.json` has a finder's facts.

    Returns:
        `boxes`: the facts by archive, with the number of pills; empty where all boxes are labels'.
    """
    pills = kept["archive"].value_counts()
    files = {path.name: path / "boxes.json" for path in prepared}
    facts = {name: read_json(file) for name, file in files.items() if file.exists()}
    return {"boxes": {name: one | {"pills": int(pills.get(name, 0))} for name, one in facts.items()}} if facts else {}
