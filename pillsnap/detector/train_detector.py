"""Train the one-class pill detector with ultralytics, from scratch or from given weights; it goes on where it was."""

import contextlib
import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pillsnap.config.training import Detector, Steering, Trainings
from pillsnap.detector.distributed import held, one_of, share
from pillsnap.detector.job import CLOSING, DetectorJob
from pillsnap.detector.trainer import train_on
from pillsnap.detector.weights import WeightsError, build_detector, pickled_detector, prepare_ultralytics, save_detector
from pillsnap.files import read_json, write_json
from pillsnap.hardware import torch_device
from pillsnap.training.history import write_history
from pillsnap.training.recovery import Recovery, recovering
from pillsnap.training.state import TrainingState, training_signature
from pillsnap.training.steering import Event, events_to_json, steering_of
from pillsnap.training.watch import TrainingWatch


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
    """Train, go on after the last finished epoch, or take over the finished training that `work` holds.

    A saved state says how many epochs are done: asking for more goes on from there, and ends as one training of all of
    them would have; on the CPU to the bit.

    Args:
        dataset: folder of `build_yolo_dataset`.
        best: written: ultralytics checkpoint, FP16, of the moving average where validation fitness was best.
        weights: written, safetensors, FP32: the same weights, as `save_detector` has them.
        history: written, CSV: one row an epoch, `DETECTOR_COLUMNS`; empty where an epoch has no validation.
        events: written, JSON: what `Event` says.
        resources: written, JSON: what the training took.
        work: folder of the training's state.
        settings, steering, training: sections of the configuration.
        seed: seed of weights, data order and augmentation.
        device: `auto`, `cpu` or `cuda`.
        threads: threads of arithmetic on the CPU, where another number rounds otherwise; processes that read for a GPU.

    Raises:
        HardwareError: `cuda` is asked for and does not work, or has fewer GPUs than there are processes.
        WeightsError: the starting weights are not there, or not a detector's.
        BatchError: not even the smallest allowed batch fits into memory.
        DivergedError: the loss became no number.
    """
    chosen = torch_device(device)
    values = {"seed": seed, "device": chosen, "threads": threads}
    values["processes"] = processes = share(chosen, training.processes, settings)
    with one_of(processes) as number:
        if number is None:
            return
        inputs = {"dataset": dataset} | _starting_weights(settings.model)
        signed = {"steering": steering_of(steering, "detector"), **values}
        signature = training_signature("train_detector", inputs, settings, **signed)
        with held(work, signature, go_on=training.cycles > 0, number=number, processes=processes) as state:
            job = DetectorJob(dataset, state.folder, settings, steering, backup=_backup(training, work), **values)
            watch = _watch(job, training)
            _train(dataclasses.replace(job, watch=watch if number == 0 else None), state)
            if number == 0:
                _publish(job, best=best, weights=weights, history=history, events=events)
                write_json(resources, watch.resources())


def _starting_weights(model: str) -> dict[str, Path]:
    """The file that the training begins with, as an input."""
    if model.endswith(".yaml"):
        return {}
    if not model.endswith((".pt", ".safetensors")) or not Path(model).is_file():
        raise WeightsError(
            f"detector.model = {model}: no file of weights. Name a .yaml that ultralytics brings (yolo11n.yaml), or "
            "the path of a .pt or .safetensors file."
        )
    return {"weights": Path(model)}


def _backup(training: Trainings, work: Path) -> Path | None:
    return Path(training.backup) / work.parent.name / work.name if training.backup else None


def _watch(job: DetectorJob, training: Trainings) -> TrainingWatch:
    pictures = sum(1 for _ in (job.dataset / "images" / "train").iterdir())
    return TrainingWatch(
        job.folder,
        model="detector",
        epochs=job.settings.epochs,
        steps=-(-pictures // job.settings.batch),
        pictures=pictures,
        sample_seconds=training.sample_seconds,
    )


def _train(job: DetectorJob, state: TrainingState) -> None:
    prepare_ultralytics(job.folder / ("ultralytics" if job.watch else "ultralytics-others"))
    if state.finished(job.settings.epochs):
        return
    if state.new_inputs:
        done = (job.checkpoints.load(upto=job.settings.epochs) or {"epoch": 0})["epoch"]
        said = f"goes on with other data after epoch {done}"
        Recovery(job.folder).note(Event(done, "data", f"after epoch {done}", said, True))
    with job.watch or contextlib.nullcontext():
        recovering(lambda recovery: train_on(job, recovery), job.folder, model="detector", recipe=job.settings)
    if job.watch:
        state.mark_finished(job.settings.epochs)


def _publish(job: DetectorJob, *, best: Path, weights: Path, history: Path, events: Path) -> None:
    saved = job.checkpoints.load(upto=job.settings.epochs)
    rows, tensors = _delivered(saved, job)
    write_history(rows, history)
    happened = [Event(**event) for event in saved["events"]] + Recovery(job.folder).events
    known = {(event.epoch, *event.key): event for event in happened if event.epoch <= saved["epoch"]}
    write_json(events, events_to_json(sorted(known.values(), key=lambda event: event.epoch)))
    model = build_detector(saved["description"])
    model.load_state_dict(tensors)
    image_size = job.settings.image_size
    save_detector(weights, model, image_size=image_size)
    facts = job.settings.model_dump(exclude={"model", "image_size"})
    pickled_detector(best, model, image_size=image_size, facts={"model": Path(job.settings.model).name, **facts})


def _delivered(saved: Mapping[str, Any], job: DetectorJob) -> tuple[list[dict[str, float | None]], dict[str, Any]]:
    """History and weights that are delivered: a validation at an end off the schedule counts here, and here alone."""
    rows, tensors, closing = saved["history"], saved["best_weights"], job.folder / CLOSING
    if saved["epoch"] % job.settings.validate_every:
        found = read_json(closing)
        rows = [*rows[:-1], rows[-1] | found["row"]]
        if not tensors or found["fitness"] > saved["best"]:
            tensors = saved["average"]
    return rows, tensors
