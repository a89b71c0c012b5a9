"""Read tables as they are downloaded: spreadsheets, and text in any usual encoding, with quotes that match or not."""

import csv
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice, takewhile
from pathlib import Path

from pillsnap.catalogue.records import CELLS, UNDECODABLE, CatalogueError, Record
from pillsnap.catalogue.spreadsheet import is_spreadsheet, read_rows

_MOST_LINES = 50
"""Lines that a record with line breaks in its cells may have."""
_MARKS = ((b"\xef\xbb\xbf", "utf-8"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"))
_WIDE = (b"\xff\xfe", b"\xfe\xff")
"""First bytes of UTF-16, whose text has zeros."""
_NO_TABLES = (b"<", b"{", b"[", b"%PDF")
_SEPARATORS = (",", "\t", ";")


def read_records(path: Path) -> Iterator[Record]:
    """Read the records of a table, the header first; lines without any content are none.

    Korea's open data have quotes in their cells that no other quote matches. A line whose cells are as many as the
    header's is therefore a record, whatever its quotes; only another one may go on in the following lines.

    Raises:
        CatalogueError: the file is no table of text and no spreadsheet, or is empty.
        OSError: it cannot be read.
    """
    data = path.read_bytes()
    if is_spreadsheet(data):
        yield from read_rows(path, data)
        return
    lines = _decoded_lines(path, data)
    start = next((number for number, line in enumerate(lines) if line and line.strip()), None)
    if start is None:
        raise CatalogueError(f"{path}: the file is empty. Download it again.")
    header = lines[start] or ""
    separator = max(_SEPARATORS, key=header.count)
    parsed = _parse([header], separator)
    cells = parsed[0] if parsed else header.split(separator)
    yield Record(start + 1, tuple(cells))
    yield from _records(lines, start + 1, separator, len(cells))


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
    alone = _parse([line], separator)
    if alone and len(alone[0]) == width:
        return alone
    if len(plain) == width:
        return plain, 1
    following = (f"{each}\n" for each in takewhile(lambda each: each is not None, islice(lines, at, at + _MOST_LINES)))
    record = _parse(following, separator)
    return record if record and len(record[0]) == width else (plain, 1)


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
    encoding = _encoding(data)
    if encoding == "utf-16":  # a byte of its own is no line feed there
        return list(data.decode(encoding, errors="replace").replace("\r\n", "\n").split("\n"))
    lines = data.removeprefix(b"\xef\xbb\xbf").split(b"\n")
    return [_decoded(line.removesuffix(b"\r"), encoding) for line in lines]


def _decoded(line: bytes, encoding: str) -> str | None:
    try:
        return line.decode(encoding)
    except UnicodeDecodeError:
        return None


def _encoding(data: bytes) -> str:
    """The encoding of a text: that of its mark, else the first that all of it is in, else that of its first line."""
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            return encoding
    for encoding in ("utf-8", "cp949"):
        if _decoded(data, encoding) is not None:
            return encoding
    header = data.lstrip().split(b"\n", 1)[0]
    if header.isascii():
        return "cp1252"
    return "utf-8" if _decoded(header, "utf-8") is not None else "cp949"
