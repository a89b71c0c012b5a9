"""Memory and disk of a configuration's models, by the sizes that are measured by name."""

from pathlib import Path

from pillsnap.config.config import Config
from pillsnap.config.training import Classifier, Detector
from pillsnap.training.model_sizes import LARGEST, batch_bytes, size_of

EXPORTED_BYTES = 21
"""Bytes a parameter of the exported models: weights in FP32 (4), the detector's in FP16 for ultralytics (2), and ONNX
graphs in FP32, FP16 and INT8 (4, 2 and 1), each once alone and once in the fused graph; rounded up."""
READER_SHARES = 7
"""The reader in ONNX as a multiple of its file, which is in FP16: two graphs in FP32, FP16 and INT8."""
CHECKPOINT_BYTES = 21
"""Bytes a parameter of a saved training: weights, moving average, best weights and AdamW's two moments, FP32."""


def training_bytes(config: Config, part: str) -> int:
    """Estimate a training's device memory in bytes with the recipe's batch (`batch_bytes`)."""
    recipe: Classifier | Detector = getattr(config, part)
    return batch_bytes(recipe, recipe.global_batch_size)


def model_bytes(config: Config) -> int:
    """Estimate the disk space of the exported models in bytes: both, and the reader in their graphs."""
    readers = sum(Path(file).stat().st_size for file in config.reader.starting_files if Path(file).is_file())
    trained = sum(size_of(getattr(config, part)).parameters for part in LARGEST)
    return trained * EXPORTED_BYTES + readers * READER_SHARES


def state_bytes(config: Config, part: str) -> int:
    """Estimate the disk space of a training's state in bytes: kept checkpoints, the last one, one being written, and of
    the classifier one within an epoch and the best weights."""
    recipe = getattr(config, part)
    parameters = size_of(recipe).parameters
    kept = min(recipe.keep_checkpoints, recipe.epochs // recipe.checkpoint_every)
    states, weights = (kept + 3, 4) if part == "classifier" else (kept + 2, 0)
    return parameters * (states * CHECKPOINT_BYTES + weights)
