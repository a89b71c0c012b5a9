"""Records of a table, and the error of one that cannot be used."""

from dataclasses import dataclass

UNDECODABLE, CELLS = "undecodable", "cells"


class CatalogueError(ValueError):
    """A table, a catalogue or a reading that cannot be used; the message says why, and names the cure."""


@dataclass(frozen=True)
class Record:
    """A record of a table: its first line's number, its cells, and why it cannot be used; empty where it can."""

    line: int
    cells: tuple[str, ...]
    problem: str = ""
