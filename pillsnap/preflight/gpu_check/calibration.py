"""Measure what `calibrate_answers` computes of crops: classifier and reader in FP32, decoding included."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from pillsnap.classifier.model import create_classifier
from pillsnap.config.config import Config
from pillsnap.preflight.gpu_check.loading import DrawnCrops
from pillsnap.preflight.gpu_check.rows import Row, Verdict


def check_calibration(config: Config, *, drugs: int, device: str) -> Iterator[Row]:
    """Let both networks see drawn crops, by the code of `calibrate_answers`.

    Args:
        config: its `classifier`, with random weights, and its reader, if any.
        drugs: number of classes.
        device: `cuda` or `cpu`.
    """
    from pillsnap.answers.calibrate_answers import Extractor
    from pillsnap.reader.model import load_reader

    recipe = config.classifier.model_copy(update={"weights": None})
    reader = next((load_reader(Path(file)) for file in config.reader.starting_files), None)
    extractor = Extractor(create_classifier(recipe, drugs).eval(), recipe.image_size, reader, device)
    data: Any = DrawnCrops(config.crops.size, drugs)
    with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):  # as in the rule's own process
        extractor.opinions(data)  # the first ones load the networks' kernels
        start = time.perf_counter()
        extractor.opinions(data)
    rate = len(data) / (time.perf_counter() - start)
    words = f"calibration {recipe.image_size} px, fp32, {'with the reader' if reader else 'nothing read'}"
    figures = {"calibration_images_per_second": rate, "size": recipe.image_size}
    yield Row(words, f"{rate:,.1f} images/s, decoding included", "", Verdict.ok, figures=figures)
