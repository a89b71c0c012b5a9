"""The report of a stage's detector, without a classifier: one HTML file that opens offline."""

import logging
from pathlib import Path
from typing import Any

from pillsnap.files import write_text
from pillsnap.report.contents import DETECTOR_SECTIONS
from pillsnap.report.detector_inputs import read_detector_inputs
from pillsnap.report.detector_page import render_detector_report

log = logging.getLogger(__name__)


def write_detector_report(
    *,
    stage: str,
    plan_summary: Path,
    manifest_summary: Path,
    quarantine: Path,
    label_audit: Path,
    detector_history: Path,
    detector_events: Path,
    detector_resources: Path,
    detector_record: Path,
    evaluation: Path,
    durations: Path,
    detector_report: Path,
    config: dict[str, Any],
    targets: dict[str, float | None],
    sources: dict[str, str],
) -> None:
    """Write what was measured of data and detector, and where it comes from.

    Args:
        stage: its name.
        plan_summary: of `plan_stage`.
        manifest_summary, quarantine: of `build_manifest`.
        label_audit: folder of `audit_labels`.
        detector_history, detector_events, detector_resources, detector_record: of `train_detector`.
        evaluation: folder of `evaluate_detector`.
        durations: folder of Snakemake's benchmark files; may be missing.
        detector_report: written, HTML.
        config: the whole resolved configuration, JSON values.
        targets: of the stage; `None` where there is no target.
        sources: kind of each source, of `pillsnap.sources.registry`, by its name.
    """
    inputs = read_detector_inputs(
        stage=stage,
        sources=sources,
        config=config,
        targets=targets,
        json_files={
            "plan": plan_summary,
            "manifest": manifest_summary,
            "detector_events": detector_events,
            "detector_resources": detector_resources,
            "detector_record": detector_record,
        },
        history=detector_history,
        quarantine=quarantine,
        label_audit=label_audit,
        evaluation=evaluation,
        durations=durations,
    )
    page = render_detector_report(inputs, [fill(inputs) for fill in DETECTOR_SECTIONS])
    write_text(detector_report, page)
    log.info("%s: %d bytes", detector_report, detector_report.stat().st_size)
