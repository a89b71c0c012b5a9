"""Files that the report of a detector alone is made from, read once."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pillsnap.files import read_json, sha256_of
from pillsnap.report.inputs import DetectorFacts, read_contents, read_data_and_audit
from pillsnap.report.rule_times import rule_times


@dataclass(frozen=True, kw_only=True)
class DetectorInputs(DetectorFacts):
    """A stage's facts without a classifier: `evaluation` of the detector, and its folder with pictures."""

    evaluation: dict[str, Any]
    evaluation_folder: Path


def read_detector_inputs(
    *,
    stage: str,
    sources: dict[str, str],
    config: dict[str, Any],
    targets: dict[str, float | None],
    json_files: dict[str, Path],
    history: Path,
    quarantine: Path,
    label_audit: Path,
    evaluation: Path,
    durations: Path,
) -> DetectorInputs:
    """Read what the report of a detector alone tells.

    Args:
        stage, sources, config, targets: passed on.
        json_files: by the names of `DetectorInputs`.
        history: of `train_detector`.
        quarantine: CSV of `build_manifest`.
        label_audit: folder of `audit_labels`.
        evaluation: folder of `evaluate_detector`.
        durations: folder of Snakemake's benchmark files.
    """
    histories = {"detector_history": history}
    files = {**json_files, **histories, "quarantine": quarantine, "label_audit": label_audit, "evaluation": evaluation}
    measured = read_json(evaluation / "evaluation.json")
    return DetectorInputs(
        stage=stage,
        sources=sources,
        config=config,
        targets=targets,
        **read_contents(json_files, histories),
        **read_data_and_audit(quarantine, label_audit),
        evaluation=measured,
        evaluation_folder=evaluation,
        resources=measured["resources"],
        times=rule_times(durations, stage),
        hashes={name: sha256_of(path) for name, path in files.items()},
    )
