"""Pack a trained reader into the small file that comes with the project."""

from pathlib import Path
from typing import Any

from pillsnap.pretraining.describe_weights import describe_weights
from pillsnap.reader.model import load_reader, save_reader
from pillsnap.reader.settings import ReaderRecipe
from pillsnap.reader.train_reader import FIGURES
from pillsnap.training.history import read_history


def pack_pill_reader(
    *, weights: Path, history: Path, packed: Path, description: Path, settings: dict[str, Any]
) -> None:
    """Write weights in FP16, half as large, and say beside them where they come from.

    Args:
        weights: of `train_reader`, safetensors, FP32.
        history: of `train_reader`, CSV.
        packed: written: safetensors, FP16, as `save_reader` has them.
        description: written, JSON, by `describe_weights`, with the last epoch's accuracies on validation crops.
        settings: those that the training was made with.
    """
    reader = load_reader(weights)
    save_reader(packed, reader, ReaderRecipe(**settings["reader"]).network, half=True)
    last = read_history(history)[-1]
    describe_weights(
        description,
        packed,
        trained_on="crops of drawn pills alone; no photograph",
        settings=settings,
        validation_on_drawn_crops={name: last[name] for name in ("epoch", *FIGURES)},
    )
