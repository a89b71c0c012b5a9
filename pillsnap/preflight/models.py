"""Memory and disk of a configuration's models, by the sizes that are measured by name."""

import contextlib
import json
from pathlib import Path

from safetensors import SafetensorError, safe_open

from pillsnap.config.config import Config
from pillsnap.config.training import Classifier, Detector
from pillsnap.training.model_sizes import LARGEST, SIZES, ModelSize, batch_bytes, classifier_size

EXPORTED_BYTES = 21
"""Bytes a parameter of the exported models: weights in FP32 (4), the detector's in FP16 for ultralytics (2), and ONNX
graphs in FP32, FP16 and INT8 (4, 2 and 1), each once alone and once in the fused graph; rounded up."""
CHECKPOINT_BYTES = 21
"""Bytes a parameter of a saved training: weights, moving average, best weights and AdamW's two moments, FP32."""


def model_size(config: Config, part: str) -> ModelSize:
    """Return the size of the `detector` or `classifier`, by its model's name."""
    if part == "classifier":
        return classifier_size(config.classifier.model)
    return SIZES.get(architecture(config.detector), LARGEST[part])


def architecture(settings: Detector) -> str:
    """Return the name of a detector's model, `yolo11n` for instance; of weights that do not say it, their file's."""
    for file in settings.starting_files:
        with contextlib.suppress(OSError, SafetensorError, KeyError), safe_open(file, framework="np") as stored:
            return Path(json.loads((stored.metadata() or {})["pillsnap"])["model"]["yaml_file"]).stem
    return Path(settings.model).stem


def training_bytes(config: Config, part: str) -> int:
    """Estimate a training's device memory in bytes with the recipe's batch (`batch_bytes`)."""
    recipe: Classifier | Detector = getattr(config, part)
    return batch_bytes(recipe, model_size(config, part), recipe.global_batch_size)


def model_bytes(config: Config) -> int:
    """Estimate the disk space of both exported models in bytes."""
    return sum(model_size(config, part).parameters for part in LARGEST) * EXPORTED_BYTES


def state_bytes(config: Config, part: str) -> int:
    """Estimate the disk space of a training's state in bytes: kept checkpoints, the last one, one being written, and of
    the classifier one within an epoch and the best weights."""
    recipe, parameters = getattr(config, part), model_size(config, part).parameters
    kept = min(recipe.keep_checkpoints, recipe.epochs // recipe.checkpoint_every)
    states, weights = (kept + 3, 4) if part == "classifier" else (kept + 2, 0)
    return parameters * (states * CHECKPOINT_BYTES + weights)
