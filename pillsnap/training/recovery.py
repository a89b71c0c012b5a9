"""What a training does about memory that runs out and about losses that are no numbers: go on from the last checkpoint,
otherwise."""

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


class BatchError(RuntimeError):
    """Not even the smallest allowed batch fits into the device's memory."""


class DivergedError(RuntimeError):
    """The loss is no number any more, and nothing is configured against it."""


class GoBack(Exception):  # noqa: N818 (no error)
    """The training goes back to its last checkpoint, with the changes of `event`."""

    def __init__(self, event: Event) -> None:
        super().__init__(event.said)
        self.event = event


class Recovery:
    """What has happened to a training outside its epochs; kept in `recovery.json` of its folder.

    Attributes:
        parts: parts that each process computes its share of a batch in, one after the other.
        events: what happened.
        epoch: epochs done; set by the training as it goes.
    """

    def __init__(self, folder: Path) -> None:
        self._file = folder / "recovery.json"
        saved: dict[str, Any] = read_json(self._file) if self._file.is_file() else {"parts": 1, "events": []}
        self.parts: int = saved["parts"]
        self.events = [Event(**event) for event in saved["events"]]
        self.epoch = 0

    def note(self, event: Event) -> None:
        """Keep an event for the next start."""
        self.events.append(event)
        log.warning("%s", event.said)
        write_json(self._file, {"parts": self.parts, "events": events_to_json(self.events)})

    def halve(self, model: str, recipe: Recipe, error: Exception) -> None:
        """Compute batches in twice as many parts; the batch behind a step of the optimizer stays the same.

        Raises:
            BatchError: the parts would be smaller than `smallest_batch`.
        """
        share = recipe.batch / (distributed.get_world_size() if distributed.is_initialized() else 1)
        before, after = (math.ceil(share / parts) for parts in (self.parts, self.parts * 2))
        if after < recipe.smallest_batch or after == before:
            raise BatchError(
                f"{model}.batch = {recipe.batch}: out of memory with {before} pictures at once, and "
                f"{model}.smallest_batch = {recipe.smallest_batch} allows no fewer. Lower it, {model}.image_size or "
                f"{model}.model, or free the device (see `pillsnap doctor`)."
            ) from error
        self.parts *= 2
        said = f"out of memory with {before} pictures at once: {after} at once, {self.parts} times for a step"
        self.note(Event(self.epoch, "out_of_memory", f"{after} at once", said, True, {"pictures_at_once": after}))


def recovering(train: Callable[[Recovery], None], folder: Path, *, model: str, recipe: Recipe) -> None:
    """Run a training to its end through what can be recovered from.

    Args:
        train: trains from the last checkpoint to the end. It is called again after memory ran out, with batches in more
            parts, and after it raised `GoBack`.
        folder: of the training's state.
        model: `detector` or `classifier`, for messages.
        recipe: its section.

    Raises:
        BatchError: memory ran out with the smallest allowed batch.
        RuntimeError: memory ran out in one of several processes; that is written down for their next start.
    """
    recovery = Recovery(folder)
    while True:
        try:
            return train(recovery)
        except GoBack as back:
            recovery.note(back.event)
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
            recovery.halve(model, recipe, error)
            if distributed.is_initialized():
                raise  # the other processes wait in the middle of a step: the launcher starts them all again
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()


def is_out_of_memory(error: RuntimeError) -> bool:
    """Whether the device's (or the CPU's) memory ran out, however the library says it."""
    known = ("out of memory", "not enough memory", "can't allocate memory", "CUBLAS_STATUS_ALLOC_FAILED")
    return isinstance(error, torch.OutOfMemoryError) or any(text.lower() in str(error).lower() for text in known)
