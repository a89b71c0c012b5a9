"""Inputs of the classifier in benchmarks/train_input.py: each contestant gives batches, and one step takes them."""

import functools
import itertools
import time
from collections.abc import Callable, Iterator
from contextlib import closing, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import timm
import torch
from torch.nn import functional
from torch.utils.data import DataLoader
from torchvision import datasets, transforms

from pillsnap.classifier.batches import CropBatches
from pillsnap.classifier.model import create_classifier
from pillsnap.classifier.transforms import augment, normalise
from pillsnap.config.config import Classifier
from pillsnap.crops.dataset import CropDataset

Batch = tuple[Any, torch.Tensor]
PRECISIONS = {"fp32": None, "bf16": torch.bfloat16}


@dataclass(frozen=True)
class Turn:
    """How a contestant is timed: so many batches to get going, then so many that count."""

    warm_up: int
    steps: int
    device: str

    def rate(self, batches: Iterator[Batch], step: Callable[[Batch], None]) -> float:
        """Batches a second that `step` takes from `batches`, which are closed."""
        with closing(batches):
            for _ in range(self.warm_up):
                step(next(batches))
            start = self._now()
            for _ in range(self.steps):
                step(next(batches))
            return self.steps / (self._now() - start)

    def _now(self) -> float:
        if self.device == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter()


class ClassifierRace:
    """One model, one batch size, the same crops; each contestant's batches are views, float (N, 3, size, size), and
    targets, on the device.

    Args:
        crops: folder as `cut_crops` writes it.
        crop_files: the same crops as files, for the other loaders.
        settings: model, size of views, batch, label smoothing, weight decay.
        device: `cpu` or `cuda`.
        precision: of forward pass and loss, a name of `PRECISIONS`.
        workers: threads or processes that decode for ours.
    """

    def __init__(
        self, crops: Path, crop_files: Path, settings: Classifier, *, device: str, precision: str, workers: int
    ) -> None:
        self._data, self._files, self._settings = CropDataset(crops, "train"), crop_files, settings
        self._device, self._workers, self._dtype = device, workers, PRECISIONS[precision]
        self.classes = int(self._data.targets.max()) + 1
        model = create_classifier(settings.model_copy(update={"weights": None}), self.classes)
        self._model = model.to(device, memory_format=torch.channels_last).train()
        rates = {"lr": settings.learning_rate, "weight_decay": settings.weight_decay}
        self._optimizer = torch.optim.AdamW(self._model.parameters(), **rates)
        self._kept = CropBatches(self._data, device=device, workers=workers, cache_bytes=2**62)
        self._not_kept = CropBatches(self._data, device=device, workers=workers, cache_bytes=0)
        self._epochs = itertools.count()

    def step(self, batch: Batch) -> None:
        """Forward, label-smoothed cross entropy, backward, AdamW."""
        views, targets = batch
        with torch.autocast(self._device, self._dtype) if self._dtype else nullcontext():
            logits = self._model(views)
            loss = functional.cross_entropy(logits, targets, label_smoothing=self._settings.label_smoothing)
        self._optimizer.zero_grad()
        loss.backward()
        self._optimizer.step()

    def contestants(self) -> dict[str, Callable[[], Iterator[Batch]]]:
        """Those that need no choice of workers, by name: each call begins batches anew."""
        ours = {"ours": self._kept, "ours, not kept": self._not_kept}
        return {"limit": self._random} | {name: functools.partial(self._ours, read) for name, read in ours.items()}

    def other_loaders(self) -> dict[str, Callable[[int], Iterator[Batch]]]:
        """By name: from a number of worker processes to an epoch of batches."""
        return {"torchvision": self._torchvision, "timm": self._timm}

    def _random(self) -> Iterator[Batch]:
        size = (self._settings.batch, 3, self._settings.image_size, self._settings.image_size)
        views = self._channels_last(torch.randn(size, device=self._device))
        targets = torch.randint(self.classes, size[:1], device=self._device)
        while True:
            yield views, targets

    def _ours(self, reader: CropBatches) -> Iterator[Batch]:
        epoch, size = next(self._epochs), self._settings.batch
        items = [(int(pill), 0.0) for pill in np.random.default_rng(epoch).permutation(len(self._data))]
        order = [items[start : start + size] for start in range(0, len(items) - size + 1, size)]
        generator = torch.Generator().manual_seed(epoch)
        with closing(reader.batches(order)) as batches:
            for pictures, targets in batches:
                views = augment(normalise(pictures, self._model), self._settings.image_size, generator)
                yield self._channels_last(views), targets

    def _torchvision(self, workers: int) -> Iterator[Batch]:
        steps = [
            transforms.RandomResizedCrop(self._settings.image_size),
            transforms.RandomRotation(180),
            transforms.ColorJitter(brightness=0.2, contrast=0.2),
            transforms.ToTensor(),
            transforms.Normalize(**self._figures()),
        ]
        loader = DataLoader(
            datasets.ImageFolder(self._files, transforms.Compose(steps)),
            batch_size=self._settings.batch,
            shuffle=True,
            num_workers=workers,
            drop_last=True,
            pin_memory=self._device == "cuda",
        )
        for pictures, targets in loader:
            views, targets = (part.to(self._device, non_blocking=True) for part in (pictures, targets))
            yield self._channels_last(views), targets

    def _timm(self, workers: int) -> Iterator[Batch]:
        size = self._settings.image_size
        loader = timm.data.create_loader(
            timm.data.ImageDataset(str(self._files)),
            input_size=(3, size, size),
            batch_size=self._settings.batch,
            is_training=True,
            num_workers=workers,
            persistent_workers=False,
            pin_memory=self._device == "cuda",
            device=torch.device(self._device),
            **self._figures(),
        )
        for pictures, targets in loader:
            yield self._channels_last(pictures), targets

    def _figures(self) -> dict[str, Any]:
        return {name: self._model.pretrained_cfg[name] for name in ("mean", "std")}

    @staticmethod
    def _channels_last(views: torch.Tensor) -> torch.Tensor:
        return views.contiguous(memory_format=torch.channels_last)


def worker_choices(cores: int) -> list[int]:
    """Numbers of worker processes that other loaders are tried with: none, powers of two, and all cores."""
    return sorted({0, cores, *(2**power for power in range(cores.bit_length()))})
