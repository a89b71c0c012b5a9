"""Pack a trained detector into the small file that comes with the project."""

from pathlib import Path
from typing import Any

from pillsnap.detector.weights import load_detector, prepare_ultralytics, save_detector
from pillsnap.files import sha256_of
from pillsnap.pretraining.describe_weights import describe_weights
from pillsnap.training.history import read_history


def pack_pill_detector(
    *, weights: Path, start: Path | None, history: Path, packed: Path, description: Path, work: Path,
    image_size: int, settings: dict[str, Any],
) -> None:  # fmt: skip
    """Write weights in FP16, half as large, and say beside them where they come from.

    Args:
        weights: of `train_detector`, safetensors, FP32.
        start: packed weights that the training started from, if any.
        history: of `train_detector`, CSV.
        packed: written: safetensors, FP16, as `save_detector` has them.
        description: written, JSON, by `describe_weights`, with the best epoch's metrics on validation scenes.
        work: folder for the settings of ultralytics.
        image_size: side of the detector's input in pixels.
        settings: those that the training was made with.
    """
    prepare_ultralytics(work)
    model = load_detector(weights)
    save_detector(packed, model, image_size=image_size, half=True)
    rows = [row for row in read_history(history) if row["map50_95"] is not None]
    best = max(rows, key=lambda row: row["map50_95"] or 0)
    describe_weights(
        description,
        packed,
        trained_on="composed scenes of drawn pills alone; no photograph",
        settings=settings,
        starting_sha256=sha256_of(start) if start else None,
        validation_on_composed_scenes={name: best[name] for name in ("epoch", "map50", "map50_95")},
    )
