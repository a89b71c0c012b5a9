"""One training of the classifier: its weights and place, a step of it, and what a checkpoint of it holds."""

import contextlib
import copy
import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from pillsnap.classifier.model import average_into, count_right, create_classifier, parameter_groups
from pillsnap.classifier.transforms import augment, mixer, normalise, resize
from pillsnap.config.training import Classifier
from pillsnap.crops.dataset import Batch
from pillsnap.training.processes import Processes

Row = dict[str, float | None]

AUTOCAST = {"bf16": torch.bfloat16, "fp16": torch.float16}


@dataclass
class Progress:
    """How far a training is; sums are over all processes.

    Attributes:
        epoch: finished epochs.
        step: steps of the next one that are done.
        loss, right, seen, seconds: sums of the epoch so far: losses, pills named right, pills, time.
        best, best_epoch: highest validation top-1, and when; -1 and 0 before the first.
        history: a row an epoch.
    """

    epoch: int = 0
    step: int = 0
    loss: float = 0.0
    right: float = 0.0
    seen: int = 0
    seconds: float = 0.0
    best: float = -1.0
    best_epoch: int = 0
    history: list[Row] = field(default_factory=list)

    @property
    def mean_loss(self) -> float:
        """Mean loss of the epoch up to the last look."""
        return self.loss / self.seen if self.seen else math.nan

    def end_epoch(self, row: Row) -> None:
        """Go on to the next epoch."""
        self.epoch, self.step, self.history = self.epoch + 1, 0, [*self.history, row]
        self.loss, self.right, self.seen, self.seconds = 0.0, 0.0, 0, 0.0

    def over(self, settings: Classifier) -> bool:
        """Whether all epochs are done, or a validation found patience at its end."""
        validated = [row["epoch"] for row in self.history if row["val_top1"] is not None]
        return self.epoch >= settings.epochs or bool(validated and validated[-1] - self.best_epoch >= settings.patience)


class ClassifierTraining:
    """Model, moving average, optimizer and place of a training.

    Everything random in a step comes of seed, epoch, step and process: what is done before does not matter, so that a
    checkpoint needs no state of random numbers.

    Attributes:
        progress: the place.
        model: what is trained.
        averaged: its moving average.
        best_weights: the moving average at the best validation, on the CPU.
    """

    def __init__(self, settings: Classifier, n_classes: int, *, seed: int, device: str, processes: Processes) -> None:
        self._settings, self._seed, self._device, self._processes = settings, seed, device, processes
        torch.manual_seed(seed)
        self.progress = Progress()
        self.model = create_classifier(settings, n_classes).to(device, memory_format=torch.channels_last)
        self.averaged = copy.deepcopy(self.model).eval().requires_grad_(False)
        self.best_weights: dict[str, torch.Tensor] = {}
        self._network = processes.joined(self.model, device)
        if settings.compile:
            # a graph for each shape, however many: one for shapes in general would depend on which came first
            torch._dynamo.config.recompile_limit = 256
            self._network = torch.compile(self._network, dynamic=False)
        groups = parameter_groups(self.model, settings.layer_decay)
        self._optimizer = torch.optim.AdamW(groups, lr=settings.learning_rate, fused=True)
        self._mix = mixer(mixup=settings.mixup, cutmix=settings.cutmix, n_classes=n_classes)
        self._sums = torch.zeros(3, dtype=torch.float64, device=device)
        self._precision = ""
        self.use_precision("fp32")

    def use_precision(self, precision: str) -> None:
        """Compute forward passes in `fp32`, `bf16` or `fp16` from now on."""
        if precision == self._precision:
            return
        self._precision = precision
        self._scaler = torch.amp.GradScaler(self._device.split(":")[0], enabled=precision == "fp16")

    def set_rates(self, *, learning_rate: float, weight_decay: float) -> None:
        """Learning rate of the output layer and weight decay for the next step."""
        for group in self._optimizer.param_groups:
            group["lr"] = learning_rate * group["lr_scale"]
            group["weight_decay"] = weight_decay * group["decay_scale"]

    def views(self, pictures: torch.Tensor, size: int, *, whole: int) -> torch.Tensor:
        """Random views of this process's pictures of a batch; the same ones however many processes share it.

        Args:
            pictures: uint8 (N, 3, S, S).
            size: side of the views.
            whole: pictures of the whole batch.

        Returns:
            float32 (N, 3, size, size).
        """
        generator = torch.Generator().manual_seed(self._seed_of_step())
        normal = normalise(pictures, self.model)
        return augment(normal, size, generator, whole=whole, taken=self._processes.share)

    def step(self, views: torch.Tensor, targets: torch.Tensor, *, whole: int, parts: int, clip: float) -> None:
        """One step of the optimizer.

        Args:
            views: this process's part of a batch, float32 (N, 3, size, size).
            targets: int64 (N,).
            whole: pictures of the whole batch; gradients are those of its mean loss.
            parts: parts that are computed one after the other, so that less memory is taken.
            clip: largest norm of the gradient.
        """
        # dropout and mixing draw from the global generator, each process for itself
        torch.manual_seed(self._seed_of_step(self._processes.rank))
        shares = targets
        if self._mix:
            views, shares = self._mix(views, targets)
        views = views.contiguous(memory_format=torch.channels_last)
        parts = min(parts, whole // self._processes.count)  # as many in each process: they wait for each other
        self._model_learns(list(zip(views.tensor_split(parts), shares.tensor_split(parts), strict=True)), whole)
        self._scaler.unscale_(self._optimizer)
        nn.utils.clip_grad_norm_(self.model.parameters(), clip)
        self._scaler.step(self._optimizer)
        self._scaler.update()

    def _model_learns(self, parts: list[tuple[torch.Tensor, torch.Tensor]], whole: int) -> None:
        """Gradients of a batch, part by part."""
        self.model.train()
        self._optimizer.zero_grad()
        for number, (views, shares) in enumerate(parts):
            with self._alone() if number < len(parts) - 1 else contextlib.nullcontext():
                with torch.autocast(self._device.split(":")[0], AUTOCAST.get(self._precision), self._autocasts):
                    logits = self._network(views)
                logits, smoothing = logits.float(), self._settings.label_smoothing
                loss = functional.cross_entropy(logits, shares, label_smoothing=smoothing, reduction="sum")
                # the gradient that processes share is the mean of theirs
                self._scaler.scale(loss * self._processes.count / whole).backward()
            labels = shares if shares.ndim == 1 else shares.argmax(1)
            right = (logits.argmax(1) == labels).sum()
            self._sums += torch.stack([loss.detach(), right, torch.full_like(right, len(labels))])

    @property
    def _autocasts(self) -> bool:
        return self._precision in AUTOCAST

    def _alone(self) -> contextlib.AbstractContextManager:
        """Keep gradients to this process, until a part outside shares their sums."""
        network = getattr(self._network, "_orig_mod", self._network)
        return network.no_sync() if self._processes.count > 1 else contextlib.nullcontext()

    def end_step(self, steps: int) -> None:
        """Follow with the moving average, and go on to the next of an epoch's steps."""
        progress = self.progress
        done = progress.epoch * steps + progress.step
        average_into(self.averaged, self.model, decay=self._settings.average_decay, step=done)
        progress.step += 1

    def look(self, flag: bool = False) -> bool:
        """Add what the last steps gave to the progress; waits for the device and for the other processes.

        Args:
            flag: anything that the first process has to say to all.

        Returns:
            the flag.
        """
        first = float(flag and self._processes.first)
        loss, right, seen, said = self._processes.total([*self._sums.tolist(), first])
        self._sums.zero_()
        self.progress.loss += loss
        self.progress.right += right
        self.progress.seen += int(seen)
        return bool(said)

    @torch.inference_mode()
    def validate(self, batches: Iterable[Batch]) -> tuple[float, float]:
        """Top-1 and top-5 of the moving average, in fp32.

        Args:
            batches: this process's part of the crops.
        """
        right1 = right5 = seen = 0
        for pictures, targets in batches:
            views = resize(normalise(pictures, self.averaged), self._settings.image_size)
            logits = self.averaged(views.contiguous(memory_format=torch.channels_last)).float()
            right1 += count_right(logits, targets, 1)
            right5 += count_right(logits, targets, 5)
            seen += len(targets)
        right1, right5, seen = self._processes.total([right1, right5, seen])
        return right1 / seen, right5 / seen

    def average_on_cpu(self) -> dict[str, torch.Tensor]:
        """A copy of the moving average's weights."""
        return {key: value.to("cpu", copy=True) for key, value in self.averaged.state_dict().items()}

    def content(self) -> dict[str, Any]:
        """What a checkpoint holds: `restore` goes on from it."""
        return asdict(self.progress) | {
            "model": self.model.state_dict(),
            "averaged": self.averaged.state_dict(),
            "best_weights": self.best_weights,
            "optimizer": self._optimizer.state_dict(),
            "precision": self._precision,
            "scaler": self._scaler.state_dict(),
        }

    def restore(self, content: Mapping[str, Any]) -> None:
        """Go on from a checkpoint's content."""
        self.progress = Progress(**{one.name: content[one.name] for one in fields(Progress)})
        self.model.load_state_dict(content["model"])
        self.averaged.load_state_dict(content["averaged"])
        self.best_weights = content["best_weights"]
        self._optimizer.load_state_dict(content["optimizer"])
        self.use_precision(content["precision"])
        if content["scaler"]:
            self._scaler.load_state_dict(content["scaler"])

    def _seed_of_step(self, rank: int | None = None) -> int:
        numbers = [self._seed, self.progress.epoch, self.progress.step]
        words = numbers if rank is None else [*numbers, rank + 1]
        return int(np.random.SeedSequence(words).generate_state(1, np.uint64)[0])
