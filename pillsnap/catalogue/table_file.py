"""Read tables as they are downloaded: spreadsheets, and text in any usual encoding, with quotes that match or not."""

import csv
import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice, takewhile
from pathlib import Path

from pillsnap.catalogue.records import CELLS, UNDECODABLE, CatalogueError, Record
from pillsnap.catalogue.text_encoding import encoding_of
from pillsnap.tables.spreadsheet import SpreadsheetError, is_spreadsheet, read_rows

_MOST_LINES = 50
"""Lines that a record with line breaks in its cells may have."""
_WIDE = (b"\xff\xfe", b"\xfe\xff")
"""First bytes of UTF-16, whose text has zeros."""
_NO_TABLES = (b"<", b"{", b"[", b"%PDF")
_SEPARATORS = (",", "\t", ";")
_HEADER_END = re.compile(rb'(?:[^"\r\n]|"[^"]*")+(\r\n|\n|\r)')
"""How the header ends, and so the other lines; by a carriage return alone in tables of old programs on Macs."""


def read_records(path: Path) -> Iterator[Record]:
    """Read the records of a table, the header first; lines without any content are none.

    Korea's open data have quotes in their cells that no other quote matches. So no quote opens a cell of several lines
    where each of these lines has as many cells as the header.

    Raises:
        CatalogueError: the file is no table of text and no spreadsheet, its encoding cannot be told, or it is empty.
        OSError: it cannot be read.
    """
    data = path.read_bytes()
    if is_spreadsheet(data):
        try:
            yield from (Record(number, cells) for number, cells in read_rows(data))
        except SpreadsheetError as error:
            raise CatalogueError(f"{path}: {error}") from error
        return
    lines = _decoded_lines(path, data)
    start = next((number for number, line in enumerate(lines) if line and line.strip()), None)
    if start is None:
        raise CatalogueError(f"{path}: the file is empty. Download it again.")
    headers = {separator: _header(lines, start, separator) for separator in _SEPARATORS}
    separator, (cells, taken) = max(headers.items(), key=lambda header: len(header[1][0]))
    yield Record(start + 1, tuple(cells))
    yield from _records(lines, start + taken, separator, len(cells))


def _header(lines: Sequence[str | None], at: int, separator: str) -> tuple[Sequence[str], int]:
    """The names of the columns, and the number of their lines."""
    return _parse(_following(lines, at), separator) or ((lines[at] or "").split(separator), 1)


def _records(lines: Sequence[str | None], at: int, separator: str, width: int) -> Iterator[Record]:
    while at < len(lines):
        line = lines[at]
        if line is None:
            yield Record(at + 1, (), UNDECODABLE)
            at += 1
        elif not line.strip(f"{separator}\"' "):
            at += 1
        else:
            cells, taken = _record(lines, at, separator, width)
            yield Record(at + 1, tuple(cells), "" if len(cells) == width else CELLS)
            at += taken


def _record(lines: Sequence[str | None], at: int, separator: str, width: int) -> tuple[Sequence[str], int]:
    """The cells of the record that begins at a line, and the number of its lines."""
    line = lines[at] or ""
    plain = line.split(separator)
    if '"' not in line:
        return plain, 1
    record = _parse(_following(lines, at), separator)
    if record and len(record[0]) == width:
        rest = lines[at + 1 : at + record[1]]
        if not rest or len(plain) != width or any(len((one or "").split(separator)) != width for one in rest):
            return record
    return plain, 1


def _following(lines: Sequence[str | None], at: int) -> Iterator[str]:
    """The lines that a record may have, up to one that is not in the file's encoding."""
    return (f"{each}\n" for each in takewhile(lambda each: each is not None, islice(lines, at, at + _MOST_LINES)))


def _parse(lines: Iterable[str], separator: str) -> tuple[list[str], int] | None:
    """The first record as RFC 4180 writes it, and the number of its lines; `None` where there is none."""
    reader = csv.reader(lines, delimiter=separator, strict=True)
    try:
        return next(reader), reader.line_num
    except (csv.Error, StopIteration):
        return None


def _decoded_lines(path: Path, data: bytes) -> list[str | None]:
    """The lines of a text file; `None` for those that are not in its encoding."""
    binary = b"\0" in data[:1000] and not data.startswith(_WIDE)
    if binary or data.lstrip(b"\xef\xbb\xbf \r\n\t").startswith(_NO_TABLES):
        raise CatalogueError(
            f"{path}: is neither CSV nor a spreadsheet (it begins with {data[:20]!r}). Save the table as CSV UTF-8."
        )
    if not data.strip():
        return []
    encoding = encoding_of(path, data)
    if encoding == "utf-16":  # a byte of its own is no line feed there
        data, encoding = data.decode(encoding, errors="replace").encode(), "utf-8"
    end = _HEADER_END.match(data.lstrip())
    if end and end[1] == b"\r":
        return [_decoded(line, encoding) for line in data.split(b"\r")]
    return [_decoded(line.removesuffix(b"\r"), encoding) for line in data.split(b"\n")]


def _decoded(line: bytes, encoding: str) -> str | None:
    try:
        return line.decode(encoding)
    except UnicodeDecodeError:
        return None
