"""The SQLite file of a catalogue: drugs with their looks, and what could not be read of the tables they come from."""

import json
import sqlite3
from collections.abc import Iterable, Mapping
from dataclasses import astuple, fields
from pathlib import Path
from typing import Any

from pillsnap.catalogue.drug import Drug
from pillsnap.catalogue.records import CatalogueError

_APPLICATION = 0x50696C6C  # `Pill`: what SQLite files of this kind carry in their header
_VERSION = 1
_FIELDS = [field.name for field in fields(Drug)]
_SCHEMA = f"""
PRAGMA application_id = {_APPLICATION};
PRAGMA user_version = {_VERSION};
CREATE TABLE source (id INTEGER PRIMARY KEY, file TEXT, sha256 TEXT, rows INTEGER, kept INTEGER, quarantined INTEGER);
CREATE TABLE drug (id INTEGER PRIMARY KEY, source INTEGER REFERENCES source, line INTEGER, {", ".join(_FIELDS)});
CREATE TABLE imprint (text TEXT, drug INTEGER REFERENCES drug, whole INTEGER, PRIMARY KEY (text, drug)) WITHOUT ROWID;
CREATE TABLE quarantine (source INTEGER REFERENCES source, line INTEGER, reason TEXT, cells TEXT);
CREATE TABLE unread (source INTEGER REFERENCES source, line INTEGER, field TEXT, words TEXT);
"""


def create_catalogue(path: Path) -> sqlite3.Connection:
    """Create an empty catalogue, to write it; a power cut may leave a damaged file, so give it another name first."""
    database = sqlite3.connect(path)
    database.executescript(f"PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; {_SCHEMA}")
    return database


def open_catalogue(path: Path) -> sqlite3.Connection:
    """Open a catalogue to read it; raises `CatalogueError` where there is none, or it cannot be read."""
    cure = "Make one: pillsnap catalogue import FILE --out catalogue.sqlite."
    if not path.is_file():
        problem = "is a folder, and no catalogue" if path.is_dir() else "there is no such file"
        raise CatalogueError(f"{path}: {problem}. {cure}")
    try:
        path.open("rb").close()  # SQLite does not say why it cannot
    except OSError as error:
        raise CatalogueError(f"{path}: cannot be read ({error.strerror}). Check who may read it.") from error
    database = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)
    try:
        (kind,) = database.execute("PRAGMA application_id").fetchone()
        (version,) = database.execute("PRAGMA user_version").fetchone()
    except sqlite3.DatabaseError:
        kind = version = None
    if (kind, version) == (_APPLICATION, _VERSION):
        return database
    database.close()
    what = "no catalogue" if kind != _APPLICATION else f"a catalogue of version {version}, not {_VERSION}"
    raise CatalogueError(f"{path}: is {what}. {cure}")


def read_drugs(database: sqlite3.Connection) -> list[Drug]:
    """Read all drugs, in the order of the tables."""
    rows = database.execute(f"SELECT {', '.join(_FIELDS)} FROM drug ORDER BY id")  # noqa: S608 (names of fields)
    return [_drug(dict(zip(_FIELDS, row, strict=True))) for row in rows]


def _drug(cells: dict[str, Any]) -> Drug:
    lists = {what: tuple(json.loads(cells[what])) for what in ("edi_codes", "colours")}
    return Drug(**cells | lists)


def read_imprints(database: sqlite3.Connection) -> list[tuple[str, int, bool]]:
    """Read texts that may be read of imprints, sorted: text, place in `read_drugs`, whether it is whole."""
    rows = database.execute("SELECT text, drug, whole FROM imprint ORDER BY text, drug")
    return [(text, drug - 1, bool(whole)) for text, drug, whole in rows]


def read_tables(database: sqlite3.Connection) -> list[str]:
    """Read the name of the table that each of `read_drugs` comes from."""
    rows = database.execute("SELECT file FROM drug JOIN source ON source.id = drug.source ORDER BY drug.id")
    return [file for (file,) in rows]


def write_drug(
    database: sqlite3.Connection, drug: Drug, imprints: Mapping[str, bool], *, source: int, line: int
) -> None:
    """Write a drug of a table, and the texts that may be read of its imprint, each with whether it is the whole one."""
    cells = [json.dumps(cell, ensure_ascii=False) if isinstance(cell, tuple) else cell for cell in astuple(drug)]
    marks = ", ".join("?" * len(cells))
    found = database.execute(f"INSERT INTO drug VALUES (NULL, ?, ?, {marks})", (source, line, *cells))  # noqa: S608
    rows: Iterable[tuple[str, int | None, bool]] = ((text, found.lastrowid, whole) for text, whole in imprints.items())
    database.executemany("INSERT INTO imprint VALUES (?, ?, ?)", rows)
