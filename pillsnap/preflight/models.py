"""Memory and disk of models: measured by model name, and rules of thumb on top."""

import contextlib
import json
from dataclasses import dataclass
from pathlib import Path

from safetensors import SafetensorError, safe_open

from pillsnap.config.config import Config
from pillsnap.config.training import Detector
from pillsnap.preflight.findings import GIB


@dataclass(frozen=True)
class ModelSize:
    """Parameters, and bytes of activations that a training keeps for each pixel of its input, in FP32."""

    parameters: int
    pixel_bytes: int


SIZES = {
    "test_resnet": ModelSize(373_076, 237),
    "test_efficientnet": ModelSize(100_224, 264),
    "resnet10t": ModelSize(4_944_034, 445),
    "resnet18": ModelSize(11_198_058, 449),
    "mobilenetv4_conv_small": ModelSize(2_546_826, 329),
    "efficientnet_b0": ModelSize(4_061_350, 1_759),
    "convnext_tiny": ModelSize(27_852_426, 2_175),
    "tf_efficientnetv2_l": ModelSize(123_028_235, 7_188),
    "yolo11n": ModelSize(2_590_035, 531),
    "yolo11s": ModelSize(9_428_179, 1_019),
    "yolo11m": ModelSize(20_053_779, 2_168),
    "yolo11l": ModelSize(25_311_251, 2_786),
    "yolo11x": ModelSize(56_874_931, 4_173),
}
"""Counted on models as timm and ultralytics build them, with 42 drugs (tf_efficientnetv2_l: 4,523; the tests' two: 4)
and one class: storage of all tensors that autograd saved in one forward pass, without weights, over the input's pixels.
resnet10t is the full width: `model_args` that make it narrower need less."""
LARGEST = {"detector": SIZES["yolo11x"], "classifier": SIZES["tf_efficientnetv2_l"]}
"""Sizes assumed for a model that is not in the list."""

TRAINING_BYTES = 20
"""Bytes a parameter while a model trains: weight, gradient, two moments of AdamW, moving average; FP32."""
OVERHEAD = 1.1
"""What allocators lose between blocks: a rule of thumb."""
CUDA_BYTES = GIB // 2
"""A process's CUDA context and libraries: a rule of thumb."""
EXPORTED_BYTES = 21
"""Bytes a parameter of the exported models: weights in FP32 (4), the detector's in FP16 for ultralytics (2), and ONNX
graphs in FP32, FP16 and INT8 (4, 2 and 1), each once alone and once in the fused graph; rounded up."""
CHECKPOINT_BYTES = 21
"""Bytes a parameter of a saved training: weights, moving average, best weights and AdamW's two moments, FP32."""


def model_size(config: Config, part: str) -> ModelSize:
    """Return the size of the `detector` or `classifier`, by its model's name."""
    name = architecture(config.detector) if part == "detector" else Path(config.classifier.model).stem
    return SIZES.get(name, LARGEST[part])


def architecture(settings: Detector) -> str:
    """Return the name of a detector's model, `yolo11n` for instance; of weights that do not say it, their file's."""
    for file in settings.starting_files:
        with contextlib.suppress(OSError, SafetensorError, KeyError), safe_open(file, framework="np") as stored:
            return Path(json.loads((stored.metadata() or {})["pillsnap"])["model"]["yaml_file"]).stem
    return Path(settings.model).stem


def training_bytes(config: Config, part: str) -> int:
    """Estimate a training's device memory in bytes: parameters, gradients, optimizer, and a batch's activations."""
    settings, size = getattr(config, part), model_size(config, part)
    kept = settings.batch * settings.image_size**2 * size.pixel_bytes
    return int((size.parameters * TRAINING_BYTES + kept) * OVERHEAD)


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
