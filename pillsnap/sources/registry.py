"""Registry of the kinds of source.

A new kind is a module below `pillsnap/sources/` with a `KIND` (`pillsnap.sources.kind.SourceKind`), and a line in
`KINDS`: configuration, documents, rules and pages follow.
"""

import importlib
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from pillsnap.sources.archives import Archive
    from pillsnap.sources.kind import SourceKind
    from pillsnap.sources.settings import Source

KINDS = {
    "synthetic": ("synthetic.drawn", "drawn by PillSnap"),
    "aihub": ("aihub", "AIHub data set 576, zips or folders"),
    "yolo": ("yolo", "a YOLO data set"),
    "coco": ("coco", "COCO JSON"),
    "folders": ("folders.folders", "folders of one class each, without boxes"),
}
"""Module and description by the name that `source.kind` takes."""
_BESIDE = {"aihub": ("yolo",), "yolo": ("coco",)}
"""Kinds that a folder may hold besides; AIHub's millions of labels are not searched for a COCO file."""


def get_kind(name: str) -> "SourceKind":
    """Return the kind of that name. Only its own module is imported, since every start of Snakemake needs it."""
    module, _ = KINDS[name]
    return importlib.import_module(f"pillsnap.sources.{module}").KIND


def found_kinds() -> list[str]:
    """Return the kinds of which a folder can be; no rule of the pipeline draws them."""
    return [kind for kind in KINDS if not get_kind(kind).drawn]


def list_archives(source: "Source") -> "dict[str, Archive]":
    """Return the source's archives by name, sorted by their numbers.

    Raises:
        SourceError: data is not found, S3 does not give it, or the table of class names cannot be used.
    """
    from pillsnap.sources.archives import SourceError, expanded
    from pillsnap.sources.class_table import read_class_table
    from pillsnap.sources.containers.s3 import S3Error

    try:
        archives = sorted(_found(source), key=lambda archive: _natural(archive.name))
    except S3Error as error:
        raise SourceError(f"source.root = {source.root}: {error}") from error
    if not source.classes:
        return {archive.name: archive for archive in archives}
    table = expanded(source.classes)
    read_class_table(table)
    return {archive.name: replace(archive, classes=table.as_posix()) for archive in archives}


def _found(source: "Source") -> "list[Archive]":
    from pillsnap.sources.archives import SourceError
    from pillsnap.sources.containers.fingerprint import version_of

    check_place(source)
    try:
        archives = get_kind(source.kind).list_archives(source)
    except OSError as error:
        raise SourceError(f"source.root = {source.root}: {error}") from error
    return [replace(one, versions=version_of(*dict.fromkeys((one.photos, one.labels)))) for one in archives]


def check_place(source: "Source") -> None:
    """Raise `NotRecognisedError` where a source lies in S3, and is of a kind that is read from disks alone."""
    from pillsnap.sources.archives import NotRecognisedError, source_root
    from pillsnap.sources.containers.s3 import is_in_s3

    if is_in_s3(source_root(source)) and not get_kind(source.kind).in_s3:
        able = ", ".join(name for name in KINDS if get_kind(name).in_s3)
        raise NotRecognisedError(
            f"source.root = {source.root}: lies in S3, where no source of the kind {source.kind} is read, only {able}. "
            "Copy the data to a disk of this machine, and name their folder"
        )


def list_all_archives(sources: "Mapping[str, Source]") -> "dict[str, Archive]":
    """Return the archives of all sources by name; where there are several, names begin with that of their source.

    Raises:
        SourceError: the data of a source is not found, or none of it is to train on.
    """
    from pillsnap.sources.archives import SourceError

    found: dict[str, Archive] = {}
    for name, source in sources.items():
        for archive in list_archives(source).values():
            unique = archive.name if len(sources) == 1 else f"{name}-{archive.name}"
            found[unique] = replace(archive, name=unique, source=name)
    if not any(archive.part in ("", "train") for archive in found.values()):
        roots = ", ".join(source.root for source in sources.values())
        raise SourceError(
            f"source.root = {roots}: has no photographs to train on, only those of the parts "
            f"{', '.join(sorted({archive.part for archive in found.values()}))}. Fetch the part `train`, or name its "
            "folder; `pillsnap evaluate` measures a model on the others."
        )
    return found


def recognise(folder: "Path", kind: str | None = None) -> "tuple[Source, dict[str, Archive]]":
    """Find out of which kind a folder is; returns it as a source, and its archives by name.

    Args:
        folder: as a person has named it, and as errors name it.
        kind: its kind, where that is told.

    Raises:
        SourceError: there is no such folder, or it is of no kind that is known, with what each kind lacks; or something
            is missing.
    """
    from pillsnap.sources.archives import SourceError
    from pillsnap.sources.containers.s3 import is_in_s3
    from pillsnap.sources.settings import Source

    if not is_in_s3(str(folder)) and not folder.expanduser().exists():
        raise SourceError(f"{folder}: there is no folder of this name. Correct the path, or mount or fetch the data.")
    try:
        if kind is None:
            return _recognised(folder)
        source = Source(kind=kind, root=str(folder))
        return source, list_archives(source)
    except SourceError as error:  # its key is that of a configuration, of which there is none
        raise type(error)(str(error).replace("source.root = ", "")) from error.__cause__


def _recognised(folder: "Path") -> "tuple[Source, dict[str, Archive]]":
    from pillsnap.sources.archives import NotRecognisedError, SourceError
    from pillsnap.sources.containers.s3 import is_in_s3
    from pillsnap.sources.settings import Source

    lacks: list[str] = []
    incomplete: list[SourceError] = []
    for kind in found_kinds():
        source = Source(kind=kind, root=str(folder))
        try:
            archives = list_archives(source)
        except NotRecognisedError as error:
            lacks.append(f"{kind}: {str(error).removeprefix(f'source.root = {folder}: ')}")
        except SourceError as error:
            if isinstance(error.__cause__, OSError):  # no kind can be told by what cannot be read
                raise
            incomplete.append(error)
        else:
            if not incomplete or any(archive.boxes == "label" for archive in archives.values()):
                _refuse_a_second(folder, kind)
                return source, archives
            # folders of photographs alone are also what is left of a data set that lacks its labels
            raise SourceError(
                f"{incomplete[0]} Where each folder is a class, and there are no labels, write an overlay with "
                f"source.kind: {kind}; `pillsnap evaluate` takes --kind {kind}."
            )
    if incomplete:  # it is of that kind, and of no other
        raise incomplete[0]
    if not is_in_s3(str(folder)) and (there := folder.expanduser()).is_dir() and not any(there.iterdir()):
        raise NotRecognisedError(f"{folder}: is an empty folder. Correct the path, or mount or fetch the data.")
    raise NotRecognisedError("\n".join((f"{folder}: is no data set that is known.", *lacks)))


def _refuse_a_second(folder: "Path", kind: str) -> None:
    """Raise `SourceError` where a folder of one kind holds data of another besides: one would be read, without a word
    about the other."""
    from pillsnap.sources.archives import SourceError
    from pillsnap.sources.settings import Source

    for other in _BESIDE.get(kind, ()):
        try:
            list_archives(Source(kind=other, root=str(folder)))
        except SourceError:
            continue
        raise SourceError(
            f"{folder}: holds {KINDS[kind][1]} and {KINDS[other][1]}. Name the folder of one of them; or, where both "
            f"describe the same photographs, say which to read: an overlay with source.kind: {kind} or {other}; "
            "`pillsnap evaluate` takes --kind."
        )


def source_modules(*kinds: str) -> list[str]:
    """Return the kinds' modules, for `code_of`: they are imported by name, which imports do not show."""
    return sorted({f"sources/{KINDS[kind][0].replace('.', '/')}" for kind in kinds})


def _natural(name: str) -> list[tuple[int, str]]:
    """Sort key that orders numbers in names by their value; natsort would be one more dependency for this line."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", name)]
