"""Check that a training whose memory ends halves its micro-batch, and finishes."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import torch

from pillsnap.config.config import Config
from pillsnap.preflight.findings import gib
from pillsnap.preflight.gpu_check.classifier import measure_steps
from pillsnap.preflight.gpu_check.rows import NotCheckedError, Row, Verdict
from pillsnap.training.recovery import Recovery, train_with_recovery

ALLOWED = 0.8
"""Share of its tensors' peak that the training is left."""


def check_memory_cap(config: Config, *, drugs: int, device: str, steps: int = 3) -> Iterator[Row]:
    """Leave a training less memory than it takes (`set_per_process_memory_fraction`); raises `NotCheckedError` on the
    CPU, whose memory torch cannot cap."""
    if device != "cuda":
        raise NotCheckedError("only a GPU's memory can be capped")
    recipe = config.classifier.model_copy(update={"weights": None, "compile": False})
    peak = measure_steps(recipe, recipe.image_size, drugs=drugs, device=device, steps=steps).tensor_bytes or 0
    left = int(peak * ALLOWED)

    def train(recovery: Recovery) -> None:
        measure_steps(
            recipe,
            recipe.image_size,
            drugs=drugs,
            device=device,
            steps=steps,
            accumulation_steps=recovery.accumulation_steps,
        )

    torch.cuda.empty_cache()
    torch.cuda.set_per_process_memory_fraction(left / torch.cuda.get_device_properties(0).total_memory)
    try:
        with tempfile.TemporaryDirectory() as folder:
            train_with_recovery(train, Path(folder), model="classifier", recipe=recipe)
            parts = Recovery(Path(folder)).accumulation_steps
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    text = f"{gib(left)} in place of {gib(peak)}: finished in {parts} micro-batches a step"
    verdict = Verdict.ok if parts > 1 else Verdict.failed
    cure = "" if parts > 1 else "The cap did not bind: report it with gpu-check.json"
    yield Row("memory that ends", text, "halves and finishes", verdict, cure, {"accumulation_steps": parts})
