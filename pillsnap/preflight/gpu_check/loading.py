"""Measure whether the loader of crops feeds the training: alone, and with it."""

import contextlib
import math
import time
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch

from pillsnap.config.config import Config
from pillsnap.preflight.gpu_check.classifier import WARMUP, measure_steps
from pillsnap.preflight.gpu_check.compute import synchronize
from pillsnap.preflight.gpu_check.rows import Row, Verdict

TIMES = 4
"""Batches that are timed, over those that the workers decode ahead: so many may lie ready when the timer starts."""
SECONDS = 30
"""For which a rate is measured, about, at most."""
CROPS = 256
"""Different crops: they are decoded again in each batch, as where they do not fit into `classifier.cache_gb`."""
ENOUGH = 1.1
"""Times as fast as the training that a loader must be alone."""


class DrawnCrops:
    """Crops of noise with the attributes of `CropDataset` that a loader and the calibration use."""

    def __init__(self, side: int, drugs: int) -> None:
        from pillsnap.pictures.decode import encode_jpeg

        random = np.random.default_rng(0)
        smooth = random.integers(0, 256, (CROPS, side // 8 + 1, side // 8 + 1, 3), np.uint8)  # as compressible as pills
        large = [np.repeat(np.repeat(each, 8, axis=0), 8, axis=1)[:side, :side] for each in smooth]
        self._jpegs = [np.frombuffer(encode_jpeg(each, 95), np.uint8) for each in large]
        self.crops, self.side = CROPS, side
        self.targets = torch.from_numpy(random.integers(0, drugs, CROPS))

    def __len__(self) -> int:
        return CROPS

    def picture(self, pill: int, *, box_from: str) -> torch.Tensor:
        """As `CropDataset.picture`."""
        from pillsnap.pictures.decode import decode_jpeg

        return torch.from_numpy(decode_jpeg(self._jpegs[pill])).permute(2, 0, 1)

    def rows(self, items: Sequence[tuple[int, float]]) -> list[int]:
        """As `CropDataset.rows`."""
        return [pill for pill, _ in items]

    def decode(self, row: int, picture: np.ndarray) -> None:
        """As `CropDataset.decode`."""
        from pillsnap.pictures.decode import decode_jpeg_into

        decode_jpeg_into(self._jpegs[row], picture)


def check_loading(config: Config, *, drugs: int, device: str, steps: int) -> Iterator[Row]:
    """Compare the loader's rate, copies to the device included, with the training's at its last size, and with that of
    both together. So many batches as the workers decode ahead are discarded first, and `TIMES` as many are timed.

    Args:
        config: its `classifier` is trained, with random weights.
        drugs: number of classes.
        device: `cuda` or `cpu`.
        steps: timed ones of the training alone, and the fewest of the others.
    """
    from pillsnap.classifier.batches import BATCHES_AHEAD, MAX_WORKERS, CropBatches
    from pillsnap.hardware import usable_threads

    recipe = config.classifier.model_copy(update={"weights": None, "compile": False})
    asked: dict[str, Any] = {"drugs": drugs, "device": device}
    training = measure_steps(recipe, recipe.image_size, **asked, steps=steps).images_per_second
    data: Any = DrawnCrops(config.crops.size, drugs)
    workers = usable_threads(MAX_WORKERS)
    random, batch, ahead = np.random.default_rng(1), recipe.global_batch_size, workers * BATCHES_AHEAD
    timed = max(steps, TIMES * ahead)
    order = [[(int(pill), 0.0) for pill in random.integers(0, CROPS, batch)] for _ in range(WARMUP + ahead + timed)]
    loader = CropBatches(data, device=device, workers=workers, cache_bytes=0)
    with contextlib.closing(loader.batches(order)) as batches:
        alone = _steady_rate(batches, WARMUP + ahead, device)
    in_time = math.ceil(SECONDS * min(alone, training) / batch)
    asked |= {"steps": max(steps, min(timed, in_time)), "discarded": ahead}
    with contextlib.closing(loader.batches(order)) as batches:
        together = measure_steps(recipe, recipe.image_size, batches=batches, **asked).images_per_second
    slow = alone < ENOUGH * training
    text = (
        f"loader {alone:,.1f} images/s with {workers} workers, training {training:,.1f}, both together {together:,.1f}"
    )
    text += f": {'the loader' if slow else 'the device'} is the bottleneck"
    cure = "More cores, or a classifier.cache_gb that holds the crops" if slow else ""
    figures = {"loader_images_per_second": alone, "training_images_per_second": training, "workers": workers}
    figures |= {"together_images_per_second": together}
    needed = f"loader >= {ENOUGH} times the training"
    yield Row("loader", text, needed, Verdict.failed if slow else Verdict.ok, cure, figures)


def _steady_rate(batches: Iterator[Any], discarded: int, device: str) -> float:
    """Images a second of a loader after its first batches, for `SECONDS` at most."""
    for _ in range(discarded):
        next(batches)
    start, loaded = time.perf_counter(), 0
    for _, targets in batches:
        loaded += len(targets)
        if time.perf_counter() - start > SECONDS:
            break
    synchronize(device)
    return loaded / (time.perf_counter() - start)
