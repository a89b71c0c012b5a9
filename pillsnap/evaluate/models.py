"""The models that are evaluated: loaded, and described."""

import logging
from pathlib import Path
from typing import Any

from pillsnap.answers.answer import Mode
from pillsnap.evaluate.measured import MIN_IOU
from pillsnap.files import sha256_of
from pillsnap.predict.references import read_references
from pillsnap.predict.sessions import ModelError
from pillsnap.predict.unfused import SeparateSteps

log = logging.getLogger(__name__)


def load_steps(models: Path, device: str) -> SeparateSteps:
    """Load detector and classifier with one thread each; raises as `SeparateSteps.load`."""
    if models.is_file():
        raise ModelError(f"{models}: is a file. Name the folder that export_onnx wrote (results/stage4/onnx).")
    if drugs := read_references(models).drugs:
        codes = ", ".join(drug.k_code for drug in drugs)
        log.warning("%s: drugs enrolled from photographs are left out, trained ones are measured (%s)", models, codes)
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


def thresholds(steps: SeparateSteps, mode: Mode) -> dict[str, Any]:
    """Return the mode, the score from which boxes count in it, and the IoU from which one finds a pill, JSON values."""
    name = "min_score_single" if mode == "single" else "min_score"
    return {"mode": mode, "min_score": steps.detector_facts[name], "min_iou": MIN_IOU}
