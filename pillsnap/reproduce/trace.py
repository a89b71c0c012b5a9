"""Trace a file back to the raw archives through the records of the jobs on the path."""

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from rich.markup import escape
from rich.tree import Tree

from pillsnap.reproduce.measured import is_measured
from pillsnap.reproduce.records import Record, RecordError, read_records
from pillsnap.workflow.code_inputs import ROOT
from pillsnap.workflow.provenance import identity_of

SHOWN = 3
"""Jobs of one rule, and files of one job, in a line of the tree."""


@dataclass
class Trace:
    """A file's path back: a tree to print, and mismatches on it."""

    tree: Tree
    problems: list[str] = field(default_factory=list)


@dataclass
class _Walk:
    """State while a tree is built."""

    makers: Mapping[str, Record]
    check: bool
    trace: Trace
    shown: set[str] = field(default_factory=set)


def trace(file: Path, results: Path, *, check: bool = False) -> Trace:
    """Trace a file through the records back to files that no job made.

    The file itself, with the output folder that holds it, is compared with its record; of every other one, the records
    of its reader and its maker are compared, except for measured files, such as a repeated check of the machine.

    Args:
        file: an output, or a file within an output folder.
        results: folder of results whose records are read.
        check: compare all files on the path with their records too, which reads them; of raw archives the
            directory.

    Raises:
        RecordError: no job recorded the file.
    """
    records = read_records(results)
    makers = {path: record for record in records for path in record.outputs}
    path = _output_of(file, makers)
    if path is None:
        raise RecordError(
            f"{file}: no job below {results} recorded it as an output. Trace an output of a rule, from the folder in "
            "which the run was made: records name files from there."
        )
    maker = makers[path]
    traced = Trace(Tree(f"[bold]{escape(str(file))}[/bold]"))
    walk = _Walk(makers, check, traced)
    if Path(path).exists() and not file.exists():
        traced.problems.append(f"{file} is missing")
    _compare(path, maker, walk)
    _add(traced.tree, [maker], {path}, walk)
    return traced


def _output_of(file: Path, makers: Mapping[str, Record]) -> str | None:
    """Return the recorded path of a file, or of the output folder that holds it; `None` where no record counts it."""
    here = Path(os.path.normpath(file.absolute()))  # `..` would lead out of a folder, and not to those above it
    if here.name.startswith(".snakemake"):  # what `sha256_of` leaves out of a folder
        return None
    for candidate in (here, *here.parents):
        for path in {candidate.as_posix(), _relative(candidate)}:
            if path in makers:
                return path
    return None


def _relative(path: Path) -> str:
    return path.relative_to(Path.cwd()).as_posix() if path.is_relative_to(Path.cwd()) else path.as_posix()


def _add(branch: Tree, records: list[Record], used: set[str], walk: _Walk) -> None:
    """Add a line for the jobs of one rule, and below it their inputs."""
    first, more = records[0], records[1:]
    paths = sorted(path for record in records for path in record.outputs if path in used)
    line = f"[cyan]{first.name if not more else first.rule}[/cyan]"
    line += f" ({len(records)} jobs)" if more else ""
    node = branch.add(f"{line} → {_few(paths)}  [dim]{_when(first)}[/dim]")
    if first.rule in walk.shown:
        node.label = f"{line} → {_few(paths)}  [dim]see above[/dim]"
        return
    walk.shown.add(first.rule)
    if walk.check:
        for record in records:
            for path in record.outputs:
                _compare(path, record, walk)
    read = {path: digest for record in records for path, digest in record.inputs.items()}
    makers: dict[str, list[Record]] = {}
    raw = []
    for path, digest in read.items():
        maker = walk.makers.get(path)
        if maker is None:
            raw.append(path)
            if walk.check:
                _compare_raw(path, digest, first, walk)
            continue
        if maker.outputs[path] != digest and not is_measured(re.sub(r"^.*\bstage[1-4]/", "", path)):
            walk.trace.problems.append(f"{first.rule} read another {path} than {maker.name} has recorded since")
        if maker not in makers.setdefault(maker.rule, []):
            makers[maker.rule].append(maker)
    for group in makers.values():
        _add(node, group, set(read), walk)
    if raw:
        node.add(f"[green]raw[/green] {_few(sorted(raw))}")


def _compare(path: str, record: Record, walk: _Walk) -> None:
    """Note where a file is missing, or differs from its job's record."""
    if not Path(path).exists():
        walk.trace.problems.append(f"{path} is missing")
        return
    raw = record.rule == "make_synthetic_archive" and path.endswith(".zip")
    if identity_of(path, raw=raw) != record.outputs[path]:
        walk.trace.problems.append(f"{path} has changed since {record.name} made it")


def _compare_raw(path: str, digest: str, reader: Record, walk: _Walk) -> None:
    """Note where a file that no job made is missing, or differs from what its reader recorded."""
    place = Path(path) if Path(path).exists() else ROOT / path  # what comes with the workflow is recorded from there
    if not place.exists():
        walk.trace.problems.append(f"{path} is missing")
    elif identity_of(place, raw=":" in digest) != digest:
        walk.trace.problems.append(f"{path} has changed since {reader.rule} read it")


def _few(paths: Iterable[str]) -> str:
    """Show one path, or the names of several, as rich's markup."""
    listed = list(paths)
    more = len(listed) - SHOWN
    listed = listed if len(listed) == 1 else [Path(path).name for path in listed]
    return escape(", ".join(listed[:SHOWN])) + (f" and {more} more" if more > 0 else "")


def _when(record: Record) -> str:
    commit = record.commit["hash"][:12] or "no commit"
    commit += " or earlier" if record.commit.get("shallow") else ""
    changed = " + local changes" if record.commit["dirty"] else ""
    seed = "" if record.seed is None else f", seed {record.seed}"
    return f"{commit}{changed}, {record.ended[:16].replace('T', ' ')} UTC, {record.seconds:.1f} s{seed}"
