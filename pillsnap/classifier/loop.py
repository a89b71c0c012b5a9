"""The classifier's training from epoch to epoch: resumed, steered, saved, validated, watched, and delivered."""

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

from pillsnap.classifier.batches import CropBatches
from pillsnap.classifier.epoch_order import Item, epoch_order, picture_size
from pillsnap.classifier.model import preprocessing_of
from pillsnap.classifier.trainer import ClassifierTraining, Row
from pillsnap.config.training import Classifier
from pillsnap.config.training import Steering as SteeringSettings
from pillsnap.crops.dataset import CropDataset
from pillsnap.files import replacing_folder, write_json
from pillsnap.hardware import usable_threads
from pillsnap.training.checkpoints import Checkpoints
from pillsnap.training.history import write_history
from pillsnap.training.processes import Processes
from pillsnap.training.recovery import DivergedError, GoBack, Recovery
from pillsnap.training.steering import Event, Steering, events_to_json
from pillsnap.training.watch import TrainingWatch

log = logging.getLogger(__name__)

DELIVERED = ("best.safetensors", "history.csv", "events.json", "resources.json")
"""Files that a finished training has in the folder `delivered` of its state."""
READERS = 16
"""Threads (CPU) or processes (GPU) that decode crops, at most; no more than there are cores."""
STEPS_UNSEEN = {"cpu": 1, "cuda": 20}
"""Steps from one look at the losses to the next: a look makes the CPU wait for the GPU."""
SHOWN = 32
"""Pictures of a batch that are shown."""


class Crops:
    """Both splits of a crops folder, and what reads them in batches.

    Attributes:
        device: where batches are wanted, `cuda:1` for instance; `kind` is `cpu` or `cuda`.
        train, val: the splits.
        train_batches, val_batches: what reads them.
    """

    def __init__(self, folder: Path, settings: Classifier, *, device: str) -> None:
        self.device, self.kind = device, device.split(":")[0]
        self.train, self.val = CropDataset(folder, "train"), CropDataset(folder, "val")
        # the cache is shared by number of pills: either both splits fit, or neither
        each = settings.cache_gb * 1e9 / (len(self.train) + len(self.val))
        workers = usable_threads(READERS)
        self.train_batches, self.val_batches = (
            CropBatches(split, device=device, workers=workers, cache_bytes=int(each * len(split)))
            for split in (self.train, self.val)
        )


@dataclass(frozen=True)
class Job:
    """What does not change while a training runs.

    Attributes:
        data: crops.
        classes: the class list's JSON.
        settings, steering: sections of the configuration.
        save_seconds: time at most from one saved state to the next.
        seed: seed.
        processes: this process among all.
        inputs: hashes of what is learned from.
        folder: of the state.
        checkpoints: in that folder.
        watch: of the first process; the others have none.
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
    watch: TrainingWatch | None = None

    def order(self, epoch: int) -> list[list[Item]]:
        """Batches of the epoch after `epoch` ones."""
        return epoch_order(
            self.data.train.targets.numpy(),
            self.settings.batch,
            balance=self.settings.balance,
            smallest=2 * self.processes.count,  # batch norm cannot learn from one
            seed=self.seed,
            epoch=epoch,
        )


class Run:
    """A training from its last checkpoint on: to the end, or to something that `recovering` knows how to go on from.

    All processes come to the same decisions, since sums of all are what they decide by; the first one writes.
    """

    def __init__(self, job: Job, recovery: Recovery) -> None:
        self._job, self._recovery = job, recovery
        words = {"seed": job.seed, "device": job.data.device, "processes": job.processes}
        self._training = ClassifierTraining(job.settings, len(job.classes), **words)
        events = self._resume()
        self._steering = Steering(job.steering, model="classifier", recipe=job.settings, events=events)
        self._began = self._saved = time.monotonic()
        self._shown = False

    def to_end(self) -> None:
        """Train the epochs that are left, and write what is delivered."""
        while not self._training.progress.over(self._job.settings):
            self._recovery.epoch = self._training.progress.epoch
            self._say(self._steering.begin(self._training.progress.epoch))
            self._train_epoch()
            self._end_epoch()
        self._deliver()

    def _resume(self) -> list[Event]:
        """Take over a checkpoint, if there is one; returns what has happened up to there."""
        job, upto = self._job, self._job.settings.epochs
        content = job.checkpoints.load(upto=upto)
        if content and content["step"] and self._is_outdated(content):
            content = job.checkpoints.load(upto=upto, within=False)
        job.processes.wait()  # the first one may write soon
        events = []
        if content:
            self._training.restore(content)
            events = [Event(**event) for event in content["events"]]
            log.info("going on after epoch %d, step %d", content["epoch"], content["step"])
        epoch = self._training.progress.epoch
        if content and content["inputs"] != job.inputs:
            said = f"goes on with other crops after epoch {epoch}"
            log.info("%s", said)
            events.append(Event(epoch, "data", "other crops", said, True))
        # what a later epoch went back for is still to come
        return events + [event for event in self._recovery.events if event.epoch <= epoch or not event.back]

    def _is_outdated(self, content: Mapping[str, Any]) -> bool:
        """Whether a place within an epoch is one of other crops, or the epoch has to be done anew."""
        back = [event for event in self._recovery.events if event.back and event.epoch == content["epoch"]]
        undone = any(event not in content["events"] for event in events_to_json(back))
        return undone or content["inputs"] != self._job.inputs

    def _train_epoch(self) -> None:
        """The steps that are left of an epoch; ends early where the loss is no number."""
        job, progress = self._job, self._training.progress
        order = job.order(progress.epoch)
        self._training.use_precision(self._steering.value("precision"))
        self._began = time.monotonic() - progress.seconds
        mine = [items[job.processes.share] for items in order[progress.step :]]
        with contextlib.closing(job.data.train_batches.batches(mine)) as batches:
            for pictures, targets in batches:
                self._step(pictures, targets, whole=len(order[progress.step]), steps=len(order))
                looks = (progress.step - 1) % STEPS_UNSEEN[job.data.kind] == 0 or progress.step == len(order)
                if looks and not self._look():
                    break
                if job.watch:
                    job.watch.step(epoch=progress.epoch + 1, step=progress.step, loss=progress.mean_loss)

    def _step(self, pictures: torch.Tensor, targets: torch.Tensor, *, whole: int, steps: int) -> None:
        training, progress, value = self._training, self._training.progress, self._steering.value
        rate = self._steering.learning_rate(progress.epoch + progress.step / steps, step=1 / steps)
        training.set_rates(learning_rate=rate, weight_decay=value("weight_decay"))
        views = training.views(pictures, picture_size(self._job.settings, progress.epoch), whole=whole)
        if not self._shown and self._job.watch:
            self._job.watch.picture("augmented", self._picture(views), epoch=progress.epoch + 1)
        self._shown = True
        training.step(views, targets, whole=whole, parts=self._recovery.parts, clip=value("clip"))
        training.end_step(steps)

    def _look(self) -> bool:
        """See how the epoch goes, and save a state where it is time; returns whether the loss is a number."""
        progress = self._training.progress
        due = self._training.look(time.monotonic() - self._saved >= self._job.save_seconds)
        if not math.isfinite(progress.mean_loss):
            return False
        if due:
            progress.seconds = time.monotonic() - self._began
            self._save(epoch_ended=False)
        return True

    def _end_epoch(self) -> None:
        """Validate, steer, note and save; raises `GoBack` or `DivergedError` where the epoch's work is lost."""
        job, training, progress = self._job, self._training, self._training.progress
        row = self._row()
        rows = [*progress.history, row]
        events = self._steering.end(rows)
        self._say(events)
        for event in events:
            if event.back:
                raise GoBack(event)
        if not math.isfinite(row["loss"]):
            raise DivergedError(
                f"epoch {progress.epoch + 1}: the loss is {row['loss']}. Lower classifier.learning_rate or "
                "classifier.clip, set classifier.precision to fp32, or have steering.interventions do so when the loss "
                "is not_finite (steering.mode: apply). Each of these starts the training anew."
            )
        if row["val_top1"] is not None and row["val_top1"] > progress.best:
            progress.best, progress.best_epoch = row["val_top1"], progress.epoch + 1
            training.best_weights = training.average_on_cpu()
        progress.end_epoch(row)
        self._log(row)
        self._save(epoch_ended=True)
        if job.watch:
            job.watch.epoch(progress.history, self._steering.events)

    def _row(self) -> Row:
        """The epoch's row of the history."""
        job, progress = self._job, self._training.progress
        epoch, steps = progress.epoch + 1, progress.step
        validates = epoch % job.settings.validate_every == 0 and math.isfinite(progress.mean_loss)
        top1, top5 = self._validate() if validates else (None, None)
        (seconds,) = job.processes.total([time.monotonic() - self._began if job.processes.first else 0.0])
        return {
            "epoch": epoch,
            "seconds": seconds,
            "loss": progress.mean_loss,
            "learning_rate": self._steering.learning_rate(epoch, step=1 / steps),
            "size": picture_size(job.settings, epoch - 1),
            "train_top1": progress.right / progress.seen,
            "val_top1": top1,
            "val_top5": top5,
        }

    def _validate(self) -> tuple[float, float]:
        job = self._job
        at_once = 2 * -(-job.settings.batch // (self._recovery.parts * job.processes.count))
        mine = [(pill, 0.0) for pill in range(len(job.data.val))][job.processes.share]
        order = [mine[start : start + at_once] for start in range(0, len(mine), at_once)]
        with contextlib.closing(job.data.val_batches.batches(order)) as batches:
            return self._training.validate(batches)

    def _save(self, *, epoch_ended: bool) -> None:
        self._saved = time.monotonic()
        if self._job.processes.first:
            content = self._training.content() | {"events": events_to_json(self._steering.events)}
            self._job.checkpoints.save(content | {"inputs": self._job.inputs}, epoch_ended=epoch_ended)

    def _deliver(self) -> None:
        """Write what is delivered into the state's folder.

        A last epoch that had no validation gets one here. It is no part of the state, so that a training that goes on
        to more epochs ends as if these had been asked for at once.
        """
        job, progress, weights = self._job, self._training.progress, self._training.best_weights
        rows = list(progress.history)
        if rows[-1]["val_top1"] is None:
            top1, top5 = self._validate()
            rows[-1] = rows[-1] | {"val_top1": top1, "val_top5": top5}
            self._log(rows[-1])
            weights = self._training.average_on_cpu() if top1 > progress.best else weights
        if not job.watch:
            return
        facts = job.settings.model_dump(include={"model", "model_args", "image_size"}) | {"classes": job.classes}
        facts |= {"preprocessing": preprocessing_of(self._training.model)}
        with replacing_folder(job.folder / "delivered") as folder:
            best, history, events, resources = (folder / name for name in DELIVERED)
            tensors = {key: value.contiguous() for key, value in weights.items()}
            # safetensors writes several entries in a random order: one entry keeps the bytes the same
            save_file(tensors, best, metadata={"pillsnap": json.dumps(facts, ensure_ascii=False)})
            write_history(rows, history)
            write_json(events, events_to_json(self._steering.events))
            write_json(resources, job.watch.resources())

    def _picture(self, views: torch.Tensor) -> Any:
        """Views as people see them: uint8 (height, width, 3)."""
        figures = preprocessing_of(self._training.model)
        mean, std = (torch.tensor(figures[name]).view(3, 1, 1) for name in ("mean", "std"))
        grid = make_grid(views[:SHOWN].cpu() * std + mean, nrow=8)
        return (grid.clamp(0, 1) * 255).to(torch.uint8).permute(1, 2, 0).numpy()

    def _say(self, events: list[Event]) -> None:
        for event in events if self._job.processes.first else ():
            log.info("%s", event.said)

    def _log(self, row: Row) -> None:
        if not self._job.processes.first:
            return
        shown = f"train {row['train_top1']:.4f}"
        if row["val_top1"] is not None:
            shown = f"Accuracy: {row['val_top1']:.4f} ({shown}, top-5 {row['val_top5']:.4f})"
        epochs = self._job.settings.epochs
        log.info("epoch %d/%d  Loss: %.3f  %s  %.0f s", row["epoch"], epochs, row["loss"], shown, row["seconds"])
