"""Train the one-class pill detector with ultralytics, from scratch or from given weights."""

import logging
import os
import shutil
from pathlib import Path
from typing import Any

from pillsnap.config import Detector
from pillsnap.files import replacing, write_json
from pillsnap.hardware import torch_device, use_threads
from pillsnap.history import read_ultralytics_results, write_history
from pillsnap.provenance import provenance
from pillsnap.training.state import TrainingState, training_signature, training_state

log = logging.getLogger(__name__)


def train_detector(
    *,
    dataset: Path,
    best: Path,
    history: Path,
    record: Path,
    work: Path,
    settings: Detector,
    seed: int,
    device: str,
    threads: int,
) -> None:
    """Train, or take over the finished training that `work` holds.

    A killed training starts again from its beginning: it is deterministic, so it ends with the unbroken run's
    weights.

    Args:
        dataset: folder of `build_yolo_dataset`.
        best: written: ultralytics checkpoint of the epoch with the best validation fitness.
        history: written, CSV: one row an epoch, columns of `pillsnap.history.DETECTOR_COLUMNS`.
        record: written, JSON: provenance.
        work: folder of the training's state.
        settings: recipe.
        seed: seed of weights, data order and augmentation.
        device: `auto`, `cpu` or `cuda`.
        threads: threads of arithmetic on the CPU, and processes that read; another number rounds and draws otherwise.

    Raises:
        HardwareError: `cuda` is asked for and does not work.
    """
    chosen = torch_device(device)
    inputs = {"dataset": dataset}
    values = {"settings": settings.model_dump(), "seed": seed, "device": chosen, "threads": threads}
    signature = training_signature("train_detector", inputs, **values)
    with training_state(work, signature) as state:
        run = state.folder.absolute() / "run"
        if not state.finished:
            shutil.rmtree(run, ignore_errors=True)
            _train(dataset, run, state, settings, seed=seed, device=chosen, threads=threads)
            state.mark_finished()
        write_history(read_ultralytics_results((run / "results.csv").read_text()), history)
        _publish(run / "weights" / "best.pt", best)
    write_json(record, provenance(inputs=inputs, settings=settings.model_dump(), seed=seed, device=chosen))


def prepare_ultralytics(folder: Path) -> None:
    """Keep ultralytics offline and its settings inside `folder`; before its first import."""
    folder.mkdir(parents=True, exist_ok=True)
    os.environ |= {
        "YOLO_CONFIG_DIR": str(folder.absolute()),
        "YOLO_OFFLINE": "true",
        "YOLO_AUTOINSTALL": "false",
        "YOLO_VERBOSE": "false",
    }
    from ultralytics import settings

    settings.update({"sync": False, "dvc": False, "tensorboard": False, "wandb": False, "mlflow": False})


def keep_threads(model: Any, event: str, threads: int) -> None:
    """Set torch's threads when `event` comes: ultralytics leaves one core idle, half of a two-core machine."""
    model.add_callback(event, lambda _: use_threads(threads))


def _train(
    dataset: Path, run: Path, state: TrainingState, settings: Detector, *, seed: int, device: str, threads: int
) -> None:
    prepare_ultralytics(state.folder / "ultralytics")
    from ultralytics import YOLO

    model = YOLO(settings.model)
    keep_threads(model, "on_train_start", threads)
    model.add_callback("on_train_epoch_end", _note_epoch)
    model.add_callback("on_fit_epoch_end", _say_epoch)
    model.train(
        data=str(dataset.absolute() / "data.yaml"),
        project=str(run.parent),
        name=run.name,
        exist_ok=True,
        # ultralytics drops the weights of a `.pt` file where this is false
        pretrained=settings.model.endswith(".pt"),
        imgsz=settings.image_size,
        epochs=settings.epochs,
        batch=settings.batch,
        # ultralytics scales losses to a nominal batch of 64; ours is the batch that is asked for
        nbs=settings.batch,
        optimizer="AdamW",
        lr0=settings.learning_rate,
        lrf=0.05,
        cos_lr=True,
        weight_decay=settings.weight_decay,
        warmup_epochs=settings.warmup_epochs,
        warmup_bias_lr=settings.learning_rate,
        patience=settings.patience,
        # a pill has no upright side, but turning a photograph would loosen its boxes: mirrored only
        flipud=0.5,
        fliplr=0.5,
        scale=0.3,
        mosaic=0.0,
        single_cls=True,
        device="0" if device == "cuda" else "cpu",
        workers=threads,
        seed=seed,
        deterministic=True,
        plots=False,
        verbose=False,
    )


def _note_epoch(trainer: Any) -> None:
    trainer.trained_epoch = trainer.epoch


def _say_epoch(trainer: Any) -> None:
    # the final evaluation fires the event once more, as an epoch that was never trained
    if trainer.epoch != trainer.trained_epoch:
        return
    loss = sum(float(value) for value in trainer.tloss.values())
    log.info(
        "epoch %d/%d  Loss: %.3f  mAP@0.5 %.4f  mAP@0.5:0.95 %.4f  %.0f s",
        trainer.epoch + 1,
        trainer.epochs,
        loss,
        trainer.metrics.get("metrics/mAP50(B)", float("nan")),
        trainer.metrics.get("metrics/mAP50-95(B)", float("nan")),
        trainer.epoch_time,
    )


def _publish(trained: Path, best: Path) -> None:
    """Copy the weights without what differs between two equal runs: date, folders, timings."""
    import torch

    checkpoint = torch.load(trained, map_location="cpu", weights_only=False)
    for key in ("date", "git", "train_results"):
        checkpoint[key] = None
    checkpoint["train_args"] = {
        key: value
        for key, value in checkpoint["train_args"].items()
        if key not in ("data", "project", "name", "save_dir")
    }
    # single_cls renames the one class
    checkpoint["model"].names = {0: "pill"}
    checkpoint["model"].args = {"task": "detect", "imgsz": checkpoint["train_args"]["imgsz"]}
    with replacing(best) as temporary, temporary.open("wb") as stream:
        torch.save(checkpoint, stream)
