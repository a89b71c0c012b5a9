"""What is read of a pill: the characters of its imprint in their order, its shape and its colours."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from pillsnap.catalogue.imprint import characters
from pillsnap.catalogue.vocabulary import COLOURS, SHAPES, colours_of, shape_of

if TYPE_CHECKING:  # answers are given without pandas
    import pandas as pd

CHARACTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
END = len(CHARACTERS)
"""Code of a place behind the last character."""
PLACES = 8
"""Places of an imprint; what stands behind the last of them is not read."""
SHAPE_NAMES, COLOUR_NAMES = tuple(SHAPES), tuple(COLOURS)
"""Shapes and colours in the order of the reader's outputs, in the words of `pillsnap.catalogue.vocabulary`."""


@dataclass(frozen=True)
class Looks:
    """How a drug looks, by its labels.

    Attributes:
        imprints: readable characters of front and back; empty where the side has none.
        shape: `None` where the labels tell none.
        colours: empty where they tell none.
    """

    imprints: tuple[str, str]
    shape: str | None
    colours: frozenset[str]


def readable(imprint: str) -> str:
    """The characters of an imprint that the reader has, at most `PLACES`."""
    return "".join(char for char in characters(imprint) if char in CHARACTERS)[:PLACES]


def looks_of(drugs: "pd.DataFrame") -> list[Looks]:
    """Looks of the drugs of a table of schema `DRUGS` or `LOOKS`, in its order."""
    columns = drugs[["imprint_front", "imprint_back", "shape", "colours"]]
    return [
        Looks((readable(front), readable(back)), shape_of(shape), colours_of(colours)[0])
        for front, back, shape, colours in columns.itertuples(index=False)
    ]


def codes_of(imprints: Sequence[str]) -> np.ndarray:
    """Codes of readable imprints, int64 (N, PLACES), filled up with `END`."""
    codes = np.full((len(imprints), PLACES), END, dtype=np.int64)
    for row, imprint in zip(codes, imprints, strict=True):
        row[: len(imprint)] = [CHARACTERS.index(char) for char in imprint]
    return codes


def imprint_of(codes: np.ndarray) -> str:
    """The imprint that codes (PLACES,) stand for: the characters before the first `END`."""
    return "".join(CHARACTERS[code] for code in codes[: int(np.argmax(np.append(codes, END) == END))])
