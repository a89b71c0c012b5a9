"""Train the detector in ultralytics' loop, with state, steering and data order of our own.

ultralytics refuses to resume a finished training, keeps half of its state in FP16, draws other random numbers after a
resume and pickles its checkpoints. Overriding methods of its trainer class is enough to do without: nothing of it is
patched. Import this module after `prepare_ultralytics`.
"""

import functools
import logging
import math
import random
import time
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import distributed, nn
from ultralytics.data.build import build_dataloader
from ultralytics.models.yolo.detect import DetectionTrainer
from ultralytics.utils.torch_utils import torch_distributed_zero_first, unwrap_model

from pillsnap.detector.job import FINAL_VALIDATION, DetectorJob, is_finished
from pillsnap.detector.loader import EpochBatchSampler, EpochLoader, workers_that_fit
from pillsnap.detector.previews import batch_grid, validation_picture
from pillsnap.detector.weights import start_model
from pillsnap.files import write_json, write_text
from pillsnap.hardware import cores, use_threads
from pillsnap.training.history import detector_row, read_ultralytics_results
from pillsnap.training.recovery import DivergedError, Recovery, Rollback
from pillsnap.training.steering import Event, Steering, events_to_json

log = logging.getLogger(__name__)

LOSSES = ("box_loss", "cls_loss", "dfl_loss")
VALIDATION_METRICS = ("precision", "recall", "map50", "map50_95")


class PillTrainer(DetectionTrainer):
    """`DetectionTrainer` that resumes from our checkpoints, whatever number of epochs they have.

    `train` raises `Rollback` where an intervention returns to the last checkpoint, and `DivergedError` at a non-finite
    loss that none is left against.

    Args:
        job: of the training.
        recovery: its state outside the checkpoints.
    """

    def __init__(self, job: DetectorJob, recovery: Recovery) -> None:
        self.job, self.recovery = job, recovery
        self.saved = job.checkpoints.load(upto=job.settings.epochs)
        empty = {"epoch": 0, "best": 0.0, "best_epoch": 0, "best_weights": {}, "history": [], "events": []}
        saved: dict[str, Any] = self.saved or empty
        self.best_score, self.best_epoch, self.best_weights = saved["best"], saved["best_epoch"], saved["best_weights"]
        self.history: list[dict[str, float | None]] = saved["history"]
        recovered = [event for event in recovery.events if event.epoch <= saved["epoch"]]
        events = [*(Event(**event) for event in saved["events"]), *recovered]
        if job.chosen and job.chosen.event not in events:
            events = [job.chosen.event, *events]
            self._log_events(events[:1])
        self.steering = Steering(job.steering, model="detector", recipe=job.settings, events=events)
        recovery.epoch = saved["epoch"]
        super().__init__(overrides=job.ultralytics_args(recovery.accumulation_steps))
        self.epochs = job.settings.epochs

    def train(self) -> None:
        """Train from the last checkpoint to the end, and stop the worker processes whatever happens."""
        try:
            super().train()
        finally:
            if getattr(self, "train_loader", None) is not None:
                self.train_loader.close()

    def _setup_ddp(self) -> None:
        # the process group is there already: the processes share a checkpoint
        self.device = torch.device("cuda", torch.cuda.current_device())
        self.accelerator = torch.cuda

    def _do_train(self) -> None:
        use_threads(self.job.threads)
        torch.backends.cudnn.benchmark = self.device.type == "cuda"  # all pictures have one size
        if self.device.type == "cpu" and self.job.settings.precision == "fp16":
            log.warning("detector.precision = fp16: on the CPU the detector trains in fp32; bf16 works there")
        if not is_finished(self.saved, self.job.settings):
            return super()._do_train()
        if self.world_size > 1:
            self._setup_ddp()
        self._setup_train()
        self.epoch = self.start_epoch - 1
        self.loss = torch.zeros((), device=self.device)
        self.loss_items = dict.fromkeys(LOSSES, self.loss)
        return self.final_eval()

    def setup_model(self) -> None:
        """Build the starting model; its weights are read without unpickling anything unchecked."""
        self.model = start_model(self.job.settings.start)
        if self.device.type == "cpu" and self.job.settings.precision == "bf16":
            # oneDNN's bf16 kernels take channels last; with other memory they reorder it, which costs a third
            self.model = self.model.to(memory_format=torch.channels_last)

    def get_dataloader(self, dataset_path: str, batch_size: int = 16, rank: int = 0, mode: str = "train") -> Any:
        """ultralytics' loader for validation, ours for training; with as many workers as the shared memory allows."""
        with torch_distributed_zero_first(rank):
            dataset = self.build_dataset(dataset_path, mode, batch_size)
        job, on_gpu = self.job, self.device.type == "cuda"
        batch_bytes = batch_size * 3 * (job.settings.image_size + int(self.stride)) ** 2
        fitting = functools.partial(workers_that_fit, batch_bytes=batch_bytes, share=1 / (2 * job.world_size))
        if mode == "val":
            # ultralytics takes twice as many as for training
            workers = fitting(2 * job.threads)
            return build_dataloader(dataset, batch_size, workers=workers, shuffle=False, rank=rank, device=self.device)
        sampler = EpochBatchSampler(
            len(dataset),
            batch=job.settings.global_batch_size,
            accumulation_steps=self.recovery.accumulation_steps,
            seed=job.seed,
            rank=max(rank, 0),
            world_size=job.world_size,
        )
        # on the CPU a worker gains something only where torch's threads leave it a core
        workers = fitting(job.threads if on_gpu else min(1, max(0, cores() - job.threads)))
        self._step_ends = sampler.step_ends()
        return EpochLoader(dataset, sampler, seed=job.seed, workers=workers, pin_memory=on_gpu)

    def _setup_scheduler(self) -> None:
        # ultralytics warms up by itself, from batch to batch
        warmup, peak = self.job.settings.warmup_epochs, self.job.settings.learning_rate
        self.lf = lambda epoch: self.steering.learning_rate(max(epoch, warmup)) / peak
        self.scheduler = torch.optim.lr_scheduler.LambdaLR(self.optimizer, lr_lambda=self.lf)

    def _get_warmup_iterations(self, num_batches: int) -> int:
        return round(self.job.settings.warmup_epochs * num_batches)

    def resume_training(self, ckpt: None) -> None:
        """Load our checkpoint; ultralytics calls this at the end of its preparations."""
        self.stopper = _EarlyStopping(self)
        self._use_precision()
        self._parameters = list(self.model.parameters())
        if self.job.chosen:
            self.ema.decay = self.job.chosen.scale_decay(self.ema.decay)
        if self.saved is None:
            return
        saved, model = self.saved, unwrap_model(self.model)
        model.load_state_dict(saved["model"])
        self.ema.ema.load_state_dict(saved["ema"])
        self.ema.updates = saved["updates"]
        for stored, group in zip(saved["optimizer"]["param_groups"], self.optimizer.param_groups, strict=True):
            stored["fused"] = group.get("fused")
        self.optimizer.load_state_dict(saved["optimizer"])
        if saved["scaler"]:
            self.scaler.load_state_dict(saved["scaler"])
        self.start_epoch = saved["epoch"]
        write_text(self.csv, saved["results"])
        # the loss of a head with one-to-many and one-to-one branches shifts its weight between them, epoch by epoch
        model.criterion = model.init_criterion()
        if hasattr(model.criterion, "update"):
            model.criterion.updates = self.start_epoch - 1
            model.criterion.update()
        if self.job.watch:
            log.info("resuming after epoch %d", self.start_epoch)
        self.saved = None  # its tensors have been copied

    def _model_train(self) -> None:
        super()._model_train()
        self._epoch_start, self._micro_batch, self._step = time.monotonic(), 0, 0
        self._oom_retries = math.inf  # `train_with_recovery` handles memory that runs out
        events = self._broadcast(events_to_json(self.steering.events))
        self.steering.events[:] = [Event(**event) for event in events]
        self._log_events(self.steering.begin(self.epoch))
        self._use_precision()
        for group in self.optimizer.param_groups:
            group["lr"] = group["initial_lr"] * self.lf(self.epoch)
            if group["param_group"] == "weight":
                group["weight_decay"] = self.steering.value("weight_decay")
        self.train_loader.sampler.set_epoch(self.epoch)
        random.seed(self.job.seed + self.epoch)
        np.random.seed(self.job.seed + self.epoch)
        torch.manual_seed(self.job.seed * 100_003 + self.epoch)

    def _use_precision(self) -> None:
        precision, on_gpu = self.steering.value("precision"), self.device.type == "cuda"
        if not on_gpu and precision == "fp16":
            precision = "fp32"
        if precision != getattr(self, "_precision", None):
            self._precision = precision
            self.scaler = torch.amp.GradScaler("cuda", enabled=precision == "fp16")
            # set here and not as an argument: ultralytics would download a model to check it
            # on the CPU `True` is bf16, and ultralytics refuses to hear it by its name
            self.args.amp = {"fp32": False, "fp16": True, "bf16": "bf16" if on_gpu else True}[precision]
            self.amp = precision != "fp32"

    def preprocess_batch(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Log the training's first batch as it is augmented."""
        if self.job.watch and self.epoch == 0 and self._micro_batch == 0 and self.model.training:
            self.job.watch.picture("augmented", batch_grid(batch["img"]), epoch=1)
        return super().preprocess_batch(batch)

    def optimizer_step(self) -> None:
        """Do a step where all micro-batches of a batch are computed; ultralytics calls this after each of them."""
        self._micro_batch += 1
        if self.world_size <= 1:
            self._handle_nan_recovery(self.epoch)
        if not self._step_ends[self._micro_batch - 1]:
            return
        self.scaler.unscale_(self.optimizer)
        nn.utils.clip_grad_norm_(self._parameters, max_norm=self.steering.value("clip"))
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.optimizer.zero_grad()
        self.ema.update(self.model)
        self._step += 1
        if self.job.watch:
            self.job.watch.step(epoch=self.epoch + 1, step=self._step, loss=self._mean_loss)

    def _handle_nan_recovery(self, epoch: int) -> bool:
        """Roll back or stop at a non-finite loss; ultralytics would load a checkpoint of its own."""
        reaction = self._broadcast(None if math.isfinite(self._mean_loss) else self._on_non_finite_loss(epoch))
        if isinstance(reaction, dict):
            raise Rollback(Event(**reaction))
        if reaction is not None:
            raise DivergedError(reaction)
        return False

    def _on_non_finite_loss(self, epoch: int) -> dict[str, Any] | str:
        """The event of an intervention that rolls back, as JSON values, or an error message."""
        row = detector_row({"epoch": epoch + 1, **self.label_loss_items(self.tloss)}, finite=False)
        events = self.steering.end([*self.history, row])
        for event in events:
            if event.back:
                return events_to_json([event])[0]
        self._log_events(events)
        return (
            f"detector, epoch {epoch + 1}: non-finite loss (NaN or inf). Lower detector.learning_rate or "
            "detector.clip, set detector.precision to fp32, or add an intervention with not_finite to "
            f"steering.interventions (mode apply). {epoch} epochs are saved."
        )

    @property
    def _mean_loss(self) -> float:
        """Mean loss of the epoch so far."""
        return sum(float(value) for value in self.tloss.values())

    def validate(self) -> tuple[dict[str, float] | None, float | None]:
        """Validate every `validate_every` epochs; in between the last metrics stay."""
        if not self._validates:
            return self.metrics, self.fitness
        metrics_and_fitness = super().validate()
        self._log_validation_picture()
        return metrics_and_fitness

    def save_metrics(self, metrics: dict[str, float]) -> None:
        """Write ultralytics' row of its `results.csv`, and read it back as ours; empty metrics without a validation."""
        old = {} if self._validates else {name: math.nan for name in metrics if name.startswith(("metrics/", "val/"))}
        super().save_metrics(metrics | old)
        row = read_ultralytics_results(self.csv.read_text(encoding="utf-8"))[-1]
        self.history.append(row | {"seconds": time.monotonic() - self._epoch_start})
        if self._validates:
            self._update_best(self.fitness)
        self._log_events(self.steering.end(self.history))

    def _update_best(self, fitness: float) -> None:
        fitness = float(fitness) if math.isfinite(fitness) else 0.0
        if fitness > self.best_score or self.best_score == 0:
            self.best_score, self.best_epoch = fitness, self.epoch + 1
            self.best_weights = {name: value.cpu().clone() for name, value in self.ema.ema.state_dict().items()}

    def save_model(self) -> bool:
        """Save a checkpoint after an epoch, of plain tensors and numbers."""
        self.job.checkpoints.save(
            {
                "epoch": self.epoch + 1,
                "step": 0,
                "description": self.ema.ema.yaml,
                "model": unwrap_model(self.model).state_dict(),
                "ema": self.ema.ema.state_dict(),
                "updates": self.ema.updates,
                "optimizer": self.optimizer.state_dict(),
                "scaler": self.scaler.state_dict(),
                "best": self.best_score,
                "best_epoch": self.best_epoch,
                "best_weights": self.best_weights,
                "history": self.history,
                "events": events_to_json(self.steering.events),
                "results": self.csv.read_text(encoding="utf-8"),
            }
        )
        self.recovery.epoch = self.epoch + 1
        if self.job.watch:
            self.job.watch.epoch(self.history, self.steering.events)
        _log_epoch(self.history[-1], self.epochs)
        return True

    def final_eval(self) -> None:
        """Validate a last epoch that `validate_every` does not reach; more epochs resume without this validation."""
        if self._validates:
            return
        metrics, fitness = super().validate()
        self._log_validation_picture()
        if metrics is not None:
            row = {name: value for name, value in detector_row(metrics).items() if name in VALIDATION_METRICS}
            score = float(fitness) if math.isfinite(fitness) else 0.0
            write_json(self.job.folder / FINAL_VALIDATION, {"epoch": self.epoch + 1, "row": row, "fitness": score})
            _log_epoch(self.history[-1] | row, self.epochs)

    @property
    def _validates(self) -> bool:
        return (self.epoch + 1) % self.job.settings.validate_every == 0

    def _log_events(self, events: list[Event]) -> None:
        for event in events if self.job.watch else ():
            log.info("%s", event.said)

    def _log_validation_picture(self) -> None:
        if self.job.watch:
            picture = validation_picture(self.ema.ema, self.test_loader.dataset, self.device)
            self.job.watch.picture("boxes", picture, epoch=self.epoch + 1)

    def _broadcast(self, value: Any) -> Any:
        """The main process's value."""
        if self.world_size <= 1:
            return value
        box = [value]
        distributed.broadcast_object_list(box, 0)
        return box[0]


class _EarlyStopping:
    """ultralytics' `EarlyStopping`, with a best epoch that survives a resume and skips epochs without validation."""

    possible_stop = False

    def __init__(self, trainer: PillTrainer) -> None:
        self._trainer = trainer

    def __call__(self, epoch: int, fitness: float | None) -> bool:
        return is_finished({"epoch": epoch, "best_epoch": self._trainer.best_epoch}, self._trainer.job.settings)


def _log_epoch(row: Mapping[str, float | None], epochs: int) -> None:
    loss = sum(value for name in LOSSES if (value := row[name]) is not None)
    measured = ""
    if row["map50"] is not None:
        measured = f"  mAP@0.5 {row['map50']:.4f}  mAP@0.5:0.95 {row['map50_95'] or 0:.4f}"
    log.info("epoch %d/%d  Loss: %.3f%s  %.0f s", row["epoch"], epochs, loss, measured, row["seconds"] or 0)
