"""Train the drug classifier, a timm model, on crops. Killed anywhere, it goes on from its last checkpoint and ends as
the unbroken training would have."""

import contextlib
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from pillsnap.classifier.loop import DELIVERED, Crops, Job, Run
from pillsnap.config.training import Classifier, Steering, Trainings
from pillsnap.files import read_json, replacing, sha256_of
from pillsnap.hardware import torch_device, use_threads
from pillsnap.training.checkpoints import Checkpoints
from pillsnap.training.processes import Processes, joined_processes
from pillsnap.training.recovery import recovering
from pillsnap.training.state import TrainingState, training_signature, training_state
from pillsnap.training.steering import steering_of
from pillsnap.training.watch import TrainingWatch


def train_classifier(
    *,
    crops: Path,
    classes: Path,
    best: Path,
    history: Path,
    events: Path,
    resources: Path,
    work: Path,
    settings: Classifier,
    steering: Steering,
    training: Trainings,
    seed: int,
    device: str,
    threads: int,
) -> None:
    """Train, go on from the last checkpoint, or take over the finished training that `work` holds.

    Args:
        crops: folder of `cut_crops`.
        classes: class list of `build_manifest`.
        best: written, safetensors: weights (moving average) of the epoch with the best validation top-1, with model
            name, input size, preprocessing and class list as JSON in the metadata's entry `pillsnap`.
        history: written, CSV: epoch, seconds, loss, learning rate, input size, train and validation top-1, top-5.
        events: written, JSON: what steering and recovery said and did.
        resources: written, JSON: peaks and rates.
        work: folder of the training's state.
        settings: recipe.
        steering: phases, interventions, milestones.
        training: processes, checkpoints' times and places.
        seed: seed of weights, data order and augmentation.
        device: `auto`, `cpu` or `cuda`.
        threads: threads of arithmetic on the CPU; another number rounds otherwise.

    Raises:
        HardwareError: `cuda` is asked for and does not work.
        WeightsError: the starting weights do not fit the model.
        ProcessesError: there are other processes than `training.processes`.
        BatchError: memory ran out with the smallest allowed batch.
        DivergedError: the loss is no number, and no intervention is left.
    """
    kind = torch_device(device)
    use_threads(threads)
    torch.use_deterministic_algorithms(kind == "cpu")
    inputs = {"crops": crops, "classes": classes}
    steered = steering_of(steering, "classifier")
    values = {"seed": seed, "device": kind, "threads": threads, "steering": steered}
    with (
        joined_processes(training.processes, kind) as processes,
        _held(work, processes, settings, go_on=training.cycles > 0, **inputs, **values) as state,
    ):
        if not state.finished(settings.epochs):
            data = Crops(crops, settings, device=processes.device(kind))
            _train(state, data, read_json(classes), settings, steering, training, seed, processes)
        if not processes.first:
            return
        for name, path in zip(DELIVERED, (best, history, events, resources), strict=True):
            with replacing(path) as temporary:
                shutil.copyfile(state.folder / "delivered" / name, temporary)


@contextlib.contextmanager
def _held(
    work: Path, processes: Processes, settings: Classifier, *, go_on: bool, crops: Path, classes: Path, **values: Any
) -> Iterator[TrainingState]:
    """Hold the training's folder in the first process; the others wait for that."""
    if not processes.first:
        processes.wait()
        yield TrainingState(work)
        return
    # another class list is another model, which no training goes on with: it is no input that may change
    values |= {"classes": sha256_of(classes), "processes": processes.count}
    signature = training_signature("train_classifier", {"crops": crops}, settings, **values)
    with training_state(work, signature, go_on=go_on) as state:
        processes.wait()
        yield state


def _train(
    state: TrainingState,
    data: Crops,
    classes: list[dict[str, Any]],
    settings: Classifier,
    steering: Steering,
    training: Trainings,
    seed: int,
    processes: Processes,
) -> None:
    """From the last checkpoint to the delivered files in the state's folder."""
    folder = state.folder
    backup = Path(training.backup) / folder.parent.name / folder.name if training.backup else None
    job = Job(
        data=data,
        classes=classes,
        settings=settings,
        steering=steering,
        save_seconds=training.save_minutes * 60,
        seed=seed,
        processes=processes,
        inputs=read_json(folder / "signature.json")["inputs"],
        folder=folder,
        checkpoints=Checkpoints(folder, recipe=settings, backup=backup),
    )
    with contextlib.ExitStack() as stack:
        if processes.first:
            amount = {"epochs": settings.epochs, "steps": len(job.order(0)), "pictures": len(data.train)}
            watch = TrainingWatch(folder, model="classifier", sample_seconds=training.sample_seconds, **amount)
            job = replace(job, watch=stack.enter_context(watch))
        recovering(lambda recovery: Run(job, recovery).to_end(), folder, model="classifier", recipe=settings)
    if processes.first:
        state.mark_finished(settings.epochs)
