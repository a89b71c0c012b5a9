"""Measure the stage's classifier: steps of its trainer as the recipe says, with larger batches, and compiled."""

import itertools
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass

import torch

from pillsnap.classifier.epoch_order import picture_size
from pillsnap.classifier.trainer import ClassifierTrainer, validation_batch
from pillsnap.config.config import Config
from pillsnap.config.training import Classifier
from pillsnap.preflight.findings import gib
from pillsnap.preflight.gpu_check.compute import need_precision, release_memory, synchronize, trying_convolutions
from pillsnap.preflight.gpu_check.rows import Row, Verdict
from pillsnap.preflight.models import training_bytes
from pillsnap.training.processes import Processes
from pillsnap.training.recovery import is_out_of_memory
from pillsnap.training.resources import Gpus

COMPILED = {False: "", True: ", compiled", "reduce-overhead": ", compiled with CUDA graphs"}
WARMUP = 5
LARGEST_BATCH = 512
CROP = 1.25
"""Side of the stored crop over the input's, as in the production recipe."""


@dataclass(frozen=True)
class Steps:
    """What steps of a training took: on the CPU, and where the driver does not report it, some is `None`.

    Attributes:
        images_per_second: of whole steps.
        tensor_bytes: of tensors at their peak.
        reserved_bytes: that torch took from the device for them, so with what is lost between them.
        gpu_busy: share of the last moment, up to a second, in which the GPU computed.
    """

    images_per_second: float
    tensor_bytes: int | None = None
    reserved_bytes: int | None = None
    gpu_busy: float | None = None


def check_classifier(config: Config, *, drugs: int, device: str, steps: int) -> Iterator[Row]:
    """Train as the recipe says, compiled or not, at its last size and at its first one, and validate.

    Args:
        config: its `classifier` is measured, with random weights.
        drugs: number of classes.
        device: `cuda` or `cpu`.
        steps: timed ones of each.
    """
    recipe = config.classifier.model_copy(update={"weights": None})
    for size in _sizes(recipe):
        yield _row(config, recipe, size, drugs, device, steps)
    yield _validation_row(recipe, drugs, device, steps)


def check_variations(config: Config, *, batch: int, drugs: int, device: str, steps: int) -> Iterator[Row]:
    """Train otherwise than `check_classifier`, at the same sizes: uncompiled at the recipe's batch and at twice as
    large ones until memory ends; then compiled, at the batch that the recipe trains with.

    Args:
        config: its `classifier` is measured, with random weights.
        batch: that the recipe's becomes, where it is `auto`.
        drugs: number of classes.
        device: `cuda` or `cpu`.
        steps: timed ones of each.
    """
    own = config.classifier.model_copy(update={"weights": None, "batch": batch})
    plain = own.model_copy(update={"compile": False})
    for size in _sizes(own):
        larger = config.classifier.global_batch_size
        while larger <= LARGEST_BATCH:
            try:
                if (recipe := plain.model_copy(update={"batch": larger})) != own:
                    yield _row(config, recipe, size, drugs, device, steps)
            except RuntimeError as error:
                if not is_out_of_memory(error):
                    raise
                break
            larger *= 2
    # last, since compiling takes minutes
    for compiled in [each for each in COMPILED if each and each != own.compile]:
        for size in _sizes(own):
            yield _row(config, own.model_copy(update={"compile": compiled}), size, drugs, device, steps)


def _sizes(recipe: Classifier) -> list[int]:
    """The last and the first side of the input in pixels, in this order; one where they agree."""
    return sorted({recipe.image_size, picture_size(recipe, 0)}, reverse=True)


def _row(config: Config, recipe: Classifier, size: int, drugs: int, device: str, steps: int) -> Row:
    done = measure_steps(recipe, size, drugs=drugs, device=device, steps=steps)
    settings, batch = recipe.model_copy(update={"image_size": size}), recipe.global_batch_size
    # without CUDA's context, which torch does not count either
    expected = training_bytes(config.model_copy(update={"classifier": settings}), "classifier")
    words = f"classifier {size} px, batch {batch}, {recipe.precision}" + COMPILED[recipe.compile]
    figures = {
        **{"size": size, "batch": batch, "precision": recipe.precision, "compiled": recipe.compile},
        **asdict(done),
        "preflight_bytes": expected,
    }
    text = f"{done.images_per_second:,.1f} images/s"
    if done.gpu_busy is not None:
        text += f", GPU busy {done.gpu_busy:.0%}"
    if done.tensor_bytes is None or done.reserved_bytes is None:
        return Row(words, text, "", Verdict.ok, figures=figures)
    text += f", {gib(done.reserved_bytes)}, of it {gib(done.tensor_bytes)} tensors"
    enough = done.reserved_bytes <= expected
    cure = "" if enough else "Preflight counts too little for this model: pillsnap/training/model_sizes.py"
    return Row(words, text, f"<= {gib(expected)}", Verdict.failed if cure else Verdict.ok, cure, figures)


def _validation_row(recipe: Classifier, drugs: int, device: str, steps: int) -> Row:
    """Validate crops that are on the device already."""
    trainer = ClassifierTrainer(recipe, drugs, seed=0, device=device, processes=Processes())
    trainer.use_precision(recipe.precision)
    batch = validation_batch(recipe.global_batch_size, device)
    pictures, targets = draw_crops(batch, int(recipe.image_size * CROP), drugs, device)
    with trying_convolutions(device == "cuda"):
        trainer.validate([(pictures, targets)] * WARMUP)
        synchronize(device)
        start = time.perf_counter()
        trainer.validate([(pictures, targets)] * steps)
    rate = batch * steps / (time.perf_counter() - start)
    words = f"classifier {recipe.image_size} px, validation in batches of {batch}, {recipe.precision}"
    figures = {"validation_images_per_second": rate, "size": recipe.image_size, "batch": batch}
    return Row(words, f"{rate:,.1f} images/s", "", Verdict.ok, figures=figures)


def draw_crops(batch: int, side: int, drugs: int, device: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Crops of noise, uint8 (N, 3, side, side), and class indices, int64 (N,), on the device."""
    pictures = torch.randint(256, (batch, side, side, 3), dtype=torch.uint8, device=device).permute(0, 3, 1, 2)
    return pictures, torch.randint(drugs, (batch,), device=device)


def measure_steps(
    recipe: Classifier,
    size: int,
    *,
    drugs: int,
    device: str,
    steps: int,
    discarded: int = 0,
    accumulation_steps: int = 1,
    batches: Iterator[tuple[torch.Tensor, torch.Tensor]] | None = None,
) -> Steps:
    """Measure whole steps of the trainer, augmentation included.

    Args:
        recipe, drugs: of the model.
        size: side of the input.
        device: `cuda` or `cpu`.
        steps: that count; `WARMUP` ones come before them.
        discarded: further ones before them.
        accumulation_steps: micro-batches of a step.
        batches: of a loader, one a step; by default one batch that is on the device already.

    Raises:
        NotCheckedError: the device does not compute the recipe's precision.
    """
    need_precision(recipe, device)
    release_memory(device)
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
    trainer = ClassifierTrainer(recipe, drugs, seed=0, device=device, processes=Processes())
    trainer.use_precision(recipe.precision)
    trainer.set_rates(learning_rate=recipe.learning_rate, weight_decay=recipe.weight_decay)
    batch, before = recipe.global_batch_size, WARMUP + discarded
    batches = batches or itertools.repeat(draw_crops(batch, int(size * CROP), drugs, device))
    with trying_convolutions(device == "cuda"):
        for step in range(before + steps):
            if step == before:
                synchronize(device)
                start = time.perf_counter()
            pictures, targets = next(batches)
            views = trainer.views(pictures, size, global_batch_size=batch)
            trainer.step(
                views,
                targets,
                global_batch_size=batch,
                accumulation_steps=accumulation_steps,
                max_grad_norm=recipe.clip,
            )
            trainer.end_step(before + steps)
        synchronize(device)
    rate = batch * steps / (time.perf_counter() - start)
    if device != "cuda":
        return Steps(rate)
    return Steps(rate, torch.cuda.max_memory_allocated(), torch.cuda.max_memory_reserved(), Gpus().busy(torch))
