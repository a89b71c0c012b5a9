"""Evaluate exported models on a folder of labelled photographs: figures as JSON, and one HTML page."""

from pathlib import Path
from typing import Any

from pillsnap.answers.answer import Mode
from pillsnap.evaluate.evaluate_folder import evaluate_folder
from pillsnap.evaluate.models import load_steps, model_facts
from pillsnap.evaluate.page import render_evaluation
from pillsnap.files import replacing_folder, write_json, write_text


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
        OutError: `out` is there, and is no evaluation.
        ModelError: the models cannot be used.
        HardwareError: `cuda` was requested and does not work.
        SourceError: the folder is of no kind that is known, or nothing in it can be measured.
    """
    _check_out(out)
    steps = load_steps(models, device)
    found, drawn = evaluate_folder(data, steps, kind=kind, classes=classes, mode=mode, threads=threads)
    found = {"model": model_facts(models, steps)} | found
    with replacing_folder(out) as folder:
        write_json(folder / "evaluation.json", found)
        write_text(folder / "evaluation.html", render_evaluation(found, drawn))
    return found


def _check_out(out: Path) -> None:
    """Raise `OutError` where the folder holds something else than an evaluation, which would be lost."""
    if out.exists() and not (out.is_dir() and (not any(out.iterdir()) or (out / "evaluation.json").is_file())):
        raise OutError(f"--out {out}: is there, and holds no evaluation that could be replaced. Name another folder.")
