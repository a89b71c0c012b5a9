"""Compare two runs of a stage: which of data, configuration, code, environment or seed differ, and which results."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pillsnap.reproduce.records import (
    Record,
    RecordError,
    commit_files,
    git_file,
    parse_json,
    read_records,
    records_of_commit,
)
from pillsnap.workflow.git import GitError, ask_git
from pillsnap.workflow.rules import RULES

CAUSES = ("data", "config", "code", "environment", "seed")
WORKSPACE = "workspace"
"""Name of the working folder, in place of a commit."""


@dataclass(frozen=True)
class Run:
    """Records and figures of one run of a stage."""

    records: Mapping[str, Record]
    metrics: Mapping[str, Any]
    pins: dict[str, str]
    """Versions by package, of the lock file."""
    workflow: dict[str, str]
    """Git's hashes of `Snakefile` and of the files with the rules, which no record names."""


@dataclass(frozen=True)
class Difference:
    """One difference, and the rules that it concerns."""

    what: str
    before: str
    after: str
    rules: tuple[str, ...] = ()


@dataclass
class Comparison:
    """Differences of two runs."""

    causes: dict[str, list[Difference]] = field(default_factory=lambda: {cause: [] for cause in CAUSES})
    outputs: list[str] = field(default_factory=list)
    """Rules, in the order of the pipeline, whose outputs differ."""
    metrics: list[tuple[str, Any, Any]] = field(default_factory=list)
    """Figures of `metrics.json` that differ, by dotted name."""


def run_of(commit: str, stage: str) -> Run:
    """Read a stage as a commit recorded it, or as it is in the `workspace`.

    Raises:
        RecordError: it is not recorded, or not available.
    """
    metrics = f"results/{stage}/metrics.json"
    if commit == WORKSPACE:
        records = read_records(Path("results"), stage)
        found = parse_json(Path(metrics).read_bytes(), metrics) if Path(metrics).is_file() else {}
        pins = Path("requirements.lock").read_text(encoding="utf-8", errors="replace")
    else:
        records = records_of_commit(commit, stage)
        found = parse_json(commit_files(commit, metrics)[metrics], f"{metrics} of {commit}")
        pins = git_file(commit, "requirements.lock")
    locked = dict(re.findall(r"^([\w.-]+)==([^\s;\\]+)", pins, re.MULTILINE))
    return Run({record.name: record for record in records}, found, locked, _workflow_of(commit))


def _workflow_of(commit: str) -> dict[str, str]:
    """Hash the files of the workflow as git does, by path; raises `RecordError` where git does not answer."""
    files = [path.as_posix() for path in (Path("Snakefile"), *sorted(Path("rules").glob("*.smk"))) if path.is_file()]
    try:
        if commit == WORKSPACE:
            return dict(zip(files, ask_git("hash-object", "--", *files).split(), strict=True)) if files else {}
        listed = ask_git("ls-tree", "-r", "-z", commit, "--", "Snakefile", "rules").split("\0")
    except GitError as error:
        raise RecordError(str(error)) from None
    found = dict(line.split("\t", 1)[::-1] for line in listed if line)
    return {path: facts.split()[-1] for path, facts in found.items() if path == "Snakefile" or path.endswith(".smk")}


def compare(before: Run, after: Run) -> Comparison:
    """Compare the inputs of two runs by cause, and their results."""
    found = Comparison()
    both = [name for name in _in_order(before.records) if name in after.records]
    pairs = [(before.records[name], after.records[name]) for name in both]
    found.causes["data"] = [*_jobs(before, after), *_raw(before, after, pairs)]
    found.causes["config"] = _settings(pairs)
    found.causes["code"] = [*_by_key(pairs, lambda record: record.code, short=True), *_workflow(before, after)]
    found.causes["environment"] = _environment(before, after, pairs)
    seeds = {(str(a.seed), str(b.seed)) for a, b in pairs if a.seed != b.seed}
    found.causes["seed"] = [Difference("seed", old, new) for old, new in sorted(seeds)]
    found.outputs = list(dict.fromkeys(a.rule for a, b in pairs if a.outputs != b.outputs))
    old, new = dict(_flat(before.metrics)), dict(_flat(after.metrics))
    found.metrics = [(key, old.get(key), new.get(key)) for key in old | new if old.get(key) != new.get(key)]
    return found


def _in_order(records: Mapping[str, Record]) -> list[str]:
    """Sort names of jobs by the order of the pipeline."""
    place = {rule: number for number, rule in enumerate(RULES)}
    return sorted(records, key=lambda name: (place.get(records[name].rule, len(place)), name))


def _jobs(before: Run, after: Run) -> Iterator[Difference]:
    for name in _in_order(dict(before.records) | dict(after.records)):
        if name not in after.records:
            yield Difference(name, "present", "missing")
        elif name not in before.records:
            yield Difference(name, "missing", "present")


def _raw(before: Run, after: Run, pairs: list[tuple[Record, Record]]) -> list[Difference]:
    """Compare inputs that no job made."""
    made = {path for run in (before, after) for record in run.records.values() for path in record.outputs}

    def raw(record: Record) -> dict[str, str]:
        return {path: digest for path, digest in record.inputs.items() if path not in made}

    return _by_key(pairs, raw, short=True)


def _workflow(before: Run, after: Run) -> Iterator[Difference]:
    old, new = before.workflow, after.workflow
    for path in sorted({*old, *new}):
        if old.get(path) != new.get(path):
            yield Difference(path, old.get(path, "none")[:12], new.get(path, "none")[:12])


def _settings(pairs: list[tuple[Record, Record]]) -> list[Difference]:
    """Compare settings; each change is listed once, by its name in the whole configuration, which the report has. A
    rule knows the last part of the name alone: where two settings of one such part changed alike, it is listed with
    both."""
    changes: dict[tuple[str, str, str], dict[str, list[str]]] = {}
    for old, new in sorted(pairs, key=lambda pair: pair[0].rule != "write_report"):
        a, b = dict(_flat(old.settings)), dict(_flat(new.settings))
        for key in a | b:
            if not key.endswith("seed") and a.get(key) != b.get(key):
                named = changes.setdefault((key.rpartition(".")[2], _text(a.get(key)), _text(b.get(key))), {})
                name = key.removeprefix("config.").removeprefix("settings.")
                if not named or (old.rule == "write_report" and key.startswith("config.")):
                    named[name] = []
                for rules in [named[name]] if name in named else named.values():
                    rules.extend([old.rule] if old.rule not in rules else [])
    return [
        Difference(name, *change[1:], tuple(sorted(rules, key=lambda rule: rule == "write_report")))
        for change, named in changes.items()
        for name, rules in named.items()
    ]


def _environment(before: Run, after: Run, pairs: list[tuple[Record, Record]]) -> list[Difference]:
    pins = [
        Difference(f"{name} (requirements.lock)", before.pins.get(name, "none"), after.pins.get(name, "none"))
        for name in sorted(before.pins | after.pins)
        if before.pins.get(name) != after.pins.get(name)
    ]
    devices = _by_key(pairs, lambda record: {"device": record.device})
    return [*devices, *_by_key(pairs, lambda record: record.versions), *pins]


def _by_key(pairs: list[tuple[Record, Record]], part: Any, *, short: bool = False) -> list[Difference]:
    """Compare a part of the records, by key and change, with the rules that each difference concerns."""
    changes: dict[tuple[str, str, str], list[str]] = {}
    for old, new in pairs:
        a, b = part(old), part(new)
        for key in a | b:
            if a.get(key) != b.get(key):
                values = [str(side.get(key, "none")) for side in (a, b)]
                values = [value.rpartition(":")[2][:12] for value in values] if short else values
                rules = changes.setdefault((key, *values), [])
                rules.extend([old.rule] if old.rule not in rules else [])
    return [Difference(*change, tuple(rules)) for change, rules in changes.items()]


def _flat(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the leaves of nested mappings by dotted name; lists are leaves."""
    if isinstance(value, Mapping) and value:
        for key, part in value.items():
            yield from _flat(part, f"{name}.{key}" if name else str(key))
    else:
        yield name, value


def _text(value: Any) -> str:
    return "none" if value is None else json.dumps(value, ensure_ascii=False)
