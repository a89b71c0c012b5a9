"""Files that report and model card are made from, read once."""

import csv
import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from pillsnap.files import read_json, sha256_of
from pillsnap.report.rule_times import RuleTime, rule_times
from pillsnap.tables.csv_cells import unescape_formula
from pillsnap.tables.files import read_table
from pillsnap.tables.schemas import DRUGS
from pillsnap.training.history import read_history
from pillsnap.training.milestones import Model

FIRST_ROWS = 25
"""Rows of the quarantine list, and of the label audit, that the page shows."""

History = list[dict[str, float | None]]
Events = list[dict[str, Any]]


@dataclass(frozen=True, kw_only=True)
class Asked:
    """A stage, the kind of each source by its name, the configuration and the targets."""

    stage: str
    sources: dict[str, str]
    config: dict[str, Any]
    targets: dict[str, float | None]


@dataclass(frozen=True, kw_only=True)
class Measured(Asked):
    """Measured figures of a stage: the input of the model card.

    Attributes:
        metrics, accuracy, latency, resources, calibration, parity, manifest: content of the JSON files of those names.
        drugs: what the source says of each class, in class order by K-code, as `pillsnap.tables.schemas.DRUGS`.
    """

    metrics: dict[str, Any]
    accuracy: dict[str, Any]
    latency: dict[str, Any]
    resources: dict[str, Any]
    calibration: dict[str, Any]
    parity: dict[str, Any]
    manifest: dict[str, Any]
    drugs: dict[str, dict[str, Any]]


@dataclass(frozen=True, kw_only=True)
class DetectorFacts(Asked):
    """Facts of data and detector, which the report of a detector alone shares with the whole one.

    Attributes:
        plan, manifest, detector_record: content of the JSON files of those names.
        resources: machine, versions and commit of what measured the test part.
        detector_events: what steering said and did, as `pillsnap.training.steering` writes events.
        detector_resources: what the training took, as `pillsnap.training.resources` sums it up.
        detector_history: one mapping an epoch.
        quarantined: rows of the quarantine list, its first ones in `first_quarantined`.
        audit, audit_folder: counts of the label audit, and its folder.
        first_findings: first rows of its list.
        drawn_findings: the rows that a picture shows, by the picture's name in the folder.
        times: measured duration of each rule, in the order of the pipeline.
        hashes: SHA-256 of every file read, by role.
    """

    plan: dict[str, Any]
    manifest: dict[str, Any]
    resources: dict[str, Any]
    detector_record: dict[str, Any]
    detector_events: Events
    detector_resources: dict[str, Any]
    detector_history: History
    quarantined: int
    first_quarantined: list[dict[str, str]]
    audit: dict[str, Any]
    audit_folder: Path
    first_findings: list[dict[str, str]]
    drawn_findings: dict[str, list[dict[str, str]]]
    times: list[RuleTime]
    hashes: dict[str, str]

    @property
    def models(self) -> tuple[Model, ...]:
        """The trained models."""
        return ("detector",)

    @property
    def source_figures(self) -> dict[str, Any]:
        """Measured figures of each source; empty where there is one, or no classifier."""
        return {}


@dataclass(frozen=True, kw_only=True)
class Inputs(Measured, DetectorFacts):
    """A stage's measured facts, as the rules wrote them.

    Attributes:
        classes, classifier_record, crops, references: content of the JSON files of those names.
        classifier_events, classifier_resources, classifier_history: as of the detector.
        preflight: findings of `check_machine`; empty where there are none.
        examples, examples_folder: index of the pictures and the folder that it names files of.
        away, away_folder: figures of composed scenes and of sets of real photographs, likewise.
    """

    classes: list[dict[str, Any]]
    classifier_record: dict[str, Any]
    classifier_events: Events
    classifier_resources: dict[str, Any]
    crops: dict[str, Any]
    references: dict[str, Any]
    preflight: list[dict[str, str]]
    classifier_history: History
    examples: dict[str, Any]
    examples_folder: Path
    away: dict[str, Any]
    away_folder: Path

    @property
    def models(self) -> tuple[Model, ...]:
        """The trained models."""
        return ("detector", "classifier")

    @property
    def source_figures(self) -> dict[str, Any]:
        """Measured figures of each source; empty where there is one."""
        figures: dict[str, Any] = self.accuracy.get("sources", {})
        return figures


def read_measured(
    *,
    stage: str,
    sources: dict[str, str],
    config: dict[str, Any],
    targets: dict[str, float | None],
    json_files: dict[str, Path],
    drugs: Path,
) -> Measured:
    """Read what the model card tells; `json_files` by the names of `Measured`, `drugs` is CSV of `build_manifest`."""
    return Measured(
        stage=stage,
        sources=sources,
        config=config,
        targets=targets,
        **{name: read_json(path) for name, path in json_files.items()},
        drugs=_drugs_by_code(drugs),
    )


def read_inputs(
    *,
    stage: str,
    sources: dict[str, str],
    config: dict[str, Any],
    targets: dict[str, float | None],
    json_files: dict[str, Path],
    histories: dict[str, Path],
    drugs: Path,
    quarantine: Path,
    label_audit: Path,
    preflight: Path,
    examples: Path,
    away: Path,
    durations: Path,
) -> Inputs:
    """Read a stage's files.

    Args:
        stage, sources, config, targets: passed on.
        json_files: by the names of `Inputs`.
        histories: `detector_history` and `classifier_history`.
        drugs, quarantine: CSV of `build_manifest`.
        label_audit: folder of `audit_labels`.
        preflight: JSON of `check_machine`; may be missing.
        examples: folder with `index.json`.
        away: folder of `evaluate_away`.
        durations: folder of Snakemake's benchmark files.
    """
    files = {
        **json_files,
        **histories,
        "drugs": drugs,
        "quarantine": quarantine,
        "label_audit": label_audit,
        "examples": examples,
        "away": away,
    }
    return Inputs(
        stage=stage,
        sources=sources,
        config=config,
        targets=targets,
        **read_contents(json_files, histories),
        **read_data_and_audit(quarantine, label_audit),
        preflight=read_json(preflight)["findings"] if preflight.is_file() else [],
        drugs=_drugs_by_code(drugs),
        examples=read_json(examples / "index.json"),
        examples_folder=examples,
        away=read_json(away / "evaluation.json"),
        away_folder=away,
        times=rule_times(durations, stage),
        hashes={name: sha256_of(path) for name, path in files.items()},
    )


def read_contents(json_files: dict[str, Path], histories: dict[str, Path]) -> dict[str, Any]:
    """Read JSON files and histories, by their names."""
    read: dict[str, Any] = {name: read_json(path) for name, path in json_files.items()}
    return read | {name: read_history(path) for name, path in histories.items()}


def read_data_and_audit(quarantine: Path, label_audit: Path) -> dict[str, Any]:
    """Read the quarantine's list and the label audit's folder into fields of `DetectorFacts`."""
    total, first = _read_quarantine(quarantine)
    first_findings, drawn = _read_findings(label_audit / "findings.csv")
    return {
        "quarantined": total,
        "first_quarantined": first,
        "audit": read_json(label_audit / "summary.json"),
        "audit_folder": label_audit,
        "first_findings": first_findings,
        "drawn_findings": drawn,
    }


def _drugs_by_code(path: Path) -> dict[str, dict[str, Any]]:
    return read_table(path, DRUGS).set_index("k_code").to_dict("index")


def _rows(stream: TextIO) -> Iterator[dict[str, str]]:
    for row in csv.DictReader(stream):
        yield {name: unescape_formula(cell) for name, cell in row.items()}


def _read_quarantine(path: Path) -> tuple[int, list[dict[str, str]]]:
    with path.open(encoding="utf-8-sig", newline="") as stream:
        rows = _rows(stream)
        first = list(itertools.islice(rows, FIRST_ROWS))
        return len(first) + sum(1 for _ in rows), first


def _read_findings(path: Path) -> tuple[list[dict[str, str]], dict[str, list[dict[str, str]]]]:
    first: list[dict[str, str]] = []
    drawn: dict[str, list[dict[str, str]]] = {}
    with path.open(encoding="utf-8-sig", newline="") as stream:
        for number, row in enumerate(_rows(stream)):
            if number < FIRST_ROWS:
                first.append(row)
            if row["picture"]:
                drawn.setdefault(row["picture"], []).append(row)
    return first, drawn
