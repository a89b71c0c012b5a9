"""The model card of a stage: what its models are, what they reached and where they fail, as Markdown."""

import logging
from pathlib import Path
from typing import Any

from pillsnap.files import write_text
from pillsnap.pages.markdown import card_markdown
from pillsnap.report.card import card_sections, card_title
from pillsnap.report.inputs import read_measured

log = logging.getLogger(__name__)


def write_model_card(
    *,
    stage: str,
    metrics: Path,
    accuracy: Path,
    latency: Path,
    resources: Path,
    calibration: Path,
    parity: Path,
    manifest_summary: Path,
    drugs: Path,
    model_card: Path,
    config: dict[str, Any],
    targets: dict[str, float | None],
    sources: dict[str, str],
) -> None:
    """Write the card out of measured files only.

    Args:
        stage: its name.
        metrics, accuracy, latency, resources: of `run_benchmark`.
        calibration: of `calibrate_answers`.
        parity: of `export_onnx`.
        manifest_summary, drugs: of `build_manifest`.
        model_card: written, Markdown.
        config: the sections `detector`, `classifier` and `answers` of the configuration, JSON values.
        targets: of the stage; `None` where there is no target.
        sources: kind of each source, of `pillsnap.sources.registry`, by its name.
    """
    measured = read_measured(
        stage=stage,
        sources=sources,
        config=config,
        targets=targets,
        json_files={
            "metrics": metrics,
            "accuracy": accuracy,
            "latency": latency,
            "resources": resources,
            "calibration": calibration,
            "parity": parity,
            "manifest": manifest_summary,
        },
        drugs=drugs,
    )
    write_text(model_card, card_markdown(card_title(measured), card_sections(measured)))
    log.info("%s: %d bytes", model_card, model_card.stat().st_size)
