"""The detector's training: ultralytics' loop, with state, steering and data order of our own.

ultralytics refuses to go on from a finished training, keeps half of its state in FP16, draws anew after a resume and
pickles its checkpoints. What its trainer class offers to be overridden is enough to do without: nothing of it is
patched.
"""

import logging
import math
import random
import time
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import distributed, nn

from pillsnap.detector_data import EpochLoader, EpochOrder
from pillsnap.detector_job import CLOSING, DetectorJob, over
from pillsnap.detector_weights import start_model
from pillsnap.files import write_json, write_text
from pillsnap.hardware import use_threads
from pillsnap.history import detector_row, read_ultralytics_results
from pillsnap.training.recovery import DivergedError, GoBack, Recovery
from pillsnap.training.steering import Event, Steering, events_to_json

log = logging.getLogger(__name__)

LOSSES = ("box_loss", "cls_loss", "dfl_loss")
MEASURED = ("precision", "recall", "map50", "map50_95")


def train_on(job: DetectorJob, recovery: Recovery) -> None:
    """Train from the last checkpoint to the end.

    Args:
        job: what is asked for.
        recovery: what has happened outside the epochs.

    Raises:
        GoBack: an intervention asks for the last checkpoint.
        DivergedError: the loss is no number.
    """
    from ultralytics.models.yolo.detect import DetectionTrainer

    class PillTrainer(PillTraining, DetectionTrainer):
        pass

    PillTrainer(job, recovery).train()


class PillTraining:
    """What differs from ultralytics' `DetectionTrainer`, before which it stands in the order of bases."""

    def __init__(self, job: DetectorJob, recovery: Recovery) -> None:
        self.job, self.recovery = job, recovery
        self.saved = job.checkpoints.load(upto=job.settings.epochs)
        saved = self.saved or {"epoch": 0, "best": 0.0, "best_epoch": 0, "best_weights": {}, "history": [], "events": []}
        self.best_score, self.best_epoch, self.best_weights = saved["best"], saved["best_epoch"], saved["best_weights"]
        self.rows: list[dict[str, float | None]] = saved["history"]
        happened = [event for event in recovery.events if event.epoch <= saved["epoch"]]
        events = [*(Event(**event) for event in saved["events"]), *happened]
        self.steering = Steering(job.steering, model="detector", recipe=job.settings, events=events)
        recovery.epoch = saved["epoch"]
        super().__init__(overrides=job.arguments(recovery.parts))
        self.epochs = job.settings.epochs

    # from the start to the loop

    def train(self) -> None:
        """Train and end the processes that read, whatever happens."""
        try:
            super().train()
        finally:
            if getattr(self, "train_loader", None) is not None:
                self.train_loader.close()

    def _setup_ddp(self) -> None:
        # the processes have found each other before: they share a checkpoint
        self.device = torch.device("cuda", torch.cuda.current_device())
        self.accelerator = torch.cuda

    def _do_train(self) -> None:
        if not over(self.saved, self.job.settings):
            return super()._do_train()
        if self.world_size > 1:
            self._setup_ddp()
        self._setup_train()
        self.epoch = self.start_epoch - 1
        self.loss_items = dict.fromkeys(LOSSES, torch.zeros((), device=self.device))
        return self.final_eval()

    def setup_model(self) -> None:
        """The starting model; its weights are read without unpickling anything unchecked."""
        self.model = start_model(self.job.settings.model)

    def get_dataloader(self, dataset_path: str, batch_size: int = 16, rank: int = 0, mode: str = "train") -> Any:
        """ultralytics' loader for validation, ours for training."""
        if mode == "val":
            return super().get_dataloader(dataset_path, batch_size, rank, mode)
        from ultralytics.utils.torch_utils import torch_distributed_zero_first

        with torch_distributed_zero_first(rank):
            dataset = self.build_dataset(dataset_path, mode, batch_size)
        job, on_gpu = self.job, self.device.type == "cuda"
        sizes = {"batch": job.settings.batch, "parts": self.recovery.parts, "processes": job.processes}
        order = EpochOrder(len(dataset), **sizes, seed=job.seed, rank=max(rank, 0))
        workers = job.threads if on_gpu else 1
        loader = EpochLoader(dataset, order, seed=job.seed, workers=workers, pin_memory=on_gpu)
        self._part_ends = order.part_ends()
        return loader

    def _setup_scheduler(self) -> None:
        # ultralytics warms up by itself, from batch to batch
        warm, peak = self.job.settings.warmup_epochs, self.job.settings.learning_rate
        self.lf = lambda epoch: self.steering.learning_rate(max(epoch, warm)) / peak
        self.scheduler = torch.optim.lr_scheduler.LambdaLR(self.optimizer, lr_lambda=lambda epoch: self.lf(epoch))

    def _get_warmup_iterations(self, num_batches: int) -> int:
        return round(self.job.settings.warmup_epochs * num_batches)

    def resume_training(self, ckpt: None) -> None:
        """Take over the checkpoint; ultralytics calls this at the end of its preparations."""
        self.stopper = _Patience(self)
        self._use_precision()
        if self.saved is None:
            return
        saved, model = self.saved, _unwrapped(self.model)
        model.load_state_dict(saved["model"])
        self.ema.ema.load_state_dict(saved["average"])
        self.ema.updates = saved["updates"]
        for stored, group in zip(saved["optimizer"]["param_groups"], self.optimizer.param_groups, strict=True):
            stored["fused"] = group.get("fused")
        self.optimizer.load_state_dict(saved["optimizer"])
        if saved["scaler"]:
            self.scaler.load_state_dict(saved["scaler"])
        self.start_epoch = saved["epoch"]
        write_text(self.csv, saved["results"])
        # a head that is trained in two ways shifts its weight from one to the other, epoch by epoch
        model.criterion = model.init_criterion()
        if hasattr(model.criterion, "update"):
            model.criterion.updates = self.start_epoch - 1
            model.criterion.update()
        log.info("going on after epoch %d", self.start_epoch)

    # an epoch

    def _model_train(self) -> None:
        super()._model_train()
        self._began, self._part, self._step = time.monotonic(), 0, 0
        self._oom_retries = math.inf  # memory that runs out is `recovering`'s matter
        use_threads(self.job.threads)
        events = self._from_first(events_to_json(self.steering.events))
        self.steering.events[:] = [Event(**event) for event in events]
        self._tell(self.steering.begin(self.epoch))
        self._use_precision()
        for group in self.optimizer.param_groups:
            group["lr"] = group["initial_lr"] * self.lf(self.epoch)
            if group["param_group"] == "weight":
                group["weight_decay"] = self.steering.value("weight_decay")
        self.train_loader.sampler.set_epoch(self.epoch)
        random.seed(self.job.seed + self.epoch)
        np.random.seed(self.job.seed + self.epoch)  # noqa: NPY002 (ultralytics draws from it)
        torch.manual_seed(self.job.seed * 100_003 + self.epoch)

    def _use_precision(self) -> None:
        # on the CPU ultralytics computes in FP32 whatever is asked for
        precision = self.steering.value("precision") if self.device.type == "cuda" else "fp32"
        if precision != getattr(self, "_precision", None):
            self._precision = precision
            self.scaler = torch.amp.GradScaler("cuda", enabled=precision == "fp16")
            # set here and not as an argument: ultralytics would want to download a model to check it
            self.args.amp = {"fp32": False, "fp16": True, "bf16": "bf16"}[precision]
            self.amp = precision != "fp32"

    def preprocess_batch(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Show the first batch of all as it is augmented."""
        if self.job.watch and self.epoch == 0 and self._part == 0 and self.model.training:
            from pillsnap.detector_pictures import mosaic

            self.job.watch.picture("augmented", mosaic(batch["img"]), epoch=1)
        return super().preprocess_batch(batch)

    def optimizer_step(self) -> None:
        """A step where a whole batch has been computed; ultralytics calls this after each part."""
        self._part += 1
        if not self._part_ends[self._part - 1]:
            return
        self.scaler.unscale_(self.optimizer)
        nn.utils.clip_grad_norm_(self.model.parameters(), max_norm=self.steering.value("clip"))
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.optimizer.zero_grad()
        self.ema.update(self.model)
        self._step += 1
        if self.job.watch:
            self.job.watch.step(epoch=self.epoch + 1, step=self._step, loss=self._loss)

    def validate(self) -> tuple[dict[str, float] | None, float | None]:
        """Validate where the epoch is on the schedule; otherwise what was measured last stays."""
        if not self._scheduled:
            return self.metrics, self.fitness
        found = super().validate()
        self._show_boxes()
        return found

    def _handle_nan_recovery(self, epoch: int) -> bool:
        """What follows from a loss that is no number: ultralytics would go back to a checkpoint of its own."""
        verdict = self._from_first(None if math.isfinite(self._loss) else self._verdict(epoch))
        if isinstance(verdict, dict):
            raise GoBack(Event(**verdict))
        if verdict is not None:
            raise DivergedError(verdict)
        return False

    def _verdict(self, epoch: int) -> dict[str, Any] | str:
        row = detector_row({"epoch": epoch + 1, **self.label_loss_items(self.tloss)}, finite=False)
        events = self.steering.end([*self.rows, row])
        for event in events:
            if event.back:
                return events_to_json([event])[0]
        self._tell(events)
        return (
            f"detector, epoch {epoch + 1}: the loss is no number any more. Lower detector.learning_rate or "
            "detector.clip, set detector.precision to fp32, or add an intervention with not_finite to "
            f"steering.interventions (mode apply). {epoch} epochs are saved."
        )

    def save_metrics(self, metrics: dict[str, float]) -> None:
        """ultralytics' row in its `results.csv`, read back as ours; without a validation its figures are empty."""
        old = {} if self._scheduled else {name: math.nan for name in metrics if name.startswith(("metrics/", "val/"))}
        super().save_metrics(metrics | old)
        row = read_ultralytics_results(self.csv.read_text(encoding="utf-8"))[-1]
        self.rows.append(row | {"seconds": time.monotonic() - self._began})
        if self._scheduled:
            self._rank(self.fitness)
        self._tell(self.steering.end(self.rows))

    def _rank(self, fitness: float) -> None:
        fitness = float(fitness) if math.isfinite(fitness) else 0.0
        if fitness > self.best_score or self.best_score == 0:
            self.best_score, self.best_epoch = fitness, self.epoch + 1
            self.best_weights = {name: value.cpu().clone() for name, value in self.ema.ema.state_dict().items()}

    def save_model(self) -> bool:
        """The whole state after an epoch, plain tensors and numbers."""
        self.job.checkpoints.save(
            {
                "epoch": self.epoch + 1,
                "step": 0,
                "description": self.ema.ema.yaml,
                "model": _unwrapped(self.model).state_dict(),
                "average": self.ema.ema.state_dict(),
                "updates": self.ema.updates,
                "optimizer": self.optimizer.state_dict(),
                "scaler": self.scaler.state_dict(),
                "best": self.best_score,
                "best_epoch": self.best_epoch,
                "best_weights": self.best_weights,
                "history": self.rows,
                "events": events_to_json(self.steering.events),
                "results": self.csv.read_text(encoding="utf-8"),
            }
        )
        self.recovery.epoch = self.epoch + 1
        if self.job.watch:
            self.job.watch.epoch(self.rows, self.steering.events)
        _say(self.rows[-1], self.epochs)
        return True

    # the end

    def final_eval(self) -> None:
        """Validate an end that is off the schedule; the result stays out of the state, which more epochs go on from."""
        if self._scheduled:
            return
        metrics, fitness = super().validate()
        self._show_boxes()
        if metrics is not None:
            row = {name: value for name, value in detector_row(metrics).items() if name in MEASURED}
            score = float(fitness) if math.isfinite(fitness) else 0.0
            write_json(self.job.folder / CLOSING, {"epoch": self.epoch + 1, "row": row, "fitness": score})
            _say(self.rows[-1] | row, self.epochs)

    # helpers

    @property
    def _scheduled(self) -> bool:
        return (self.epoch + 1) % self.job.settings.validate_every == 0

    @property
    def _loss(self) -> float:
        """Mean loss of the epoch so far."""
        return sum(float(value) for value in self.tloss.values())

    def _from_first(self, value: Any) -> Any:
        """The first process's value."""
        if self.world_size <= 1:
            return value
        box = [value]
        distributed.broadcast_object_list(box, 0)
        return box[0]

    def _tell(self, events: list[Event]) -> None:
        for event in events if self.job.watch else ():
            log.info("%s", event.said)

    def _show_boxes(self) -> None:
        if self.job.watch:
            from pillsnap.detector_pictures import picture_with_boxes

            picture = picture_with_boxes(self.ema.ema, self.test_loader.dataset, self.device)
            self.job.watch.picture("boxes", picture, epoch=self.epoch + 1)


class _Patience:
    """Ends a training without a better validation for long; stands in for ultralytics' own."""

    possible_stop = False

    def __init__(self, trainer: PillTraining) -> None:
        self._trainer = trainer

    def __call__(self, epoch: int, fitness: float | None) -> bool:
        return over({"epoch": epoch, "best_epoch": self._trainer.best_epoch}, self._trainer.job.settings)


def _unwrapped(model: nn.Module) -> nn.Module:
    return model.module if isinstance(model, nn.parallel.DistributedDataParallel) else model


def _say(row: Mapping[str, float | None], epochs: int) -> None:
    losses = [row[name] for name in LOSSES]
    measured = ""
    if row["map50"] is not None:
        measured = f"  mAP@0.5 {row['map50']:.4f}  mAP@0.5:0.95 {row['map50_95'] or 0:.4f}"
    loss = sum(value for value in losses if value is not None)
    log.info("epoch %d/%d  Loss: %.3f%s  %.0f s", row["epoch"], epochs, loss, measured, row["seconds"] or 0)
