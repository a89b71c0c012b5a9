"""Choose a training's batch by the memory of its GPUs, with learning rates and the EMA's decay that fit it."""

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal, TypeVar

import torch

from pillsnap.config.training import Classifier, Detector, Steering
from pillsnap.files import read_json, write_json
from pillsnap.training.model_sizes import CUDA_BYTES, batch_bytes
from pillsnap.training.processes import Processes
from pillsnap.training.steering import Event

FILE = "batch.json"
"""In the training's folder: a resumed training keeps its batch, on another GPU too."""
USED = 0.9
"""Share of a GPU's memory that is counted on: chosen."""
MOST_REFERENCES = 16
"""Reference batches in a chosen one, at most: how far the scaling rules are followed is chosen."""
FEWEST_STEPS = 100
"""Steps of an epoch that a larger batch must leave: chosen."""
DETECTOR_DECAY = 0.9999
"""Decay of the detector's EMA after its first steps: that of ultralytics' `ModelEMA`."""

AnyRecipe = TypeVar("AnyRecipe", Classifier, Detector)
Model = Literal["classifier", "detector"]


@dataclass(frozen=True)
class BatchChoice:
    """A batch that was chosen, and by what; content of `batch.json`.

    Attributes:
        batch: global batch size.
        reference_batch: of the recipe.
        learning_rate, average_decay: that follow.
        gpu, gpu_memory: the GPU with the least memory, and its bytes; `None` on the CPU.
        pictures: of an epoch.
    """

    batch: int
    reference_batch: int
    learning_rate: float
    average_decay: float
    gpu: str | None
    gpu_memory: int | None
    pictures: int

    @property
    def ratio(self) -> float:
        """Chosen batch over reference batch."""
        return self.batch / self.reference_batch

    def scale_decay(self, decay: Callable[[float], float]) -> Callable[[float], float]:
        """An EMA's decay by the number of its updates, each of which stands for `ratio` ones of the reference batch."""
        return lambda updates: decay(updates * self.ratio) ** self.ratio

    @property
    def event(self) -> Event:
        """The choice as an event of the training."""
        by = f"{self.gpu}, {self.gpu_memory / 2**30:.0f} GiB" if self.gpu_memory else "the CPU"
        said = (
            f"batch {self.batch} by {by} (reference batch {self.reference_batch}): learning rate "
            f"{self.learning_rate:.3g}, decay of the average {self.average_decay:.6g}"
        )
        changes = {"batch": self.batch, "learning_rate_factor": math.sqrt(self.ratio), "decay": self.average_decay}
        return Event(0, "batch", "auto", said, True, changes)


def choose_batch(
    recipe: Classifier | Detector, *, gpu: str | None, gpu_memory: int | None, world_size: int, pictures: int
) -> BatchChoice:
    """The largest doubling of the reference batch whose share of each GPU fits into its memory by the estimate of
    preflight, and that leaves an epoch `FEWEST_STEPS`; without a GPU the reference batch.

    The learning rate grows with the square root of the batch, as the rule for Adam says (Malladi et al. 2022, "On the
    SDEs and Scaling Rules for Adaptive Gradient Algorithms"; betas stay); the EMA's decay is that of as many pictures
    (Busbridge et al. 2023, "How to Scale Your EMA").

    Args:
        recipe: with `batch: auto`.
        gpu, gpu_memory: name and bytes of the GPU with the least memory.
        world_size: GPUs that share a batch.
        pictures: of an epoch.
    """
    batch, most = recipe.reference_batch, recipe.reference_batch * MOST_REFERENCES
    while gpu_memory and batch * 2 <= min(most, pictures // FEWEST_STEPS):
        if CUDA_BYTES + batch_bytes(recipe, -(-batch * 2 // world_size)) > USED * gpu_memory:
            break
        batch *= 2
    ratio = batch / recipe.reference_batch
    decay = recipe.average_decay if isinstance(recipe, Classifier) else DETECTOR_DECAY
    return BatchChoice(
        batch=batch,
        reference_batch=recipe.reference_batch,
        learning_rate=recipe.learning_rate * math.sqrt(ratio),
        average_decay=decay**ratio,
        gpu=gpu,
        gpu_memory=gpu_memory,
        pictures=pictures,
    )


def fit_batch(
    recipe: AnyRecipe, steering: Steering, folder: Path, *, kind: str, processes: Processes, pictures: int
) -> tuple[AnyRecipe, Steering, BatchChoice | None]:
    """Recipe and steering with numbers in place of `batch: auto`, and the choice; unchanged and `None` where the batch
    is a number.

    Args:
        recipe, steering: of the configuration.
        folder: of the training's state, which keeps the choice.
        kind: `cpu` or `cuda`.
        processes: the main one chooses.
        pictures: of an epoch.
    """
    if recipe.batch != "auto":
        return recipe, steering, None
    file = folder / FILE
    if processes.is_main and not file.is_file():
        gpu, memory = _smallest_gpu(processes.world_size) if kind == "cuda" else (None, None)
        choice = choose_batch(recipe, gpu=gpu, gpu_memory=memory, world_size=processes.world_size, pictures=pictures)
        write_json(file, asdict(choice))
    processes.barrier()
    choice = BatchChoice(**read_json(file))
    numbers = {"batch": choice.batch, "learning_rate": choice.learning_rate}
    model: Model = "detector"
    if isinstance(recipe, Classifier):
        model, numbers["average_decay"] = "classifier", choice.average_decay
    return recipe.model_copy(update=numbers), scale_rates(steering, math.sqrt(choice.ratio), model=model), choice


def scale_rates(steering: Steering, factor: float, *, model: Model) -> Steering:
    """Steering with a model's learning rates of phases and interventions times a factor."""

    def scaled(change: dict[str, float]) -> dict[str, float]:
        return {name: value * factor for name, value in change.items() if name == "learning_rate"}

    phases = []
    for phase in steering.phases:
        change = getattr(phase, model)
        phases.append(phase.model_copy(update={model: change.model_copy(update=scaled(change.values))}))
    interventions = [
        each.model_copy(update={"change": each.change.model_copy(update=scaled(each.change.values))})
        if each.model == model
        else each
        for each in steering.interventions
    ]
    return steering.model_copy(update={"phases": tuple(phases), "interventions": tuple(interventions)})


def _smallest_gpu(world_size: int) -> tuple[str, int]:
    """Name and bytes of the one with the least memory among those of the training."""
    found = [torch.cuda.get_device_properties(index) for index in range(world_size)]
    least = min(found, key=lambda each: each.total_memory)
    return least.name, least.total_memory
