"""Run the classifier's training epoch by epoch: resume, steer, validate, save checkpoints, export the best weights."""

import contextlib
import json
import logging
import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torchvision.utils import make_grid

from pillsnap.classifier.batches import Crops
from pillsnap.classifier.epoch_order import epoch_order, picture_size
from pillsnap.classifier.model import preprocessing_of
from pillsnap.classifier.trainer import ClassifierTrainer, Row, validation_batch
from pillsnap.config.training import Classifier
from pillsnap.config.training import Steering as SteeringSettings
from pillsnap.crops.dataset import Item
from pillsnap.files import replacing_folder, write_json
from pillsnap.training.checkpoints import Checkpoints
from pillsnap.training.history import write_history
from pillsnap.training.processes import Processes
from pillsnap.training.recovery import DivergedError, Recovery, Rollback
from pillsnap.training.steering import Event, Steering, events_to_json
from pillsnap.training.watch import TrainingWatch

log = logging.getLogger(__name__)

EXPORTED = ("best.safetensors", "history.csv", "events.json", "resources.json")
"""Files that a finished training has in the folder `exported` of its state."""
LOSS_SYNC_EVERY = {"cpu": 1, "cuda": 20}
"""Steps from one synchronisation of the loss to the next: it makes the CPU wait for the GPU."""
MAX_SHOWN = 32
"""Pictures of a batch that are logged to TensorBoard, at most."""


@dataclass(frozen=True)
class ClassifierJob:
    """Everything that does not change while a training runs.

    Attributes:
        data: crops.
        classes: the class list's JSON.
        settings, steering: sections of the configuration.
        save_seconds: time at most from one checkpoint to the next.
        seed: seed.
        processes: this process among all.
        inputs: hashes of the training data.
        folder: of the state.
        checkpoints: in that folder.
        events: from before the first epoch.
        watch: of the main process; `None` in the others.
    """

    data: Crops
    classes: list[dict[str, Any]]
    settings: Classifier
    steering: SteeringSettings
    save_seconds: float
    seed: int
    processes: Processes
    inputs: dict[str, str]
    folder: Path
    checkpoints: Checkpoints
    events: list[Event]
    watch: TrainingWatch | None = None

    def order(self, epoch: int) -> list[list[Item]]:
        """Batches of the epoch after `epoch` ones."""
        return epoch_order(
            self.data.train.targets.numpy(),
            self.settings.global_batch_size,
            balance=self.settings.balance,
            smallest=2 * self.processes.world_size,  # batch norm cannot learn from one picture
            seed=self.seed,
            epoch=epoch,
        )


class TrainingLoop:
    """Training from its last checkpoint on, to its end or to an error that `train_with_recovery` recovers from.

    All processes come to the same decisions, since they decide by sums over all; the main one writes.
    """

    def __init__(self, job: ClassifierJob, recovery: Recovery) -> None:
        self._job, self._recovery = job, recovery
        self._trainer = ClassifierTrainer(
            job.settings, len(job.classes), seed=job.seed, device=job.data.device, processes=job.processes
        )
        events = self._resume()
        self._steering = Steering(job.steering, model="classifier", recipe=job.settings, events=events)
        self._epoch_start = self._last_save = time.monotonic()
        self._shown = False

    def run(self) -> None:
        """Train the remaining epochs, and export the best weights."""
        while not self._trainer.progress.finished(self._job.settings):
            self._recovery.epoch = self._trainer.progress.epoch
            self._log_events(self._steering.begin(self._trainer.progress.epoch))
            self._train_epoch()
            self._end_epoch()
        self._export()

    def _resume(self) -> list[Event]:
        """Load a checkpoint, if there is one; returns the events up to there."""
        job, upto = self._job, self._job.settings.epochs
        state = job.checkpoints.load(upto=upto)
        if state and state["step"] and self._is_outdated(state):
            state = job.checkpoints.load(upto=upto, within=False)
        job.processes.barrier()  # the main one may write soon
        events = [Event(**event) for event in state["events"]] if state else []
        first = [event for event in job.events if event not in events]
        self._log_events(first)
        events = first + events
        if state:
            self._trainer.load_state_dict(state)
            log.info("resuming after epoch %d, step %d", state["epoch"], state["step"])
        epoch = self._trainer.progress.epoch
        if state and state["inputs"] != job.inputs:
            said = f"resumed with other crops after epoch {epoch}"
            log.info("%s", said)
            events.append(Event(epoch, "data", "other crops", said, True))
        # the rollback of a later epoch is still to come
        return events + [event for event in self._recovery.events if event.epoch <= epoch or not event.back]

    def _is_outdated(self, state: Mapping[str, Any]) -> bool:
        """Whether a checkpoint within an epoch is of other crops, or the epoch was rolled back."""
        rollbacks = [event for event in self._recovery.events if event.back and event.epoch == state["epoch"]]
        rolled_back = any(event not in state["events"] for event in events_to_json(rollbacks))
        return rolled_back or state["inputs"] != self._job.inputs

    def _train_epoch(self) -> None:
        """Do the remaining steps of an epoch; returns early at a non-finite loss."""
        job, progress = self._job, self._trainer.progress
        order = job.order(progress.epoch)
        self._trainer.use_precision(self._steering.value("precision"))
        self._epoch_start = time.monotonic() - progress.seconds
        shards = [items[job.processes.shard] for items in order[progress.step :]]
        with contextlib.closing(job.data.train_batches.batches(shards)) as batches:
            for pictures, targets in batches:
                self._step(pictures, targets, len(order[progress.step]), steps_per_epoch=len(order))
                syncs = (progress.step - 1) % LOSS_SYNC_EVERY[job.data.kind] == 0 or progress.step == len(order)
                if syncs and not self._sync_loss():
                    break
                if job.watch:
                    job.watch.step(epoch=progress.epoch + 1, step=progress.step, loss=progress.mean_loss)

    def _step(
        self, pictures: torch.Tensor, targets: torch.Tensor, global_batch_size: int, *, steps_per_epoch: int
    ) -> None:
        trainer, progress, value = self._trainer, self._trainer.progress, self._steering.value
        done = progress.epoch + progress.step / steps_per_epoch
        rate = self._steering.learning_rate(done, step=1 / steps_per_epoch)
        trainer.set_rates(learning_rate=rate, weight_decay=value("weight_decay"))
        size = picture_size(self._job.settings, progress.epoch)
        views = trainer.views(pictures, size, global_batch_size=global_batch_size)
        if not self._shown and self._job.watch:
            self._job.watch.picture("augmented", self._grid(views), epoch=progress.epoch + 1)
        self._shown = True
        trainer.step(
            views,
            targets,
            global_batch_size=global_batch_size,
            accumulation_steps=self._recovery.accumulation_steps,
            max_grad_norm=value("clip"),
        )
        trainer.end_step(steps_per_epoch)

    def _sync_loss(self) -> bool:
        """Synchronise the loss, and save a checkpoint where one is due; returns whether the loss is finite."""
        progress = self._trainer.progress
        due = self._trainer.sync_loss(time.monotonic() - self._last_save >= self._job.save_seconds)
        if not math.isfinite(progress.mean_loss):
            return False
        if due:
            progress.seconds = time.monotonic() - self._epoch_start
            self._save(epoch_ended=False)
        return True

    def _end_epoch(self) -> None:
        """Validate, steer, log and save; raises `Rollback` or `DivergedError` where the epoch's work is lost."""
        job, trainer, progress = self._job, self._trainer, self._trainer.progress
        row = self._row()
        rows = [*progress.history, row]
        events = self._steering.end(rows)
        self._log_events(events)
        for event in events:
            if event.back:
                raise Rollback(event)
        if not math.isfinite(row["loss"]):
            raise DivergedError(
                f"epoch {progress.epoch + 1}: non-finite loss ({row['loss']}). Lower classifier.learning_rate or "
                "classifier.clip, set classifier.precision to fp32, or have steering.interventions do so when the loss "
                "is not_finite (steering.mode: apply). Each of these restarts the training from its beginning."
            )
        if row["val_top1"] is not None and row["val_top1"] > progress.best:
            progress.best, progress.best_epoch = row["val_top1"], progress.epoch + 1
            trainer.best_weights = trainer.ema_on_cpu()
        progress.end_epoch(row)
        self._log_epoch(row)
        self._save(epoch_ended=True)
        if job.watch:
            job.watch.epoch(progress.history, self._steering.events)

    def _row(self) -> Row:
        """The epoch's row of the history."""
        job, progress = self._job, self._trainer.progress
        epoch, steps = progress.epoch + 1, progress.step
        validates = epoch % job.settings.validate_every == 0 and math.isfinite(progress.mean_loss)
        top1, top5 = self._validate() if validates else (None, None)
        elapsed = time.monotonic() - self._epoch_start if job.processes.is_main else 0.0
        (seconds,) = job.processes.all_reduce([elapsed])
        return {
            "epoch": epoch,
            "seconds": seconds,
            "loss": progress.mean_loss,
            "learning_rate": self._steering.learning_rate(epoch, step=1 / steps),
            "size": picture_size(job.settings, epoch - 1),
            "train_top1": progress.correct / progress.seen,
            "val_top1": top1,
            "val_top5": top5,
        }

    def _validate(self) -> tuple[float, float]:
        job = self._job
        parts = self._recovery.accumulation_steps * job.processes.world_size
        micro_batch = -(-job.settings.global_batch_size // parts)
        shard = [(pill, 0.0) for pill in range(len(job.data.val))][job.processes.shard]
        size = validation_batch(micro_batch, job.data.kind)
        order = [shard[start : start + size] for start in range(0, len(shard), size)]
        with contextlib.closing(job.data.val_batches.batches(order)) as batches:
            return self._trainer.validate(batches)

    def _save(self, *, epoch_ended: bool) -> None:
        self._last_save = time.monotonic()
        if self._job.processes.is_main:
            state = self._trainer.state_dict() | {"events": events_to_json(self._steering.events)}
            self._job.checkpoints.save(state | {"inputs": self._job.inputs}, epoch_ended=epoch_ended)

    def _export(self) -> None:
        """Write the best weights, history, events and resources into the state's folder.

        A last epoch that had no validation gets one here. It is no part of the state, so that a training that resumes
        for more epochs ends as if these had been requested at once.
        """
        job, progress, weights = self._job, self._trainer.progress, self._trainer.best_weights
        rows = list(progress.history)
        if rows[-1]["val_top1"] is None:
            top1, top5 = self._validate()
            rows[-1] = rows[-1] | {"val_top1": top1, "val_top5": top5}
            self._log_epoch(rows[-1])
            weights = self._trainer.ema_on_cpu() if top1 > progress.best else weights
        if not job.watch:
            return
        facts = job.settings.model_dump(include={"model", "model_args", "image_size"}) | {"classes": job.classes}
        facts |= {"preprocessing": preprocessing_of(self._trainer.model)}
        with replacing_folder(job.folder / "exported") as folder:
            best, history, events, resources = (folder / name for name in EXPORTED)
            tensors = {key: value.contiguous() for key, value in weights.items()}
            # safetensors writes several entries in a random order: one entry keeps the bytes the same
            save_file(tensors, best, metadata={"pillsnap": json.dumps(facts, ensure_ascii=False)})
            write_history(rows, history)
            write_json(events, events_to_json(self._steering.events))
            write_json(resources, job.watch.resources())

    def _grid(self, views: torch.Tensor) -> Any:
        """Grid of views without their normalisation: uint8 (height, width, 3)."""
        statistics = preprocessing_of(self._trainer.model)
        mean, std = (torch.tensor(statistics[name]).view(3, 1, 1) for name in ("mean", "std"))
        grid = make_grid(views[:MAX_SHOWN].cpu() * std + mean, nrow=8)
        return (grid.clamp(0, 1) * 255).to(torch.uint8).permute(1, 2, 0).numpy()

    def _log_events(self, events: list[Event]) -> None:
        for event in events if self._job.processes.is_main else ():
            log.info("%s", event.said)

    def _log_epoch(self, row: Row) -> None:
        if not self._job.processes.is_main:
            return
        accuracy = f"train {row['train_top1']:.4f}"
        if row["val_top1"] is not None:
            accuracy = f"Accuracy: {row['val_top1']:.4f} ({accuracy}, top-5 {row['val_top5']:.4f})"
        epochs = self._job.settings.epochs
        log.info("epoch %d/%d  Loss: %.3f  %s  %.0f s", row["epoch"], epochs, row["loss"], accuracy, row["seconds"])
