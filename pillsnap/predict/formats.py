"""Output formats of answers: a table for people; JSON, JSON Lines and CSV for programs; the table of a course."""

import csv
import json
import textwrap
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from typing import Any, Protocol, TextIO

from rich.console import Console
from rich.table import Table

from pillsnap.answers.answer import SHOWN_FROM, Candidate, EnrolledCandidate, Pill, Reading, SamePillAnswer
from pillsnap.catalogue.alike_table import alike_table
from pillsnap.catalogue.search import Found
from pillsnap.predict.look_up import readings_of
from pillsnap.predict.stream import Outcome, Unusable
from pillsnap.predict.submission import SubmissionWriter
from pillsnap.tables.csv_cells import escape_formula

CSV_COLUMNS = (
    "photo", "mode", "width", "height", "pill", "x", "y", "w", "h", "score", "verdict", "k_code", "edi_codes", "name",
    "confidence", "prediction_set", "looks_like", "imprint", "imprint_confidence", "shape", "colours", "agree",
    "more_pills", "error",
)  # fmt: skip
MORE = "The photograph shows more pills, and only the one with the best box is answered. --mode combo answers each."
APART = "The two photographs may show two pills: one by one, they do not point to one drug. Answer them separately."
SHOWN_CANDIDATES = 5
"""Rows at most for an uncertain pill in the table; the other formats have its whole prediction set."""


class Writer(Protocol):
    """Writes outcomes in their order, each as it comes."""

    def write(self, outcome: Outcome) -> None:
        """Write one outcome."""

    def end(self) -> None:
        """Finish the output."""


def as_values(outcome: Outcome) -> dict[str, Any]:
    """Convert an outcome to JSON values: the photograph's name with its answer, or with `error`.

    In an answer to two photographs of one pill, each of `photos` has its name, too. A pill that was looked up has
    `look_up`.
    """
    if isinstance(outcome, Unusable):
        return {"photo": outcome.photo.shown, "error": asdict(outcome.problem)}
    values = {"photo": outcome.photo.shown, **asdict(outcome.answer)}
    for place, found in outcome.look_ups.items():
        values["pills"][place]["look_up"] = asdict(found)
    if outcome.second:
        names = (outcome.photo.shown, outcome.second[0].shown)
        values["photos"] = [{"photo": name} | view for name, view in zip(names, values["photos"], strict=True)]
    return values


class JsonWriter:
    """Indented JSON: one object for a single photograph, otherwise a list."""

    def __init__(self, stream: TextIO, *, one: bool) -> None:
        self._stream, self._one, self._begun = stream, one, False

    def write(self, outcome: Outcome) -> None:
        text = json.dumps(as_values(outcome), ensure_ascii=False, indent=2)
        start = ",\n" if self._begun else "[\n"
        self._stream.write(text + "\n" if self._one else start + textwrap.indent(text, "  "))
        self._begun = True

    def end(self) -> None:
        if not self._one:
            self._stream.write("\n]\n")


class JsonLinesWriter:
    """One JSON object a line."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, outcome: Outcome) -> None:
        self._stream.write(json.dumps(as_values(outcome), ensure_ascii=False) + "\n")

    def end(self) -> None:
        pass


class CsvWriter:
    """One row a pill, and one for a photograph without pills or with an error; UTF-8 with byte-order mark, as all CSV
    files of the project, so that Excel shows Korean."""

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
    photo: dict[str, Any] = {"photo": outcome.shown}
    if isinstance(outcome, Unusable):
        yield photo | {"error": f"{outcome.problem.reason}: {outcome.problem.message}"}
        return
    answer = outcome.answer
    photo |= {"mode": answer.mode, "width": answer.width, "height": answer.height}
    photo["more_pills"] = str(answer.more_pills).lower()
    if isinstance(answer, SamePillAnswer) and answer.agree is not None:
        photo["agree"] = str(answer.agree).lower()
    if not answer.pills:
        yield photo
    for number, pill in enumerate(answer.pills, start=1):
        box = {name: round(value, 2) for name, value in zip("xywh", pill.box, strict=True)}
        facts = {"pill": number, "score": round(pill.score, 6), "verdict": pill.verdict}
        yield photo | box | facts | _csv_drug(pill) | _csv_read(readings_of(pill, answer))


def _csv_drug(pill: Pill) -> dict[str, Any]:
    best = pill.candidates[0]
    if pill.verdict == "unknown":
        return {"looks_like": best.k_code}
    return {
        "k_code": best.k_code,
        "edi_codes": ",".join(best.edi_codes),
        "name": best.name,
        "confidence": how_sure(best, digits=1) if best.confidence is None else round(best.confidence, 6),
        "prediction_set": ",".join(one.k_code for one in pill.prediction_set),
    }


def _csv_read(readings: Sequence[Reading]) -> dict[str, str]:
    """Cells of what was read; of two photographs, joined as their names are."""
    cells = [
        {
            "imprint": reading.imprint,
            "imprint_confidence": str(round(reading.imprint_confidence, 6)),
            "shape": reading.shape if reading.shape_confidence >= SHOWN_FROM else "",
            "colours": ",".join(reading.colours) if reading.colours_confidence >= SHOWN_FROM else "",
        }
        for reading in readings
    ]
    return {name: " + ".join(cell[name] for cell in cells) for name in (cells[0] if cells else ())}


def no_formula(value: Any) -> Any:
    """Protect a text cell from being read as a formula by spreadsheets."""
    return escape_formula(value) if isinstance(value, str) else value


class TableWriter:
    """A table for each photograph; problems are left to standard error."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        # brackets in drug names are no markup
        self._console = Console(file=stream, markup=False, highlight=False, emoji=False)

    def write(self, outcome: Outcome) -> None:
        if isinstance(outcome, Unusable):
            return
        name = printable(outcome.shown)
        if not outcome.answer.pills:
            self._stream.write(f"{name}: no pill was found\n")
            return
        table = Table(title=name)
        for column in ("pill", "verdict", "K-code", "EDI codes", "name", "confidence"):
            table.add_column(column, overflow="fold", no_wrap=column in ("verdict", "K-code"))
        read = [_read_cell(pill, readings_of(pill, outcome.answer)) for pill in outcome.answer.pills]
        if any(read):
            table.add_column("read", overflow="fold")
        for number, (pill, cell) in enumerate(zip(outcome.answer.pills, read, strict=True), start=1):
            for place, row in enumerate(_table_rows(number, pill)):
                table.add_row(*row, *([cell] if any(read) and place == 0 else []))
        with self._console.capture() as captured:
            self._console.print(table)
            if outcome.answer.more_pills:
                self._console.print(MORE)
            if isinstance(outcome.answer, SamePillAnswer) and outcome.answer.agree is False:
                self._console.print(APART)
            for place, found in outcome.look_ups.items():
                self._print_look_up(place + 1, found)
        self._stream.write(captured.get())

    def end(self) -> None:
        pass

    def _print_look_up(self, number: int, found: Found) -> None:
        if not found.alike:
            self._console.print(f"pill {number} is not recognised, and no drug of the catalogue looks like it.")
            return
        self._console.print(f"pill {number} is not recognised. {found.notice}")
        self._console.print(alike_table(found.alike))


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
    return drug.k_code, ", ".join(drug.edi_codes) or "-", printable(drug.name), how_sure(drug, digits=1)


def _read_cell(pill: Pill, readings: Sequence[Reading]) -> str:
    cell = " / ".join(printable(read_words(reading)) for reading in readings)
    # an unknown pill is named after no drug that could be contradicted
    contradicted = pill.verdict == "uncertain" and any(reading.contradicts for reading in readings)
    return f"{cell}; the imprint contradicts it" if contradicted else cell


def read_words(reading: Reading) -> str:
    """Colours, shape and imprint, each where its confidence is at least `SHOWN_FROM`: `white, round, IDG2`.

    Of an imprint that is less sure, only the characters that are: `imprint with I, G`.
    """
    words = [*reading.colours] if reading.colours_confidence >= SHOWN_FROM else []
    if reading.shape_confidence >= SHOWN_FROM:
        words.append(reading.shape)
    if reading.imprint_confidence >= SHOWN_FROM:
        words.append(reading.imprint or "no imprint")
    elif reading.characters:
        words.append(f"imprint with {', '.join(reading.characters)}")
    return ", ".join(words) or "nothing for sure"


def how_sure(drug: Candidate, *, digits: int) -> str:
    """A candidate's confidence in percent; of an enrolled drug, the number of photographs that it rests on."""
    if isinstance(drug, EnrolledCandidate):
        return f"{drug.references} reference{'' if drug.references == 1 else 's'}"
    return f"{drug.confidence:.{digits}%}"


def printable(text: str) -> str:
    """Replace control characters, which a terminal would obey."""
    return "".join(letter if letter.isprintable() else "\ufffd" for letter in text)


def writer_of(name: str, stream: TextIO, *, one: bool) -> Writer:
    """The writer of a format.

    Args:
        name: `table`, `json`, `jsonl`, `csv` or `submission`.
        stream: where it writes.
        one: whether one photograph was named, see `pillsnap.predict.photo_paths.names_one`.
    """
    if name == "json":
        return JsonWriter(stream, one=one)
    writers: dict[str, Callable[[TextIO], Writer]] = {
        "table": TableWriter,
        "jsonl": JsonLinesWriter,
        "csv": CsvWriter,
        "submission": SubmissionWriter,
    }
    return writers[name](stream)
