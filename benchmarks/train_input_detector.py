"""Inputs of the detector in benchmarks/train_input.py: ultralytics' own loader, over two kinds of files."""

from collections.abc import Callable, Iterator
from contextlib import closing, nullcontext
from pathlib import Path
from typing import Any

import torch
from train_input_classifier import PRECISIONS

from pillsnap.config.config import Detector
from pillsnap.detector.train_detector import prepare_ultralytics
from pillsnap.hardware import use_threads
from pillsnap.training.model_sizes import architecture


class DetectorRace:
    """One detector, and ultralytics' training loader with the augmentation that `train_detector` sets.

    Args:
        folders: data sets by name.
        settings: model, image size, batch, learning rate, weight decay.
        state: where ultralytics keeps its settings.
        device: `cpu` or `cuda`.
        precision: of forward pass and loss, a name of `PRECISIONS`.
        threads: threads of arithmetic on the CPU, and processes that read, as in `train_detector`.
    """

    def __init__(
        self,
        folders: dict[str, Path],
        settings: Detector,
        state: Path,
        *,
        device: str,
        precision: str,
        threads: int,
    ) -> None:
        prepare_ultralytics(state)
        from ultralytics.cfg import get_cfg
        from ultralytics.nn.tasks import DetectionModel

        use_threads(threads)  # importing ultralytics changes them
        self._folders, self._device, self._dtype, self._threads = folders, device, PRECISIONS[precision], threads
        words = {"imgsz": settings.image_size, "batch": settings.batch, "workers": threads, "single_cls": True}
        augmentation = {"flipud": 0.5, "fliplr": 0.5, "scale": 0.3, "mosaic": 0.0}
        self._settings = get_cfg(overrides=words | augmentation)
        # from scratch: the figures of a `.pt` file are those of its architecture
        self._model = DetectionModel(f"{architecture(settings)}.yaml", nc=1, verbose=False).to(device)
        self._model.args = self._settings
        self._model.train()
        rates = {"lr": settings.learning_rate, "weight_decay": settings.weight_decay}
        self._optimizer = torch.optim.AdamW(self._model.parameters(), **rates)
        self._some_batch = self._on_device(next(self._read(next(iter(folders)))))

    def loaders(self) -> dict[str, Callable[[], Iterator[dict[str, Any]]]]:
        """By name: an epoch of batches as the loader gives them."""
        return {name: lambda name=name: self._read(name) for name in self._folders}

    def trainings(self) -> dict[str, Callable[[], Iterator[dict[str, Any]]]]:
        """By name: an epoch of batches on the device; the limit's is always the same one."""
        named = {name: lambda name=name: self._moved(name) for name in self._folders}
        return {"limit": self._same} | named

    def step(self, batch: dict[str, Any]) -> None:
        """Forward, detection loss, backward, AdamW."""
        with torch.autocast(self._device, self._dtype) if self._dtype else nullcontext():
            loss, _ = self._model(batch | {"img": batch["img"].float() / 255})
        self._optimizer.zero_grad()
        loss.sum().backward()
        self._optimizer.step()

    def _same(self) -> Iterator[dict[str, Any]]:
        while True:
            yield self._some_batch

    def _moved(self, name: str) -> Iterator[dict[str, Any]]:
        with closing(self._read(name)) as batches:
            for batch in batches:
                yield self._on_device(batch)

    def _read(self, name: str) -> Iterator[dict[str, Any]]:
        from ultralytics.data import build_dataloader, build_yolo_dataset

        facts = {"names": {0: "pill"}, "nc": 1, "channels": 3}
        images = str(self._folders[name] / "images/train")
        dataset = build_yolo_dataset(self._settings, images, self._settings.batch, facts, mode="train", stride=32)
        loader = build_dataloader(dataset, self._settings.batch, self._threads, device=self._device)
        try:
            yield from loader
        finally:
            loader.close()

    def _on_device(self, batch: dict[str, Any]) -> dict[str, Any]:
        wait = self._device == "cpu"
        return {
            key: value.to(self._device, non_blocking=not wait) if isinstance(value, torch.Tensor) else value
            for key, value in batch.items()
        }
