"""The kinds of source, and the one place that lists them.

A new kind is a module below `pillsnap/sources/` with a `KIND` (`pillsnap.sources.kind.SourceKind`), and a line here.
"""

import importlib
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pillsnap.sources.archives import Archive
    from pillsnap.sources.kind import SourceKind
    from pillsnap.sources.settings import Source

KINDS = {
    "synthetic": ("synthetic.drawn", "drawn by PillSnap"),
    "aihub": ("aihub", "AIHub data set 576, zips or folders"),
    "yolo": ("yolo", "a YOLO data set"),
}
"""Module and description by the name that `source.kind` takes."""


def get_kind(name: str) -> "SourceKind":
    """The kind of that name; only its own module is loaded, since Snakemake asks each time it starts."""
    module, _ = KINDS[name]
    return importlib.import_module(f"pillsnap.sources.{module}").KIND  # type: ignore[no-any-return]


def list_archives(source: "Source") -> "dict[str, Archive]":
    """The source's archives by name, in the order of their numbers; raises `SourceError` where data is not found."""
    archives = get_kind(source.kind).list_archives(source)
    return {archive.name: archive for archive in sorted(archives, key=lambda archive: _natural(archive.name))}


def source_module(source: "Source") -> str:
    """Name of the source's module, as `code_of` takes it."""
    module, _ = KINDS[source.kind]
    return module.rpartition(".")[2]


def _natural(name: str) -> list[tuple[int, str]]:
    """Sorts names with numbers by the numbers' value."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", name)]
