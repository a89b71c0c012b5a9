"""Recover a training from its last checkpoint: out of memory with smaller micro-batches, a non-finite loss with the
changes of an intervention."""

import gc
import logging
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import distributed

from pillsnap.config.training import Recipe
from pillsnap.files import read_json, write_json
from pillsnap.training.steering import Event, events_to_json

log = logging.getLogger(__name__)

OUT_OF_MEMORY = (
    "out of memory",
    "not enough memory",
    "can't allocate memory",
    "CUBLAS_STATUS_ALLOC_FAILED",
    "CUBLAS_STATUS_NOT_INITIALIZED",
    "CUDNN_STATUS_ALLOC_FAILED",
    "CUDNN_STATUS_INTERNAL_ERROR",
    "unable to find an engine",
)
"""Texts of errors that mean a lack of memory, always or mostly."""


class BatchError(RuntimeError):
    """Not even the smallest allowed micro-batch fits into the device's memory."""


class DivergedError(RuntimeError):
    """Non-finite loss (NaN or inf), and no intervention against it is left."""


class Rollback(Exception):  # noqa: N818 (no error)
    """Return of the training to its last checkpoint, with the changes of `event`."""

    def __init__(self, event: Event) -> None:
        super().__init__(event.said)
        self.event = event


class Recovery:
    """State of a training outside its checkpoints; kept in `recovery.json` of its folder.

    Attributes:
        accumulation_steps: micro-batches that each process computes its shard of a batch in, one after the other.
        events: out of memory, rollbacks, other data.
        epoch: finished epochs; set by the training as it runs.
    """

    def __init__(self, folder: Path) -> None:
        self._file = folder / "recovery.json"
        empty: dict[str, Any] = {"accumulation_steps": 1, "events": []}
        saved = read_json(self._file) if self._file.is_file() else empty
        self.accumulation_steps: int = saved["accumulation_steps"]
        self.events = [Event(**event) for event in saved["events"]]
        self.epoch = 0

    def record(self, event: Event) -> None:
        """Keep an event for the next start."""
        self.events.append(event)
        log.warning("%s", event.said)
        content = {"accumulation_steps": self.accumulation_steps, "events": events_to_json(self.events)}
        write_json(self._file, content)

    def halve_micro_batch(self, model: str, recipe: Recipe, error: Exception) -> None:
        """Double the accumulation steps; the global batch behind a step of the optimizer stays the same.

        Raises:
            BatchError: the micro-batch would be smaller than `smallest_batch`.
        """
        batch = recipe.global_batch_size
        shard = batch / (distributed.get_world_size() if distributed.is_initialized() else 1)
        before, after = (math.ceil(shard / steps) for steps in (self.accumulation_steps, self.accumulation_steps * 2))
        if after < recipe.smallest_batch or after == before:
            raise BatchError(
                f"{model}.batch = {batch}: out of memory with {before} pictures in a micro-batch, and "
                f"{model}.smallest_batch = {recipe.smallest_batch} allows no fewer. Lower it, {model}.image_size or "
                f"{model}.model, or free the device (see `pillsnap doctor`). The library says: "
                f"{_first_line(error)}"
            ) from error
        self.accumulation_steps *= 2
        said = (
            f"out of memory with a micro-batch of {before}: now {after}, {self.accumulation_steps} accumulation steps"
        )
        log.warning("%s", _first_line(error))
        changes = {"pictures_at_once": after}
        self.record(Event(self.epoch, "out_of_memory", f"micro-batch {after}", said, True, changes))


def train_with_recovery(train: Callable[[Recovery], None], folder: Path, *, model: str, recipe: Recipe) -> None:
    """Run a training to its end, through errors that it can recover from.

    Args:
        train: trains from the last checkpoint to the end. It is called again after memory ran out, with more
            accumulation steps, and after it raised `Rollback`.
        folder: of the training's state.
        model: `detector` or `classifier`, for messages.
        recipe: its section.

    Raises:
        BatchError: memory ran out with the smallest allowed micro-batch.
        RuntimeError: memory ran out in one of several processes; that is recorded for their next start.
    """
    recovery = Recovery(folder)
    while True:
        try:
            return train(recovery)
        except Rollback as rollback:
            recovery.record(rollback.event)
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
            recovery.halve_micro_batch(model, recipe, error)
            if distributed.is_initialized():
                raise  # the other processes wait in the middle of a step: torchrun starts them all again
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)


def is_out_of_memory(error: RuntimeError) -> bool:
    """Whether the device's (or the CPU's) memory ran out, or may have: only CUDA's allocator has an exception type of
    its own. cuBLAS and cuDNN, which allocate beside it, name some of its lack otherwise."""
    return isinstance(error, torch.OutOfMemoryError) or any(
        text.lower() in str(error).lower() for text in OUT_OF_MEMORY
    )
