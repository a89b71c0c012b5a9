"""Table of class names: which drug a source means by the name of a class."""

import csv
import io
import unicodedata
from dataclasses import dataclass
from pathlib import Path

from pillsnap.sources.archives import SourceError
from pillsnap.sources.containers.text import decode_text
from pillsnap.tables.classes import is_k_code
from pillsnap.tables.codes import codes_in_cell
from pillsnap.tables.spreadsheet import SpreadsheetError, is_spreadsheet, read_rows

COLUMNS = ("name", "k_code", "edi_codes", "drug_name")
"""Columns of the table; the last two may be missing."""


@dataclass(frozen=True)
class NamedDrug:
    """Drug that a class name stands for: K-code, EDI codes between commas, and name; the latter two may be empty."""

    k_code: str
    edi_codes: str
    drug_name: str


def class_key(name: str) -> str:
    """Return the form in which class names are compared: Unicode NFC, without outer blanks."""
    return unicodedata.normalize("NFC", name).strip()


def read_class_table(path: Path) -> dict[str, NamedDrug]:
    """Read a CSV file or a spreadsheet with the columns `name`, `k_code` and, as far as they are known, `edi_codes` and
    `drug_name`.

    In CSV, cells are separated by commas, semicolons or tabs, as those of the header are. An empty `k_code` leaves a
    class its own name. EDI codes are separated by commas, semicolons or blanks. The file may have any encoding that
    labels may have.

    Returns:
        drug by `class_key` of the name.

    Raises:
        SourceError: the file cannot be read; a row, with its line, is malformed or repeats a name.
    """
    try:
        data = path.read_bytes()
        rows = _rows_of_spreadsheet(data) if is_spreadsheet(data) else _rows_of_text(data)
    except FileNotFoundError as error:
        raise SourceError(f"{path}: there is no table of classes of this name. Correct the path.") from error
    except SpreadsheetError as error:
        raise SourceError(f"{path}: {error}") from error
    except (OSError, ValueError, csv.Error) as error:
        raise SourceError(f"{path}: cannot be read as a table of classes ({error}). {_WANTED}") from error
    header = rows[0][1] if rows else []
    if not {"name", "k_code"} <= set(header) <= set(COLUMNS) or len(set(header)) < len(header):
        raise SourceError(f"{path}: has the columns {', '.join(header) or 'none'}. {_WANTED}")
    found: dict[str, NamedDrug] = {}
    for line, cells in rows[1:]:
        if len(cells) != len(header):
            raise SourceError(f"{path} line {line}: has {len(cells)} cells, and {len(header)} columns are named above.")
        row = dict.fromkeys(COLUMNS, "") | dict(zip(header, cells, strict=True))
        if not row["name"] or (row["k_code"] and not is_k_code(row["k_code"])) or not "".join(cells).isprintable():
            raise SourceError(
                f"{path} line {line}: name {row['name']!r}, k_code {row['k_code']!r}. A row names a class in printable "
                "text; a K-code is K- and six digits, such as K-000114, or empty where the class keeps its name."
            )
        if class_key(row["name"]) in found:
            raise SourceError(
                f"{path} line {line}: the class {row['name']!r} has a row above. Give each class one row."
            )
        codes, lost = codes_in_cell(row["edi_codes"])
        if lost:
            raise SourceError(
                f"{path} line {line}: the EDI code {lost[0]} is a number that a spreadsheet rounded or grouped. Give "
                "the column the format text there, and enter the codes again."
            )
        found[class_key(row["name"])] = NamedDrug(
            row["k_code"] or row["name"], ",".join(codes), row["drug_name"] or row["name"]
        )
    return found


def _rows_of_text(data: bytes) -> list[tuple[int, list[str]]]:
    text, _ = decode_text(data)
    separator = max(",;\t", key=text.lstrip().partition("\n")[0].count)
    lines = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    return [(lines.line_num, [cell.strip() for cell in row]) for row in lines if any(map(str.strip, row))]


def _rows_of_spreadsheet(data: bytes) -> list[tuple[int, list[str]]]:
    """Rows as wide as the header; a sheet is as wide as anything that was ever in it."""
    rows = [(number, list(cells)) for number, cells in read_rows(data)]
    width = max(column for column, name in enumerate(rows[0][1], start=1) if name)
    return [(number, cells if any(cells[width:]) else cells[:width]) for number, cells in rows]


_WANTED = (
    f"It must be CSV or a spreadsheet with a header of the columns {', '.join(COLUMNS)}, the last two as far as they "
    "are known."
)
