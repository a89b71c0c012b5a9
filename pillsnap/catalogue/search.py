"""Look up a pill in a catalogue by what was read of it: the drugs that look most like that, never an answer."""

import math
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from pillsnap.catalogue.drug import Drug
from pillsnap.catalogue.imprint import characters, score_line_in
from pillsnap.catalogue.likelihood import (
    ONE_SIDE,
    Imprints,
    log_colours,
    log_score_line,
    log_shape,
    log_size,
    of_each,
    with_mean,
)
from pillsnap.catalogue.records import CatalogueError
from pillsnap.catalogue.store import open_catalogue, read_drugs, read_imprints, read_tables
from pillsnap.catalogue.vocabulary import COLOURS, SCORE_LINES, SHAPES, colours_of, score_line_of, shape_of

LEAST = math.log(1e-6)
"""Score below which a drug is not listed: what was read is a million times likelier of one that looks exactly so."""
MOST = 100
MOST_CHARACTERS = 40
_MOST_COLOURS = 2
LARGEST_MM = 60.0
NOTICE = "These look alike, no more: a look-up is no answer. Compare each with the pill, and ask a pharmacist."


@dataclass(frozen=True)
class LookUp:
    """What is looked up of a pill, in the words of the vocabulary; `None` and empty where nothing is.

    A person typed it, or `pillsnap.predict.look_up.query_of` took it from what a model read.

    Attributes:
        imprint: letters and digits of one side or both.
        length, width: in mm.
        tolerance: standard deviation of the two, in mm.
    """

    imprint: str = ""
    colours: tuple[str, ...] = ()
    shape: str | None = None
    score_line: str | None = None
    length: float | None = None
    width: float | None = None
    tolerance: float = 0.5

    @classmethod
    def of(
        cls,
        *,
        imprint: str = "",
        colour: str = "",
        shape: str = "",
        score_line: str = "",
        length: float | None = None,
        width: float | None = None,
        tolerance: float = 0.5,
    ) -> "LookUp":
        """Read what a person typed, in Korean or English.

        Raises:
            CatalogueError: a word is not in the vocabulary, a number is out of bounds, or there is nothing to look up.
        """
        colours, unknown = colours_of(colour)
        if unknown:
            raise _unknown_word("colour", unknown[0], COLOURS)
        if len(colours) > _MOST_COLOURS:
            raise CatalogueError(f"colour {colour!r}: names {len(colours)}. Give the one or two that the pill has.")
        named = [("shape", shape, shape_of, SHAPES), ("score line", score_line, score_line_of, SCORE_LINES)]
        for what, word, read, names in named:
            if word.strip() and not read(word):
                raise _unknown_word(what, word, names)
        for what, size, least in (("length", length, 0.5), ("width", width, 0.5), ("tolerance", tolerance, 0.05)):
            if size is not None and not least <= size <= LARGEST_MM:
                raise CatalogueError(f"{what} {size:g}: must be between {least:g} and {LARGEST_MM:g} mm.")
        letters = characters(imprint)
        if len(letters) > MOST_CHARACTERS:
            raise CatalogueError(f"imprint: has {len(letters)} letters and digits. Give {MOST_CHARACTERS} at most.")
        line = score_line_of(score_line) or score_line_in(imprint)
        reading = cls(letters, tuple(sorted(colours)), shape_of(shape), line, length, width, tolerance)
        if reading == cls(tolerance=tolerance):
            raise CatalogueError("Nothing to look up. Give an imprint, a colour, a shape, a score line or a size.")
        return reading


@dataclass(frozen=True)
class Alike:
    """A drug that looks like what was read.

    Attributes:
        table: the table that tells of it.
        score: sum of `parts`; 0 where the drug looks exactly like what was read.
        parts: of each thing that was read, the logarithm of its likelihood (`pillsnap.catalogue.likelihood`).
    """

    drug: Drug
    table: str
    score: float
    parts: dict[str, float]


@dataclass(frozen=True)
class Found:
    """What a look-up finds: the reading as it was understood, what the list must not be taken for, and the list."""

    read: LookUp
    notice: str
    alike: list[Alike]


class Catalogue:
    """A catalogue in memory."""

    def __init__(self, path: Path) -> None:
        """Read a catalogue of `import_tables`; raises `CatalogueError`."""
        with closing(open_catalogue(path)) as database:
            try:
                self._read(database)
            except (sqlite3.DatabaseError, ValueError, TypeError) as error:
                raise CatalogueError(
                    f"{path}: is damaged ({error}). Copy it again, or make it again: pillsnap catalogue import FILE."
                ) from error

    def _read(self, database: sqlite3.Connection) -> None:
        self.drugs, self._tables = read_drugs(database), read_tables(database)
        imprints = read_imprints(database)
        if len(self._tables) != len(self.drugs) or {drug for _, drug, _ in imprints} - {*range(len(self.drugs))}:
            raise ValueError("its tables do not fit together")
        texts = sorted({text for text, _, _ in imprints})
        places = {text: place for place, text in enumerate(texts)}
        self._texts = Imprints(texts)
        self._text_of = np.array([places[text] for text, _, _ in imprints], dtype=np.int64)
        self._drug_of = np.array([drug for _, drug, _ in imprints], dtype=np.int64)
        self._whole = np.array([0 if whole else math.log(ONE_SIDE) for _, _, whole in imprints])

    def search(self, reading: LookUp, *, limit: int = 20) -> Found:
        """Find the drugs that look most like what was read, the likeliest first, at most `limit`.

        Drugs of the same score are in the order of the tables. None is listed whose score is below `LEAST`.
        """
        parts = self._parts(reading)
        scores = sum(parts.values(), np.zeros(len(self.drugs)))
        order = np.argsort(-scores, kind="stable")[:limit]
        alike = [
            Alike(
                self.drugs[place],
                self._tables[place],
                round(float(scores[place]), 2) + 0.0,
                {name: round(float(part[place]), 2) + 0.0 for name, part in parts.items()},
            )
            for place in order
            if scores[place] >= LEAST
        ]
        return Found(reading, NOTICE, alike)

    def _parts(self, reading: LookUp) -> dict[str, np.ndarray]:
        """Logarithms of the likelihoods of each thing that was read, (drugs,)."""
        parts = {}
        if reading.imprint:
            parts["imprint"] = self._imprint(reading.imprint)
        if reading.colours:
            parts["colours"] = of_each(partial(log_colours, reading.colours), [drug.colours for drug in self.drugs])
        if reading.shape:
            parts["shape"] = of_each(partial(log_shape, reading.shape), [drug.shape for drug in self.drugs])
        if reading.score_line:
            parts["score_line"] = of_each(
                partial(log_score_line, reading.score_line), [drug.score_line for drug in self.drugs]
            )
        for name, size in (("length", reading.length), ("width", reading.width)):
            if size is not None:
                sizes = np.array([getattr(drug, name) or np.nan for drug in self.drugs])
                parts[name] = with_mean(log_size(size, sizes, reading.tolerance))
        return parts

    def _imprint(self, read: str) -> np.ndarray:
        """Of the likeliest of the texts that may be read of each drug; one without an imprint was not read so."""
        found = np.full(len(self.drugs), -np.inf)
        np.maximum.at(found, self._drug_of, self._texts.log_likelihood(read)[self._text_of] + self._whole)
        return found


def _unknown_word(what: str, word: str, names: Mapping[str, str]) -> CatalogueError:
    known = ", ".join(f"{name} ({korean})" for name, korean in names.items())
    return CatalogueError(f"{what} {word[:40]!r}: is not known. Give one of: {known}.")
