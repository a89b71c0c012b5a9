"""Train the one-class pill detector with ultralytics, from scratch or from given weights, or resume its training."""

import contextlib
import dataclasses
import logging
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from pillsnap.config.training import Detector, Steering, Trainings
from pillsnap.detector.distributed import ddp_processes, ddp_world_size
from pillsnap.detector.job import FINAL_VALIDATION, DetectorJob
from pillsnap.detector.weights import (
    NAMES,
    WeightsError,
    build_detector,
    load_weights,
    prepare_ultralytics,
    save_detector,
    save_ultralytics_checkpoint,
)
from pillsnap.detector.yolo_shards import count_pictures, unpack_shards
from pillsnap.files import read_json, write_json
from pillsnap.hardware import torch_device
from pillsnap.training.batch_size import fit_batch
from pillsnap.training.exact_roots import exact_roots
from pillsnap.training.history import write_history
from pillsnap.training.recovery import Recovery, train_with_recovery
from pillsnap.training.resources import resources_of
from pillsnap.training.state import TrainingState, locked_state, training_signature
from pillsnap.training.steering import Event, events_to_json, steering_signature
from pillsnap.training.watch import TrainingWatch

log = logging.getLogger(__name__)


@exact_roots()
def train_detector(
    *,
    dataset: Path,
    best: Path,
    weights: Path,
    history: Path,
    events: Path,
    resources: Path,
    work: Path,
    settings: Detector,
    steering: Steering,
    training: Trainings,
    seed: int,
    device: str,
    threads: int,
) -> None:
    """Train, resume after the last finished epoch, or export the finished training that `work` holds; with 0 epochs
    export the starting weights.

    A training of more epochs than a finished one resumes from its end, and ends as one training of all of them; on the
    CPU to the bit.

    Args:
        dataset: folder of `build_yolo_dataset`; it is unpacked beside `work` while the training runs.
        best: written: ultralytics checkpoint, FP16, of the EMA where validation fitness was best, or of its mean with
            the starting weights (`start_share`).
        weights: written, safetensors, FP32: the same weights, as `save_detector` has them.
        history: written, CSV: one row an epoch, `DETECTOR_COLUMNS`; cells are empty where an epoch has no validation.
        events: written, JSON: events of steering and recovery.
        resources: written, JSON: peaks and rates.
        work: folder of the training's state.
        settings, steering, training: sections of the configuration.
        seed: seed of weights, data order and augmentation.
        device: `auto`, `cpu` or `cuda`.
        threads: threads of torch on the CPU, where another number rounds otherwise; workers of the loader for a GPU.

    Raises:
        HardwareError: `cuda` is requested and does not work, or there are fewer GPUs than processes.
        WeightsError: the starting weights do not exist, or are not a detector's; with 0 epochs, of several classes.
        BatchError: not even the smallest allowed micro-batch fits into memory.
        DivergedError: non-finite loss (NaN or inf), and no intervention is left.
    """
    if settings.epochs == 0:
        if os.environ.get("RANK", "0") == "0":
            _export_untrained(dataset, best, weights, history, events, resources, work, settings)
        return
    chosen = torch_device(device)
    world_size = ddp_world_size(chosen, training.processes, settings)
    with ddp_processes(world_size) as processes:
        if processes is None:
            return
        signature = {}
        if processes.is_main:
            signature = training_signature(
                "train_detector",
                {"dataset": dataset} | _starting_weights(settings.start),
                settings,
                steering=steering_signature(steering, "detector"),
                seed=seed,
                device=chosen,
                threads=threads,
                processes=world_size,
            )
        with locked_state(work, signature, processes=processes, resume_with_new_inputs=training.cycles > 0) as state:
            # beside the state, which may be set aside; made anew at every start, so that nothing has changed in it
            unpacked, pictures = work.with_name(work.name + ".dataset"), count_pictures(dataset, "train")
            if processes.is_main and not state.finished(settings.epochs):
                unpack_shards(dataset, unpacked)
            processes.barrier()
            recipe, steering, batch = fit_batch(
                settings, steering, state.folder, kind=chosen, processes=processes, pictures=pictures
            )
            job = DetectorJob(
                dataset=unpacked,
                folder=state.folder,
                settings=recipe,
                steering=steering,
                seed=seed,
                device=chosen,
                threads=threads,
                world_size=world_size,
                chosen=batch,
                backup=Path(training.backup) / work.parent.name / work.name if training.backup else None,
            )
            watch = _watch(job, training, pictures) if processes.is_main else None
            _train(dataclasses.replace(job, watch=watch), state)
            if watch:
                _export(job, best=best, weights=weights, history=history, events=events)
                write_json(resources, watch.resources())


def _export_untrained(
    dataset: Path,
    best: Path,
    weights: Path,
    history: Path,
    events: Path,
    resources: Path,
    work: Path,
    settings: Detector,
) -> None:
    """Export the starting weights as they are, with a history without rows."""
    prepare_ultralytics(work / "ultralytics")
    model = load_weights(_starting_weights(settings.start)["weights"])
    if model.yaml["nc"] != len(NAMES):
        raise WeightsError(
            f"detector.model = {settings.model}: knows {model.yaml['nc']} classes, and with detector.epochs = 0 "
            "nothing makes one of them. Name weights of one class, or train some epochs."
        )
    write_history([], history)
    write_json(events, [])
    write_json(resources, resources_of(work / "untrained", pictures=count_pictures(dataset, "train")))
    _save(model, settings, best=best, weights=weights)


def _starting_weights(model: str) -> dict[str, Path]:
    """The file of weights that the training starts from, as an input."""
    if model.endswith(".yaml"):
        return {}
    if not model.endswith((".pt", ".safetensors")) or not Path(model).is_file():
        raise WeightsError(
            f"detector.model = {model}: no file of weights. Name a .yaml that ultralytics brings (yolo11n.yaml), or "
            "the path of a .pt or .safetensors file."
        )
    return {"weights": Path(model)}


def _watch(job: DetectorJob, training: Trainings, pictures: int) -> TrainingWatch:
    return TrainingWatch(
        job.folder,
        model="detector",
        epochs=job.settings.epochs,
        steps=-(-pictures // job.settings.global_batch_size),
        pictures=pictures,
        sample_seconds=training.sample_seconds,
    )


def _train(job: DetectorJob, state: TrainingState) -> None:
    prepare_ultralytics(job.folder / ("ultralytics" if job.watch else "ultralytics-others"))
    if state.finished(job.settings.epochs):
        return
    from pillsnap.detector.trainer import PillTrainer  # imports ultralytics, which reads its settings then

    if state.new_inputs:
        done = (job.checkpoints.load(upto=job.settings.epochs) or {"epoch": 0})["epoch"]
        said = f"resumed with other data after epoch {done}"
        Recovery(job.folder).record(Event(done, "data", f"after epoch {done}", said, True))
    with job.watch or contextlib.nullcontext():
        train_with_recovery(
            lambda recovery: PillTrainer(job, recovery).train(), job.folder, model="detector", recipe=job.settings
        )
    if job.watch:
        shutil.rmtree(job.dataset)
        state.mark_finished(job.settings.epochs)


def _export(job: DetectorJob, *, best: Path, weights: Path, history: Path, events: Path) -> None:
    saved = job.checkpoints.load(upto=job.settings.epochs)
    if not saved:
        raise LookupError(f"{job.folder}: the finished training has no checkpoint. Delete the folder to train again.")
    rows, tensors = _final_history_and_weights(saved, job)
    write_history(rows, history)
    every = [Event(**event) for event in saved["events"]] + Recovery(job.folder).events
    by_key = {(event.epoch, *event.key): event for event in every if event.epoch <= saved["epoch"]}
    write_json(events, events_to_json(sorted(by_key.values(), key=lambda event: event.epoch)))
    model = build_detector(saved["description"])
    model.load_state_dict(_mean_with_start(tensors, job.settings))
    _save(model, job.settings, best=best, weights=weights)


def _save(model: nn.Module, settings: Detector, *, best: Path, weights: Path) -> None:
    """Write the model as safetensors and as an ultralytics checkpoint."""
    save_detector(weights, model, image_size=settings.image_size)
    without = {"model", "image_size", "reference_batch"}
    train_args = {"model": Path(settings.model).name, **settings.model_dump(exclude=without)}
    save_ultralytics_checkpoint(best, model, image_size=settings.image_size, train_args=train_args)


def _mean_with_start(trained: Mapping[str, torch.Tensor], settings: Detector) -> Mapping[str, torch.Tensor]:
    """Mean of trained and starting weights, `start_share` of it the starting ones; counters stay as trained."""
    if not (settings.start_share and settings.starting_files):
        return trained
    start = load_weights(Path(settings.start))
    if start.yaml["nc"] != len(NAMES):
        log.warning("detector.start_share: not used, %s knows %d classes", settings.model, start.yaml["nc"])
        return trained
    started = start.state_dict()
    return {
        name: torch.lerp(value.float(), started[name], settings.start_share) if value.is_floating_point() else value
        for name, value in trained.items()
    }


def _final_history_and_weights(
    saved: Mapping[str, Any], job: DetectorJob
) -> tuple[list[dict[str, float | None]], dict[str, Any]]:
    """History and best weights: a validation of a last epoch that `validate_every` does not reach counts only here."""
    rows, tensors = saved["history"], saved["best_weights"]
    if saved["epoch"] % job.settings.validate_every:
        final = read_json(job.folder / FINAL_VALIDATION)
        rows = [*rows[:-1], rows[-1] | final["row"]]
        if not tensors or final["fitness"] > saved["best"]:
            tensors = saved["ema"]
    return rows, tensors
