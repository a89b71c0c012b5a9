"""Train the classifier step by step: model, EMA, optimizer and progress, and their state dict."""

import contextlib
import copy
import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from pillsnap.classifier.model import Ema, count_correct, create_classifier, parameter_groups
from pillsnap.classifier.transforms import augment, mixer, normalise, resize
from pillsnap.config.training import Classifier
from pillsnap.training.processes import Processes

if TYPE_CHECKING:  # it brings pandas and pandera, which a check of the GPU does without
    from pillsnap.crops.dataset import Batch

Row = dict[str, Any]

AUTOCAST = {"bf16": torch.bfloat16, "fp16": torch.float16}
"""Dtype of autocast by precision."""
VALIDATION_TIMES, VALIDATION_BATCH = 8, 64
"""See `validation_batch`: chosen, no GPU has been measured."""


def validation_batch(micro_batch: int, kind: str) -> int:
    """Pictures of a validation's batch on the device `kind`. Without gradients more fit than in a micro-batch: twice as
    many, and up to `VALIDATION_TIMES` as many on a GPU, where fewer than `VALIDATION_BATCH` would leave it waiting for
    launches."""
    return max(2 * micro_batch, min(VALIDATION_TIMES * micro_batch, VALIDATION_BATCH) if kind == "cuda" else 0)


@dataclass
class Progress:
    """Progress of a training; sums are over all processes.

    Attributes:
        epoch: finished epochs.
        step: finished steps of the next one.
        loss, correct, seen, seconds: sums of the epoch so far: losses, correct predictions, pills, time.
        best, best_epoch: highest validation top-1, and its epoch; -1 and 0 before the first.
        history: a row an epoch.
    """

    epoch: int = 0
    step: int = 0
    loss: float = 0.0
    correct: float = 0.0
    seen: int = 0
    seconds: float = 0.0
    best: float = -1.0
    best_epoch: int = 0
    history: list[Row] = field(default_factory=list)

    @property
    def mean_loss(self) -> float:
        """Mean loss of the epoch up to the last `sync_loss`."""
        return self.loss / self.seen if self.seen else math.nan

    def end_epoch(self, row: Row) -> None:
        """Start the next epoch."""
        self.epoch, self.step, self.history = self.epoch + 1, 0, [*self.history, row]
        self.loss, self.correct, self.seen, self.seconds = 0.0, 0.0, 0, 0.0

    def finished(self, settings: Classifier) -> bool:
        """Whether all epochs are done, or early stopping has run out of patience at a validation."""
        validated = [row["epoch"] for row in self.history if row["val_top1"] is not None]
        return self.epoch >= settings.epochs or bool(validated and validated[-1] - self.best_epoch >= settings.patience)


class ClassifierTrainer:
    """Model, exponential moving average (EMA), optimizer and progress of a training.

    Everything random in a step is a function of seed, epoch, step and rank, so that a checkpoint needs no state of
    random generators.

    Attributes:
        progress: of the training.
        model: that is trained.
        ema: its EMA.
        best_weights: the EMA at the best validation, on the CPU.
    """

    def __init__(self, settings: Classifier, n_classes: int, *, seed: int, device: str, processes: Processes) -> None:
        self._settings, self._seed, self._device, self._processes = settings, seed, device, processes
        torch.manual_seed(seed)
        self.progress = Progress()
        self.model = create_classifier(settings, n_classes).to(device, memory_format=torch.channels_last)
        self.ema = copy.deepcopy(self.model).eval().requires_grad_(False)
        self.best_weights: dict[str, torch.Tensor] = {}
        self._eager = self._network = processes.wrap(self.model, device)
        self._replays = settings.compile == "reduce-overhead"
        if settings.compile:
            # a graph for each shape, however many: a dynamic one would depend on which shape came first
            torch._dynamo.config.recompile_limit = 256
            mode = "reduce-overhead" if self._replays else None
            self._network = torch.compile(self._network, dynamic=False, mode=mode)
        # once wrapped: batch norms may have been replaced, their tensors are the same
        self._averaging, self._parameters = Ema(self.ema, self.model), list(self.model.parameters())
        groups = parameter_groups(self.model, settings.layer_decay)
        self._optimizer = torch.optim.AdamW(groups, lr=settings.learning_rate, fused=True)
        self._mix = mixer(mixup=settings.mixup, cutmix=settings.cutmix, n_classes=n_classes)
        self._sums = torch.zeros(3, dtype=torch.float64, device=device)
        self._precision = ""
        self.use_precision("fp32")

    def use_precision(self, precision: str) -> None:
        """Switch forward passes to `fp32`, `bf16` or `fp16`."""
        if precision == self._precision:
            return
        self._precision = precision
        self._scaler = torch.amp.GradScaler(self._device.split(":")[0], enabled=precision == "fp16")

    def set_rates(self, *, learning_rate: float, weight_decay: float) -> None:
        """Set the output layer's learning rate, and weight decay, for the next step."""
        for group in self._optimizer.param_groups:
            group["lr"] = learning_rate * group["lr_scale"]
            group["weight_decay"] = weight_decay * group["decay_scale"]

    def views(self, pictures: torch.Tensor, size: int, *, global_batch_size: int) -> torch.Tensor:
        """Augment this process's shard of a batch; the same views whatever the number of processes.

        Args:
            pictures: uint8 (N, 3, S, S).
            size: side of the views.
            global_batch_size: pictures of the batch over all processes.

        Returns:
            float32 (N, 3, size, size).
        """
        generator = torch.Generator().manual_seed(self._seed_of_step())
        normalised, shard = normalise(pictures, self.model), self._processes.shard
        return augment(normalised, size, generator, global_batch_size=global_batch_size, shard=shard)

    def step(
        self,
        views: torch.Tensor,
        targets: torch.Tensor,
        *,
        global_batch_size: int,
        accumulation_steps: int,
        max_grad_norm: float,
    ) -> None:
        """Do one step of the optimizer.

        Args:
            views: this process's shard of a batch, float32 (N, 3, size, size).
            targets: class indices, int64 (N,).
            global_batch_size: pictures of the batch over all processes; gradients are those of its mean loss.
            accumulation_steps: micro-batches that are computed one after the other, so that less memory is needed.
            max_grad_norm: largest norm of the gradient.
        """
        # dropout and mix-up draw from the global generator, each process for itself
        torch.manual_seed(self._seed_of_step(self._processes.rank))
        if self._mix:
            views, targets = self._mix(views, targets)
        views = views.contiguous(memory_format=torch.channels_last)
        # as many micro-batches in each process: they wait for each other
        parts = min(accumulation_steps, global_batch_size // self._processes.world_size)
        micro_batches = list(zip(views.tensor_split(parts), targets.tensor_split(parts), strict=True))
        self._accumulate_gradients(micro_batches, global_batch_size)
        self._scaler.unscale_(self._optimizer)
        nn.utils.clip_grad_norm_(self._parameters, max_grad_norm)
        self._scaler.step(self._optimizer)
        self._scaler.update()

    def _accumulate_gradients(
        self, micro_batches: list[tuple[torch.Tensor, torch.Tensor]], global_batch_size: int
    ) -> None:
        self.model.train()
        self._zero_gradients()
        network = self._network
        if self._replays and global_batch_size < self._settings.global_batch_size:
            network = self._eager  # an epoch's short last batch would be recorded for one step
        device_type, dtype = self._device.split(":")[0], AUTOCAST.get(self._precision)
        for number, (views, targets) in enumerate(micro_batches):
            with self._no_sync() if number < len(micro_batches) - 1 else contextlib.nullcontext():
                if self._replays:
                    # what the last replay wrote is not needed any more, and may be overwritten
                    torch.compiler.cudagraph_mark_step_begin()
                with torch.autocast(device_type, dtype, enabled=dtype is not None):
                    logits = network(views)
                logits, smoothing = logits.float(), self._settings.label_smoothing
                loss = functional.cross_entropy(logits, targets, label_smoothing=smoothing, reduction="sum")
                # DDP averages the gradients of its processes
                self._scaler.scale(loss * self._processes.world_size / global_batch_size).backward()
            labels = targets if targets.ndim == 1 else targets.argmax(1)
            correct = (logits.argmax(1) == labels).sum()
            self._sums += torch.stack([loss.detach(), correct, torch.full_like(correct, len(labels))])

    def _zero_gradients(self) -> None:
        """Gradients to zero; with CUDA graphs in tensors that stay, since a first gradient would lie in memory that the
        next micro-batch's replay overwrites."""
        if not self._replays:
            self._optimizer.zero_grad()
            return
        for parameter in self._parameters:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
        self._optimizer.zero_grad(set_to_none=False)

    def _no_sync(self) -> contextlib.AbstractContextManager:
        """DDP's `no_sync`: gradients stay in this process until a micro-batch outside of it."""
        return self._eager.no_sync() if self._processes.world_size > 1 else contextlib.nullcontext()

    def end_step(self, steps_per_epoch: int) -> None:
        """Update the EMA, and count the step."""
        progress = self.progress
        done = progress.epoch * steps_per_epoch + progress.step
        self._averaging.update(decay=self._settings.average_decay, step=done)
        progress.step += 1

    def sync_loss(self, flag: bool = False) -> bool:
        """Add losses and correct predictions of the last steps to the progress; synchronises with the device and with
        the other processes.

        Args:
            flag: broadcast from the main process.

        Returns:
            the main process's flag.
        """
        main_flag = float(flag and self._processes.is_main)
        loss, correct, seen, main_flag = self._processes.all_reduce([*self._sums.tolist(), main_flag])
        self._sums.zero_()
        self.progress.loss += loss
        self.progress.correct += correct
        self.progress.seen += int(seen)
        return bool(main_flag)

    @torch.inference_mode()
    def validate(self, batches: "Iterable[Batch]") -> tuple[float, float]:
        """Top-1 and top-5 accuracy of the EMA: on a GPU in the training's precision, on the CPU in fp32.

        Args:
            batches: this process's shard of the crops.
        """
        correct, seen = torch.zeros(2, dtype=torch.int64, device=self._device), 0
        device_type, dtype = self._device.split(":")[0], AUTOCAST.get(self._precision)
        for pictures, targets in batches:
            views = resize(normalise(pictures, self.ema), self._settings.image_size)
            with torch.autocast(device_type, dtype, enabled=dtype is not None and device_type == "cuda"):
                logits = self.ema(views.contiguous(memory_format=torch.channels_last))
            # summed on the device: a number that is read makes the CPU wait for the GPU
            correct += torch.stack([count_correct(logits.float(), targets, k) for k in (1, 5)])
            seen += len(targets)
        correct1, correct5, pills = self._processes.all_reduce([*correct.tolist(), seen])
        return correct1 / pills, correct5 / pills

    def ema_on_cpu(self) -> dict[str, torch.Tensor]:
        """Copy of the EMA's weights."""
        return {key: value.to("cpu", copy=True) for key, value in self.ema.state_dict().items()}

    def state_dict(self) -> dict[str, Any]:
        """Content of a checkpoint."""
        return asdict(self.progress) | {
            "model": self.model.state_dict(),
            "ema": self.ema.state_dict(),
            "best_weights": self.best_weights,
            "optimizer": self._optimizer.state_dict(),
            "precision": self._precision,
            "scaler": self._scaler.state_dict(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Resume from a checkpoint."""
        self.progress = Progress(**{each.name: state[each.name] for each in fields(Progress)})
        self.model.load_state_dict(state["model"])
        self.ema.load_state_dict(state["ema"])
        self.best_weights = state["best_weights"]
        self._optimizer.load_state_dict(state["optimizer"])
        self.use_precision(state["precision"])
        if state["scaler"]:
            self._scaler.load_state_dict(state["scaler"])

    def _seed_of_step(self, rank: int | None = None) -> int:
        numbers = [self._seed, self.progress.epoch, self.progress.step]
        entropy = numbers if rank is None else [*numbers, rank + 1]
        return int(np.random.SeedSequence(entropy).generate_state(1, np.uint64)[0])
