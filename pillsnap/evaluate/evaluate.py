"""Evaluate exported models on a folder of labelled photographs: figures as JSON, and one HTML page."""

from pathlib import Path
from typing import Any

from pillsnap.answers.answer import Mode
from pillsnap.evaluate.figures import figures
from pillsnap.evaluate.labelled_folder import index_folder, measure_folder
from pillsnap.evaluate.measured import MIN_IOU
from pillsnap.evaluate.page import render_evaluation
from pillsnap.evaluate.pictures import Drawn, draw_worst
from pillsnap.files import replacing_folder, sha256_of, write_json, write_text
from pillsnap.predict.sessions import ModelError
from pillsnap.predict.unfused import SeparateSteps


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


def load_steps(models: Path, device: str) -> SeparateSteps:
    """Load detector and classifier with one thread each; raises as `SeparateSteps.load`."""
    if models.is_file():
        raise ModelError(f"{models}: is a file. Name the folder that export_onnx wrote (results/stage4/onnx).")
    return SeparateSteps.load(models, threads=1, device=device)


def model_facts(models: Path, steps: SeparateSteps) -> dict[str, Any]:
    """Describe the models, JSON values."""
    facts = steps.detector_facts
    return {
        "stage": facts["stage"],
        "commit": facts["commit"]["hash"],
        "drugs": len(steps.classes),
        "image_size": facts["image_size"],
        "sha256": {name: sha256_of(models / name) for name in ("detector.onnx", "classifier.onnx")},
        "device": steps.device,
    }


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
        data, kind, classes, mode, threads: of `evaluate`.
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
        "mode": mode,
        "min_score": steps.detector_facts["min_score_single" if mode == "single" else "min_score"],
        "min_iou": MIN_IOU,
        "accounts": measured.accounts(),
        **figures(measured.photos, steps.calibration, mode),
        "worst": [one.facts() for one in drawn],
    }, drawn
