"""The report of a stage: one HTML file that opens offline, and its charts as SVG."""

import logging
from pathlib import Path
from typing import Any

from pillsnap.files import replacing_folder, write_text
from pillsnap.report.contents import SECTIONS
from pillsnap.report.inputs import read_inputs
from pillsnap.report.page import render_report

log = logging.getLogger(__name__)


def write_report(
    *,
    stage: str,
    metrics: Path,
    accuracy: Path,
    latency: Path,
    resources: Path,
    examples: Path,
    references: Path,
    away: Path,
    plan_summary: Path,
    manifest_summary: Path,
    quarantine: Path,
    label_audit: Path,
    classes: Path,
    drugs: Path,
    detector_history: Path,
    classifier_history: Path,
    detector_events: Path,
    classifier_events: Path,
    detector_resources: Path,
    classifier_resources: Path,
    detector_record: Path,
    classifier_record: Path,
    crops_summary: Path,
    calibration: Path,
    parity: Path,
    preflight: Path,
    durations: Path,
    report: Path,
    figures: Path,
    config: dict[str, Any],
    targets: dict[str, float | None],
    sources: dict[str, str],
) -> None:
    """Write what was asked, what was measured, and where it comes from.

    Args:
        stage: its name.
        metrics, accuracy, latency, resources, examples: of `run_benchmark`; `examples` is a folder.
        references: of `measure_references`.
        away: folder of `evaluate_away`.
        plan_summary: of `plan_stage`.
        manifest_summary, quarantine, classes, drugs: of `build_manifest`.
        label_audit: folder of `audit_labels`.
        detector_history, detector_events, detector_resources, detector_record: of `train_detector`.
        classifier_history, classifier_events, classifier_resources, classifier_record: of `train_classifier`.
        crops_summary: of `cut_crops`.
        calibration: of `calibrate_answers`.
        parity: of `export_onnx`.
        preflight: of `check_machine`; may be missing.
        durations: folder of Snakemake's benchmark files; may be missing.
        report: written, HTML.
        figures: folder, written whole: the report's charts as SVG.
        config: the whole resolved configuration, JSON values.
        targets: of the stage; `None` where there is no target.
        sources: kind of each source, of `pillsnap.sources.registry`, by its name.
    """
    inputs = read_inputs(
        stage=stage,
        sources=sources,
        config=config,
        targets=targets,
        json_files={
            "metrics": metrics,
            "accuracy": accuracy,
            "latency": latency,
            "resources": resources,
            "references": references,
            "plan": plan_summary,
            "manifest": manifest_summary,
            "classes": classes,
            "detector_events": detector_events,
            "classifier_events": classifier_events,
            "detector_resources": detector_resources,
            "classifier_resources": classifier_resources,
            "detector_record": detector_record,
            "classifier_record": classifier_record,
            "crops": crops_summary,
            "calibration": calibration,
            "parity": parity,
        },
        histories={"detector_history": detector_history, "classifier_history": classifier_history},
        drugs=drugs,
        quarantine=quarantine,
        label_audit=label_audit,
        preflight=preflight,
        examples=examples,
        away=away,
        durations=durations,
    )
    sections = [fill(inputs) for fill in SECTIONS]
    drawn = [figure for section in sections for figure in section.drawn]
    with replacing_folder(figures) as folder:
        for figure in drawn:
            write_text(folder / f"{figure.name}.svg", figure.standalone + "\n")
    write_text(report, render_report(inputs, sections))
    log.info("%s: %d figures, %d bytes", report, len(drawn), report.stat().st_size)
