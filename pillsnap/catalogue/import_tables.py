"""Import tables of drugs into a catalogue: every row is kept, or quarantined with a reason."""

import sqlite3
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from pillsnap.catalogue.drug import NO_LOOKS, NO_NAME, Layout, Row
from pillsnap.catalogue.records import CELLS, UNDECODABLE, CatalogueError, Record
from pillsnap.catalogue.store import create_catalogue, open_catalogue, write_drug
from pillsnap.catalogue.table_file import read_records
from pillsnap.files import replacing, sha256_of

_DUPLICATED = "duplicated"
REASONS = {
    UNDECODABLE: "The line is not in the encoding of the file.",
    CELLS: "The line has more or fewer cells than the first one.",
    NO_NAME: "The drug has no name.",
    NO_LOOKS: "Neither imprint, shape nor colour is told, so that no search can find it.",
    _DUPLICATED: "An earlier row of the table says the same.",
}
"""Reasons for which a row is quarantined."""

_MOST_TEXT = 300


@dataclass
class Imported:
    """What became of a table's rows: rows = kept + quarantined.

    Attributes:
        file: the table's name.
        used, left_out: names of its columns that are read, and of the others.
        rows, kept: numbers of rows.
        quarantined: numbers of refused rows by reason.
        unread: numbers of cells that were not understood, and count as empty, by what they should tell.
        examples: the first line of each reason, and of each kind of unread cells.
    """

    file: str
    used: Sequence[str]
    left_out: Sequence[str]
    rows: int = 0
    kept: int = 0
    quarantined: Counter[str] = field(default_factory=Counter)
    unread: Counter[str] = field(default_factory=Counter)
    examples: dict[str, str] = field(default_factory=dict)


def import_tables(paths: Sequence[Path], out: Path) -> list[Imported]:
    """Write a catalogue of the drugs in these tables; the same tables give the same catalogue.

    Args:
        paths: CSV files or spreadsheets: `drugs.csv` of a stage, Korea's open data of identification marks, or a table
            with imprint, colour, shape and size (RxImage, Pillbox).
        out: the SQLite file; an older catalogue there is replaced once the new one is complete.

    Raises:
        CatalogueError: a file is no such table, no row can be read, or `out` is a file of another kind.
        OSError: a file cannot be read or written.
    """
    _check_place(out)
    with replacing(out) as temporary, closing(create_catalogue(temporary)) as database:
        imported = [_import_table(database, number, path) for number, path in enumerate(paths, start=1)]
        database.commit()
        if not any(each.kept for each in imported):
            told = "; ".join(f"{each.file}: {dict(each.quarantined) or 'no rows'}" for each in imported)
            raise CatalogueError(f"{out}: is not written, since no row can be read ({told}).")
        _check_place(out)  # again: large tables take a while
    return imported


def _check_place(out: Path) -> None:
    """Check that there is nothing but a catalogue; raises `CatalogueError`."""
    if out.exists():
        try:
            open_catalogue(out).close()
        except CatalogueError as error:
            raise CatalogueError(f"{error} {out} exists, and was kept: name another file with --out.") from error


def _import_table(database: sqlite3.Connection, source: int, path: Path) -> Imported:
    header, *records = read_records(path)
    layout = Layout(header.cells, path)
    dashes_empty = layout.dashes_are_empty(record.cells for record in records if not record.problem)
    imported = Imported(path.name, layout.used, layout.left_out, rows=len(records))
    seen: set[tuple[object, ...]] = set()
    for record in records:
        row = layout.read(record.cells, dashes_empty=dashes_empty) if not record.problem else Row(record.problem)
        for what, words in row.unread:
            imported.unread[what] += 1
            imported.examples.setdefault(what, f"line {record.line}: {words[:40]}")
            database.execute("INSERT INTO unread VALUES (?, ?, ?, ?)", (source, record.line, what, words[:_MOST_TEXT]))
        said = (row.drug, *row.imprints)
        if problem := row.problem or (_DUPLICATED if said in seen else ""):
            _quarantine(database, imported, record, problem, source)
        elif row.drug:
            seen.add(said)
            imported.kept += 1
            write_drug(database, row.drug, row.imprints, source=source, line=record.line)
    database.execute(
        "INSERT INTO source VALUES (?, ?, ?, ?, ?, ?)",
        (source, path.name, sha256_of(path), imported.rows, imported.kept, imported.quarantined.total()),
    )
    return imported


def _quarantine(database: sqlite3.Connection, imported: Imported, record: Record, reason: str, source: int) -> None:
    text = " | ".join(record.cells)[:_MOST_TEXT]
    imported.quarantined[reason] += 1
    imported.examples.setdefault(reason, f"line {record.line}: {text[:60]}")
    database.execute("INSERT INTO quarantine VALUES (?, ?, ?, ?)", (source, record.line, reason, text))
