"""Train the drug classifier, a timm model, on crops. Killed anywhere, it resumes from its last checkpoint and ends as
an uninterrupted training does."""

import contextlib
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from pillsnap.classifier.batches import Crops
from pillsnap.classifier.loop import EXPORTED, ClassifierJob, TrainingLoop
from pillsnap.config.training import Classifier, Steering, Trainings
from pillsnap.files import read_json, replacing, sha256_of
from pillsnap.hardware import torch_device, use_threads
from pillsnap.training.batch_size import BatchChoice, fit_batch
from pillsnap.training.checkpoints import Checkpoints
from pillsnap.training.exact_roots import exact_roots
from pillsnap.training.processes import Processes, process_group
from pillsnap.training.recovery import train_with_recovery
from pillsnap.training.state import TrainingState, locked_state, training_signature
from pillsnap.training.steering import steering_signature
from pillsnap.training.watch import TrainingWatch


@exact_roots()
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
    """Train, resume from the last checkpoint, or export the finished training that `work` holds.

    Args:
        crops: folder of `cut_crops`.
        classes: class list of `build_manifest`.
        best: written, safetensors: weights (EMA) of the epoch with the best validation top-1, with model
            name, input size, preprocessing and class list as JSON in the metadata's entry `pillsnap`.
        history: written, CSV: epoch, seconds, loss, learning rate, input size, train and validation top-1, top-5.
        events: written, JSON: events of steering and recovery.
        resources: written, JSON: peaks and rates.
        work: folder of the training's state.
        settings: recipe.
        steering: phases, interventions, milestones.
        training: processes, intervals and folders of checkpoints.
        seed: seed of weights, data order and augmentation.
        device: `auto`, `cpu` or `cuda`.
        threads: threads of torch on the CPU; another number rounds otherwise.

    Raises:
        HardwareError: `cuda` is requested and does not work.
        WeightsError: the starting weights do not fit the model.
        ProcessesError: the training was started with another number of processes than `training.processes`.
        BatchError: memory ran out with the smallest allowed micro-batch.
        DivergedError: non-finite loss (NaN or inf), and no intervention is left.
    """
    kind = torch_device(device)
    use_threads(threads)
    torch.use_deterministic_algorithms(kind == "cpu")
    torch.backends.cudnn.benchmark = kind == "cuda"  # each size lasts for epochs
    with contextlib.ExitStack() as stack:
        processes = stack.enter_context(process_group(training.processes, kind))
        signature = {}
        if processes.is_main:
            signature = training_signature(
                "train_classifier",
                {"crops": crops},
                settings,
                seed=seed,
                device=kind,
                threads=threads,
                steering=steering_signature(steering, "classifier"),
                # another class list is another model, which cannot resume: it is no input that may change
                classes=sha256_of(classes),
                processes=processes.world_size,
            )
        locked = locked_state(work, signature, processes=processes, resume_with_new_inputs=training.cycles > 0)
        state = stack.enter_context(locked)
        if not state.finished(settings.epochs):
            data = Crops(crops, settings, device=processes.device(kind), processes=processes.world_size)
            settings, steering, chosen = fit_batch(
                settings, steering, state.folder, kind=kind, processes=processes, pictures=len(data.train)
            )
            _train(state, data, read_json(classes), settings, steering, training, seed, processes, chosen)
        if not processes.is_main:
            return
        for name, path in zip(EXPORTED, (best, history, events, resources), strict=True):
            with replacing(path) as temporary:
                shutil.copyfile(state.folder / "exported" / name, temporary)


def _train(
    state: TrainingState,
    data: Crops,
    classes: list[dict[str, Any]],
    settings: Classifier,
    steering: Steering,
    training: Trainings,
    seed: int,
    processes: Processes,
    chosen: BatchChoice | None,
) -> None:
    """Train from the last checkpoint to the exported files in the state's folder."""
    folder = state.folder
    backup = Path(training.backup) / folder.parent.name / folder.name if training.backup else None
    job = ClassifierJob(
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
        events=[chosen.event] if chosen else [],
    )
    with contextlib.ExitStack() as stack:
        if processes.is_main:
            watch = TrainingWatch(
                folder,
                model="classifier",
                epochs=settings.epochs,
                steps=len(job.order(0)),
                pictures=len(data.train),
                sample_seconds=training.sample_seconds,
            )
            job = replace(job, watch=stack.enter_context(watch))
        train_with_recovery(
            lambda recovery: TrainingLoop(job, recovery).run(), folder, model="classifier", recipe=settings
        )
    if processes.is_main:
        state.mark_finished(settings.epochs)
