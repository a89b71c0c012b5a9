"""Answers as text on a stream: a table for people, JSON, JSON lines and CSV for programs."""

import csv
import json
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any, Protocol, TextIO

from rich.console import Console
from rich.table import Table

from pillsnap.answers.answer import Candidate, Pill
from pillsnap.predict.stream import Outcome
from pillsnap.tables.csv_cells import defused

CSV_COLUMNS = (
    "photo", "mode", "width", "height", "pill", "x", "y", "w", "h", "score", "verdict", "k_code", "edi_codes", "name",
    "confidence", "prediction_set", "looks_like", "error",
)  # fmt: skip
SHOWN_CANDIDATES = 5
"""Rows that the table gives one uncertain pill; the other formats give its whole prediction set."""


class Writer(Protocol):
    """Takes outcomes in their order and writes each at once."""

    def write(self, outcome: Outcome) -> None:
        """Write one outcome."""

    def end(self) -> None:
        """Nothing more comes."""


def as_values(outcome: Outcome) -> dict[str, Any]:
    """An outcome as JSON values: the photograph's name with its answer, or with `error`."""
    if outcome.problem:
        return {"photo": outcome.photo.shown, "error": asdict(outcome.problem)}
    return {"photo": outcome.photo.shown, **asdict(outcome.answer)}


class JsonWriter:
    """Readable JSON: one object where one photograph was named, otherwise a list of them."""

    def __init__(self, stream: TextIO, *, one: bool) -> None:
        self._stream, self._one, self._begun = stream, one, False

    def write(self, outcome: Outcome) -> None:
        text = json.dumps(as_values(outcome), ensure_ascii=False, indent=2)
        self._stream.write(text + "\n" if self._one else self._start() + textwrap.indent(text, "  "))
        self._begun = True

    def end(self) -> None:
        if not self._one:
            self._stream.write("\n]\n")

    def _start(self) -> str:
        return ",\n" if self._begun else "[\n"


class JsonLinesWriter:
    """One object a line."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, outcome: Outcome) -> None:
        self._stream.write(json.dumps(as_values(outcome), ensure_ascii=False) + "\n")

    def end(self) -> None:
        pass


class CsvWriter:
    """One row a pill, and one for a photograph without a pill or with an error; UTF-8 with byte-order mark, as all
    tables of the project, so that Excel shows Korean."""

    def __init__(self, stream: TextIO) -> None:
        stream.write("\ufeff")
        self._rows = csv.DictWriter(stream, CSV_COLUMNS, restval="", lineterminator="\n")
        self._rows.writeheader()

    def write(self, outcome: Outcome) -> None:
        for row in _csv_rows(outcome):
            self._rows.writerow({name: no_formula(value) for name, value in row.items()})

    def end(self) -> None:
        pass


def _csv_rows(outcome: Outcome) -> Iterator[dict[str, Any]]:
    photo = {"photo": outcome.photo.shown}
    if outcome.problem:
        yield photo | {"error": f"{outcome.problem.reason}: {outcome.problem.message}"}
        return
    answer = outcome.answer
    photo |= {"mode": answer.mode, "width": answer.width, "height": answer.height}
    if not answer.pills:
        yield photo
    for number, pill in enumerate(answer.pills, start=1):
        box = {name: round(value, 2) for name, value in zip("xywh", pill.box, strict=True)}
        facts = {"pill": number, "score": round(pill.score, 6), "verdict": pill.verdict}
        yield photo | box | facts | _csv_drug(pill)


def _csv_drug(pill: Pill) -> dict[str, Any]:
    best = pill.candidates[0]
    if pill.verdict == "unknown":
        return {"looks_like": best.k_code}
    return {
        "k_code": best.k_code,
        "edi_codes": ",".join(best.edi_codes),
        "name": best.name,
        "confidence": round(best.confidence, 6),
        "prediction_set": ",".join(one.k_code for one in pill.prediction_set),
    }


def no_formula(value: Any) -> Any:
    """A cell that no spreadsheet takes for a formula."""
    return defused(value) if isinstance(value, str) else value


class TableWriter:
    """A table for each photograph; what cannot be used is left to standard error."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        # names hold brackets, which are no markup
        self._console = Console(file=stream, markup=False, highlight=False, emoji=False)

    def write(self, outcome: Outcome) -> None:
        if outcome.problem:
            return
        name = printable(outcome.photo.shown)
        if not outcome.answer.pills:
            self._stream.write(f"{name}: no pill was found\n")
            return
        table = Table(title=name)
        for column in ("pill", "verdict", "K-code", "EDI codes", "name", "confidence"):
            table.add_column(column, overflow="fold", no_wrap=column in ("verdict", "K-code"))
        for number, pill in enumerate(outcome.answer.pills, start=1):
            for row in _table_rows(number, pill):
                table.add_row(*row)
        with self._console.capture() as captured:
            self._console.print(table)
        self._stream.write(captured.get())

    def end(self) -> None:
        pass


def _table_rows(number: int, pill: Pill) -> Iterator[Sequence[str]]:
    best = pill.candidates[0]
    if pill.verdict == "unknown":
        yield str(number), "unknown", "-", "-", f"looks most like {best.k_code} {printable(best.name)}", "-"
        return
    possible = [best] if pill.verdict == "known" else pill.prediction_set
    for place, candidate in enumerate(possible[:SHOWN_CANDIDATES]):
        yield (*((str(number), pill.verdict) if place == 0 else ("", "or")), *_drug_cells(candidate))
    if more := len(possible[SHOWN_CANDIDATES:]):
        yield "", "or", "", "", f"one of {more} more", ""


def _drug_cells(drug: Candidate) -> Sequence[str]:
    return drug.k_code, ", ".join(drug.edi_codes) or "-", printable(drug.name), f"{drug.confidence:.1%}"


def printable(text: str) -> str:
    """Text for a terminal: characters that would steer it are replaced."""
    return "".join(letter if letter.isprintable() else "\ufffd" for letter in text)


def writer_of(name: str, stream: TextIO, *, one: bool) -> Writer:
    """The writer of a format.

    Args:
        name: `table`, `json`, `jsonl` or `csv`.
        stream: where it writes.
        one: whether one photograph was named, see `pillsnap.predict.photo_paths.names_one`.
    """
    if name == "json":
        return JsonWriter(stream, one=one)
    return {"table": TableWriter, "jsonl": JsonLinesWriter, "csv": CsvWriter}[name](stream)
