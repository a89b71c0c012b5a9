"""Train the reader on drawn crops. Killed anywhere, it resumes after its last finished epoch."""

import copy
import logging
import math
import time
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from pillsnap.classifier.model import Ema
from pillsnap.classifier.trainer import AUTOCAST
from pillsnap.classifier.transforms import apply_views, draw_views, normalise, places_in_views, resize
from pillsnap.files import replacing
from pillsnap.hardware import torch_device, use_threads
from pillsnap.reader.crops import ReaderCropSet, read_reader_crops
from pillsnap.reader.looks import END
from pillsnap.reader.model import STRIDE, Reader, save_reader
from pillsnap.reader.settings import ReaderRecipe
from pillsnap.training.history import write_history
from pillsnap.training.state import locked_state, training_signature

log = logging.getLogger(__name__)

AVERAGE_DECAY = 0.998
"""Decay of the weights' moving average."""
LOSSES = {"characters": 1.0, "shown": 0.5, "places": 0.3, "shapes": 0.3, "colours": 0.3}
"""Weights of the losses: characters where the reader looks, characters where they are, and the others."""
FIGURES = ("imprint", "characters", "blank", "shape", "colours")
"""Columns of the history that are accuracies on validation, see `reading_accuracy`."""


def train_reader(
    *,
    train: Sequence[Path],
    val: Sequence[Path],
    side: int,
    weights: Path,
    history: Path,
    work: Path,
    settings: ReaderRecipe,
    seed: int,
    device: str,
    threads: int,
) -> None:
    """Train, and write the averaged weights of the last epoch.

    Args:
        train, val: folders of `draw_reader_crops`.
        side: of the crops in pixels.
        weights: written, safetensors, FP32.
        history: written, CSV: a row an epoch with losses and accuracies on validation.
        work: folder of the training's state; one of another training is set aside.
        settings: recipe.
        seed: of weights, order and views.
        device: `auto`, `cpu` or `cuda`.
        threads: threads of torch on the CPU; another number rounds otherwise.
    """
    use_threads(threads)
    kind = torch_device(device)
    torch.use_deterministic_algorithms(kind == "cpu")
    shards = {
        f"{split}.{folder.name}": folder for split, folders in (("train", train), ("val", val)) for folder in folders
    }
    signature = training_signature(
        "train_reader", shards, settings, epochs=settings.epochs, seed=seed, device=kind, threads=threads
    )
    data, check = read_reader_crops(train, side), read_reader_crops(val, side)
    log.info("%d crops, %d of validation", len(data), len(check))
    training = _Training(settings, seed, kind)
    with locked_state(work, signature) as state:
        file = state.folder / "state.pt"
        if file.exists():
            training.load_state_dict(torch.load(file, map_location="cpu", weights_only=True))
            log.info("resuming after epoch %d", training.epoch)
        while training.epoch < settings.epochs:
            row = training.train_epoch(data) | reading_accuracy(training.average, check, settings.image_size)
            training.rows.append(row)
            log.info("%s", "  ".join(f"{name} {value:.4g}" for name, value in row.items() if value is not None))
            with replacing(file) as temporary:
                torch.save(training.state_dict(), temporary)
        save_reader(weights, training.average, settings.network)
        write_history(training.rows, history)


class _Training:
    """Model, average, optimizer and progress; all randomness of a step is of seed and step."""

    def __init__(self, settings: ReaderRecipe, seed: int, device: str) -> None:
        self._settings, self._seed, self._device = settings, seed, device
        torch.manual_seed(seed)
        self._model = Reader(settings.model, settings.model_args, width=settings.width)
        self._model.to(device, memory_format=torch.channels_last)
        self.average = copy.deepcopy(self._model).eval().requires_grad_(False)
        self._averaging = Ema(self.average, self._model)
        plain = [each for each in self._model.parameters() if each.ndim <= 1]
        decayed = [each for each in self._model.parameters() if each.ndim > 1]
        groups = [{"params": decayed, "weight_decay": settings.weight_decay}, {"params": plain, "weight_decay": 0.0}]
        self._optimizer = torch.optim.AdamW(groups, lr=settings.learning_rate, betas=(0.9, 0.99), fused=True)
        self._step = 0
        self.rows: list[dict[str, float | None]] = []

    @property
    def epoch(self) -> int:
        """Finished epochs."""
        return len(self.rows)

    def state_dict(self) -> dict[str, Any]:
        return {
            "model": self._model.state_dict(),
            "average": self.average.state_dict(),
            "optimizer": self._optimizer.state_dict(),
            "step": self._step,
            "rows": self.rows,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._model.load_state_dict(state["model"])
        self.average.load_state_dict(state["average"])
        self._optimizer.load_state_dict(state["optimizer"])
        self._step, self.rows = state["step"], state["rows"]

    def train_epoch(self, data: ReaderCropSet) -> dict[str, float | None]:
        """One epoch over all crops; returns its row of the history without accuracies."""
        began, settings = time.monotonic(), self._settings
        order = np.random.default_rng((self._seed, self.epoch)).permutation(len(data))
        steps = len(data) // settings.batch
        sums = torch.zeros(len(LOSSES))
        self._model.train()
        for number in range(steps):
            done = self._step / (steps * settings.epochs)
            cosine = settings.final_rate + (1 - settings.final_rate) * 0.5 * (1 + math.cos(math.pi * min(done, 1)))
            rate = settings.learning_rate * min(1, (self._step + 1) / max(1, settings.warmup_steps)) * cosine
            for group in self._optimizer.param_groups:
                group["lr"] = rate
            rows = torch.from_numpy(order[number * settings.batch : (number + 1) * settings.batch])
            sums += self._train_batch(data, rows)
            if number % 100 == 99:
                log.info(
                    "epoch %d: step %d of %d, losses %s", self.epoch + 1, number + 1, steps, _few(sums / (number + 1))
                )
        means = {f"{name}_loss": value for name, value in zip(LOSSES, (sums / steps).tolist(), strict=True)}
        return {"epoch": self.epoch + 1, "seconds": round(time.monotonic() - began), "learning_rate": rate} | means

    def _train_batch(self, data: ReaderCropSet, rows: torch.Tensor) -> torch.Tensor:
        """One step of the optimizer; returns the four losses."""
        settings = self._settings
        generator = torch.Generator().manual_seed(self._seed * 2**20 + self._step)
        pictures = data.pictures[rows].to(self._device).permute(0, 3, 1, 2)
        views = draw_views(len(rows), generator)
        seen = apply_views(normalise(pictures, self._model.body), settings.image_size, views)
        cells = cells_of(places_in_views(data.places[rows], views), settings.image_size // STRIDE).to(self._device)
        dtype = AUTOCAST.get(settings.precision)
        with torch.autocast(self._device, dtype) if dtype else nullcontext():
            outputs = self._model(seen.contiguous(memory_format=torch.channels_last), cells)
        truth = (each[rows].to(self._device) for each in (data.codes, data.shapes, data.colours))
        losses = _losses([each.float() for each in outputs], cells, *truth)
        self._optimizer.zero_grad()
        (losses * losses.new_tensor(list(LOSSES.values()))).sum().backward()
        nn.utils.clip_grad_norm_(self._model.parameters(), settings.clip)
        self._optimizer.step()
        self._averaging.update(decay=AVERAGE_DECAY, step=self._step)
        self._step += 1
        return losses.detach().cpu()


def _few(values: torch.Tensor) -> str:
    return " ".join(f"{value:.3f}" for value in values.tolist())


def cells_of(places: torch.Tensor, cells: int) -> torch.Tensor:
    """Number of the cell, row by row, in which each place lies: int64 (N, PLACES), of a map of cells x cells."""
    column, row = (torch.nan_to_num(places) * cells).floor().clamp(0, cells - 1).long().unbind(-1)
    return row * cells + column


def _losses(
    outputs: Sequence[torch.Tensor],
    cells: torch.Tensor,
    codes: torch.Tensor,
    shapes: torch.Tensor,
    colours: torch.Tensor,
) -> torch.Tensor:
    """The losses in the order of `LOSSES`: (5,)."""
    place_logits, character_logits, shape_logits, colour_logits, shown_logits = outputs
    there = codes != END
    characters = there.sum().clamp(min=1)
    return torch.stack(
        [
            functional.cross_entropy(character_logits.flatten(0, 1), codes.flatten()),
            functional.cross_entropy(shown_logits[there], codes[there], reduction="sum") / characters,
            functional.cross_entropy(place_logits[there], cells[there], reduction="sum") / characters,
            functional.cross_entropy(shape_logits, shapes),
            functional.binary_cross_entropy_with_logits(colour_logits, colours) * 4,
        ]
    )


@torch.inference_mode()
def reading_accuracy(reader: Reader, data: ReaderCropSet, image_size: int) -> dict[str, float | None]:
    """Shares of crops read right: whole imprints, single characters, sides without an imprint, shapes, all colours;
    `None` where the crops have none of these."""
    right: dict[str, list[torch.Tensor]] = {name: [] for name in FIGURES}
    device = next(reader.parameters()).device
    for start in range(0, len(data), 256):
        rows = slice(start, start + 256)
        pictures = data.pictures[rows].to(device).permute(0, 3, 1, 2)
        _, characters, shapes, colours = reader(resize(normalise(pictures, reader.body), image_size))
        read, codes = characters.argmax(-1).cpu(), data.codes[rows]
        printed, same = codes[:, 0] != END, read == codes
        right["imprint"].append(same.all(1)[printed])
        right["characters"].append(same[codes != END])
        right["blank"].append(same.all(1)[~printed])
        right["shape"].append(shapes.argmax(1).cpu() == data.shapes[rows])
        right["colours"].append(((colours > 0).cpu() == (data.colours[rows] > 0)).all(1))
    found = {name: torch.cat(each).float() for name, each in right.items()}
    return {name: float(each.mean()) if len(each) else None for name, each in found.items()}
