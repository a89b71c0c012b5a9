"""Evaluate exported models on a folder of labelled photographs: figures as JSON, and one HTML page."""

import os
from pathlib import Path
from typing import Any

from pillsnap.answers.answer import Mode
from pillsnap.evaluate.evaluate_folder import evaluate_folder
from pillsnap.evaluate.models import load_steps, model_facts
from pillsnap.evaluate.page import render_evaluation
from pillsnap.files import check_writable, placing_folder, write_json, write_text

WRITTEN = {"evaluation.json", "evaluation.html"}
"""Names in the folder of an evaluation."""


class OutError(ValueError):
    """A folder that must not be replaced."""


def evaluate(
    *,
    data: Path,
    models: Path,
    out: Path,
    kind: str | None,
    classes: Path | None,
    mode: Mode,
    device: str,
    threads: int,
) -> dict[str, Any]:
    """Measure models on a folder, and write `evaluation.json` and `evaluation.html`.

    Args:
        data: labelled photographs of any kind that `pillsnap data check` recognises.
        models: folder of `export_onnx`.
        out: folder, written whole; an earlier evaluation in it is replaced.
        kind: kind of source, or `None`: it is recognised.
        classes: table of the drugs that the labels' class names stand for, or `None`.
        mode: what the photographs show.
        device: `auto`, `cpu` or `cuda`.
        threads: photographs at a time, at most the available cores; they change no result.

    Returns:
        the content of `evaluation.json`.

    Raises:
        OutError: `out` is there and holds anything else than an evaluation, or cannot be replaced.
        DiskError: nothing can be written there, or something was put there meanwhile.
        ModelError: the models cannot be used.
        HardwareError: `cuda` was requested and does not work.
        SourceError: the folder is of no kind that is known, or nothing in it can be measured.
    """
    place = _place_of(out)
    steps = load_steps(models, device)
    found, drawn = evaluate_folder(data, steps, kind=kind, classes=classes, mode=mode, threads=threads)
    found = {"model": model_facts(models, steps)} | found
    with placing_folder(place, replaced=WRITTEN) as folder:
        write_json(folder / "evaluation.json", found)
        write_text(folder / "evaluation.html", render_evaluation(found, drawn))
    return found


def _place_of(out: Path) -> Path:
    """Return the folder to write, with links followed.

    Raises:
        OutError: it is there and holds anything else than an evaluation, which would be lost, or cannot be replaced.
        DiskError: nothing can be written there.
    """
    place = Path(os.path.realpath(out))
    if os.path.lexists(place) and not (place.is_dir() and {file.name for file in place.iterdir()} in (set(), WRITTEN)):
        raise OutError(f"--out {out}: is there, and holds something else than an evaluation. Name another folder.")
    if place == Path.cwd() or place.is_mount():
        raise OutError(f"--out {out}: is the working directory or a mount point. Name a folder in it.")
    for folder in (place.parent, place):
        check_writable(folder)
    return place
