"""The detector's training: ultralytics' loop, with state, steering and data order of our own.

ultralytics refuses to go on from a finished training, keeps half of its state in FP16, draws anew after a resume and
pickles its checkpoints. What its trainer class offers to be overridden is enough to do without: nothing of it is
patched.
"""

import logging
import math
import random
import time
from typing import Any

import numpy as np
import torch
from torch import distributed, nn

from pillsnap.detector.checkpointing import LOSSES, SavedTraining
from pillsnap.detector.job import DetectorJob, over
from pillsnap.detector.loader import EpochLoader, EpochOrder
from pillsnap.detector.weights import start_model
from pillsnap.hardware import cores, use_threads
from pillsnap.training.history import detector_row
from pillsnap.training.recovery import DivergedError, GoBack, Recovery
from pillsnap.training.steering import Event, events_to_json

log = logging.getLogger(__name__)


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


class PillTraining(SavedTraining):
    """What differs from ultralytics' `DetectionTrainer`, before which it stands in the order of bases."""

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
        use_threads(self.job.threads)
        if self.device.type == "cpu" and self.job.settings.precision != "fp32":
            log.warning("detector.precision = %s: on the CPU ultralytics computes in fp32", self.job.settings.precision)
        if not over(self.saved, self.job.settings):
            return super()._do_train()
        if self.world_size > 1:
            self._setup_ddp()
        self._setup_train()
        self.epoch = self.start_epoch - 1
        self.loss = torch.zeros((), device=self.device)
        self.loss_items = dict.fromkeys(LOSSES, self.loss)
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
        # on the CPU one that reads gains something where arithmetic leaves it a core
        workers = job.threads if on_gpu else min(1, max(0, cores() - job.threads))
        loader = EpochLoader(dataset, order, seed=job.seed, workers=workers, pin_memory=on_gpu)
        self._part_ends = order.part_ends()
        return loader

    def _setup_scheduler(self) -> None:
        # ultralytics warms up by itself, from batch to batch
        warm, peak = self.job.settings.warmup_epochs, self.job.settings.learning_rate
        self.lf = lambda epoch: self.steering.learning_rate(max(epoch, warm)) / peak
        self.scheduler = torch.optim.lr_scheduler.LambdaLR(self.optimizer, lr_lambda=self.lf)

    def _get_warmup_iterations(self, num_batches: int) -> int:
        return round(self.job.settings.warmup_epochs * num_batches)

    def _model_train(self) -> None:
        super()._model_train()
        self._began, self._part, self._step = time.monotonic(), 0, 0
        self._oom_retries = math.inf  # memory that runs out is `recovering`'s matter
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
        np.random.seed(self.job.seed + self.epoch)
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
            from pillsnap.detector.previews import mosaic

            self.job.watch.picture("augmented", mosaic(batch["img"]), epoch=1)
        return super().preprocess_batch(batch)

    def optimizer_step(self) -> None:
        """A step where a whole batch has been computed; ultralytics calls this after each part."""
        self._part += 1
        if self.world_size <= 1:
            self._handle_nan_recovery(self.epoch)
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
