"""Device memory of a training: measured by model name, and rules of thumb on top."""

import contextlib
import json
from dataclasses import dataclass
from pathlib import Path

from safetensors import SafetensorError, safe_open

from pillsnap.config.training import Classifier, Detector


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
CUDA_BYTES = 2**29
"""A process's CUDA context and libraries: a rule of thumb."""


def size_of(recipe: Detector | Classifier) -> ModelSize:
    """Return the size of a recipe's model, by its name."""
    if isinstance(recipe, Detector):
        return SIZES.get(architecture(recipe), LARGEST["detector"])
    return SIZES.get(Path(recipe.model).stem, LARGEST["classifier"])  # with or without weights and hub in the name


def architecture(settings: Detector) -> str:
    """Return the name of a detector's model, `yolo11n` for instance; of weights that do not say it, their file's."""
    for file in settings.starting_files:
        with contextlib.suppress(OSError, SafetensorError, KeyError), safe_open(file, framework="np") as stored:
            return Path(json.loads((stored.metadata() or {})["pillsnap"])["model"]["yaml_file"]).stem
    return Path(settings.model).stem


def batch_bytes(recipe: Detector | Classifier, batch: int) -> int:
    """Estimate a training's device memory in bytes: parameters, gradients, optimizer, and the activations of `batch`
    images at the recipe's last size, in FP32."""
    size = size_of(recipe)
    kept = batch * recipe.image_size**2 * size.pixel_bytes
    return int((size.parameters * TRAINING_BYTES + kept) * OVERHEAD)
