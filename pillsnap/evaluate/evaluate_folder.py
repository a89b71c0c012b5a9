"""Figures and pictures of a folder of labelled photographs."""

from pathlib import Path
from typing import Any

from pillsnap.answers.answer import Mode
from pillsnap.evaluate.figures import figures
from pillsnap.evaluate.labelled_folder import index_folder, measure_folder
from pillsnap.evaluate.models import thresholds
from pillsnap.evaluate.pictures import Drawn, draw_worst
from pillsnap.predict.unfused import SeparateSteps


def evaluate_folder(
    data: Path,
    steps: SeparateSteps,
    *,
    kind: str | None = None,
    classes: Path | None = None,
    mode: Mode = "combo",
    threads: int,
) -> tuple[dict[str, Any], list[Drawn]]:
    """Measure a folder; returns its figures, JSON values, and the photographs on which most goes wrong.

    Args:
        data, kind, classes, mode, threads: of `pillsnap.evaluate.evaluate.evaluate`.
        steps: the models, loaded with one thread each.

    Raises:
        SourceError: the folder is of no kind that is known, or nothing in it can be measured.
    """
    labelled = index_folder(data, kind=kind, classes=classes)
    measured = measure_folder(labelled, steps, mode=mode, threads=threads)
    drawn = draw_worst(measured.photos, measured.picture)
    name = data.resolve().stem if data.is_file() else data.resolve().name
    return {
        "data": {"name": name, "kind": labelled.kind},
        **thresholds(steps, mode),
        "accounts": measured.accounts(),
        **figures(measured.photos, steps.calibration, mode),
        "worst": [one.facts() for one in drawn],
    }, drawn
