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
from pillsnap.classifier.transforms import apply_views, draw_views, normalise
from pillsnap.files import replacing
from pillsnap.hardware import torch_device, use_threads
from pillsnap.reader.crops import ReaderCropSet, read_reader_crops
from pillsnap.reader.looks import END
from pillsnap.reader.model import COLUMNS, STRIP_REACH, Reader, cut_strips, save_reader
from pillsnap.reader.settings import ReaderRecipe
from pillsnap.training.history import write_history
from pillsnap.training.state import locked_state, training_signature

log = logging.getLogger(__name__)

AVERAGE_DECAY = 0.998
"""Decay of the weights' moving average."""
LOSSES = {"characters": 1.0, "places": 0.3, "upright": 0.3, "axes": 1.0, "shapes": 0.3, "colours": 0.3}
"""Weights of the losses."""
TURN, MOVE = 8.0, 0.05
"""Standard deviations of the strip's errors in training: degrees, and shares of half the crop's side."""
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
            row = training.train_epoch(data) | reading_accuracy(training.average, check)
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
        self._model = Reader(settings.model, settings.model_args, image_size=settings.image_size)
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
        """One step of the optimizer; returns the losses in the order of `LOSSES`."""
        settings, device = self._settings, self._device
        generator = torch.Generator().manual_seed(self._seed * 2**20 + self._step)
        pictures = normalise(data.pictures[rows].to(device).permute(0, 3, 1, 2), self._model.body)
        views = draw_views(len(rows), generator)
        small = apply_views(pictures, settings.image_size, views).contiguous(memory_format=torch.channels_last)
        lines = _Lines(data.places[rows], generator)
        strips = cut_strips(pictures, lines.directions.to(device), lines.middles.to(device))
        light = torch.rand(len(rows), 2, 1, 1, generator=generator).to(device)
        strips = strips * (0.8 + 0.4 * light[:, :1]) + 0.3 * light[:, 1:] - 0.15
        dtype = AUTOCAST.get(settings.precision)
        with torch.autocast(device, dtype) if dtype else nullcontext():
            looks = self._model.look(small)
            # in one batch: batch norm would tell a batch of strips that are all upside down from its statistics
            both = torch.cat([strips, strips.flip((2, 3))]).contiguous(memory_format=torch.channels_last)
            strokes = self._model.strokes(both)
            upright = self._model.upright(strokes)
            read = self._model.read(strokes[: len(rows)])
        truth = (each[rows].to(device) for each in (data.codes, data.shapes, data.colours))
        axes = angles_in_views(lines.doubled, views).to(device)
        losses = torch.stack(
            [
                *_reading_losses(read, upright, lines, next(truth), device),
                *_look_losses(looks, axes, lines.long.to(device), *truth),
            ]
        )
        self._optimizer.zero_grad()
        (losses * losses.new_tensor(list(LOSSES.values()))).sum().backward()
        nn.utils.clip_grad_norm_(self._model.parameters(), settings.clip)
        self._optimizer.step()
        self._averaging.update(decay=AVERAGE_DECAY, step=self._step)
        self._step += 1
        return losses.detach().cpu()


def _few(values: torch.Tensor) -> str:
    return " ".join(f"{value:.3f}" for value in values.tolist())


class _Lines:
    """Strips of a training batch: along the imprint, with errors as an answer has them; at any angle where the imprint
    has fewer than two characters, which tell no direction.

    Attributes:
        long: whether it has at least two, bool (N,).
        doubled: cosine and sine of twice the imprint's angle in the crop, (N, 2).
        directions, middles: of the strips, see `cut_strips`.
        columns: column of the strip in which each place is, int64 (N, PLACES).
    """

    def __init__(self, places: torch.Tensor, generator: torch.Generator) -> None:
        count = len(places)
        there = ~places[..., 0].isnan()
        self.long = there[:, 1]
        points = torch.nan_to_num(places) * 2 - 1
        number = there.sum(1)
        last = points[torch.arange(count), (number - 1).clamp(min=0)]
        away = torch.where(self.long[:, None], last - points[:, 0], torch.tensor([1.0, 0.0]))
        angle = torch.atan2(away[:, 1], away[:, 0])
        self.doubled = torch.stack([(2 * angle).cos(), (2 * angle).sin()], 1)
        errors = torch.randn(count, 3, generator=generator)
        anywhere = torch.rand(count, generator=generator) * 2 * math.pi
        turned = torch.where(self.long, angle + errors[:, 0] * math.radians(TURN), anywhere)
        self.directions = torch.stack([turned.cos(), turned.sin()], 1)
        self.middles = errors[:, 1:] * MOVE
        along = ((points - self.middles[:, None]) * self.directions[:, None]).sum(-1)
        self.columns = ((along / STRIP_REACH[0] + 1) / 2 * COLUMNS).floor().clamp(0, COLUMNS - 1).long()
        self.there = there


def angles_in_views(doubled: torch.Tensor, views: torch.Tensor) -> torch.Tensor:
    """Cosine and sine of twice an angle, (N, 2), as seen in the views that `draw_views` drew."""
    cosine, sine = functional.normalize(views[:, :2], dim=1).unbind(1)
    c, s = cosine**2 - sine**2, 2 * cosine * sine
    return torch.stack([doubled[:, 0] * c + doubled[:, 1] * s, doubled[:, 1] * c - doubled[:, 0] * s], 1)


def _reading_losses(
    read: Sequence[torch.Tensor], upright: torch.Tensor, lines: _Lines, codes: torch.Tensor, device: str
) -> list[torch.Tensor]:
    """Losses of characters, of their places, and of which direction is upright.

    Args:
        read: of `Reader.read`, for the strips.
        upright: of `Reader.upright`, for the strips and, behind them, these turned by 180 degrees.
        lines: where the characters are.
        codes: int64 (N, PLACES).
        device: of the tensors.
    """
    places, characters = (each.float() for each in read)
    long, there = lines.long.to(device), lines.there.to(device)
    single = there[:, 0] & ~long
    there = there & long[:, None]
    columns = lines.columns.to(device)[there]
    ahead, back = (each[long] for each in upright.float().split(len(codes)))
    return [
        functional.cross_entropy(characters[~single].flatten(0, 1), codes[~single].flatten()),
        functional.cross_entropy(places[there], columns) if len(columns) else columns.sum().float(),
        functional.softplus(back - ahead).mean() if len(ahead) else ahead.sum(),
    ]


def _look_losses(
    outputs: Sequence[torch.Tensor],
    axes: torch.Tensor,
    long: torch.Tensor,
    shapes: torch.Tensor,
    colours: torch.Tensor,
) -> list[torch.Tensor]:
    """Losses of the axis, of shapes and of colours."""
    axis, shape_logits, colour_logits = (each.float() for each in outputs)
    apart = (1 - (axis * axes).sum(1))[long]
    return [
        apart.mean() if len(apart) else apart.sum(),
        functional.cross_entropy(shape_logits, shapes),
        functional.binary_cross_entropy_with_logits(colour_logits, colours) * 4,
    ]


@torch.inference_mode()
def reading_accuracy(reader: Reader, data: ReaderCropSet) -> dict[str, float | None]:
    """Shares of crops read right: whole imprints, single characters, sides without an imprint, shapes, all colours;
    `None` where the crops have none of these."""
    right: dict[str, list[torch.Tensor]] = {name: [] for name in FIGURES}
    device = next(reader.parameters()).device
    for start in range(0, len(data), 256):
        rows = slice(start, start + 256)
        pictures = data.pictures[rows].to(device).permute(0, 3, 1, 2)
        characters, shapes, colours = reader(normalise(pictures, reader.body))
        read, codes = characters.argmax(-1).cpu(), data.codes[rows]
        printed, same = codes[:, 0] != END, read == codes
        right["imprint"].append(same.all(1)[printed])
        right["characters"].append(same[codes != END])
        right["blank"].append(same.all(1)[~printed])
        right["shape"].append(shapes.argmax(1).cpu() == data.shapes[rows])
        right["colours"].append(((colours > 0).cpu() == (data.colours[rows] > 0)).all(1))
    found = {name: torch.cat(each).float() for name, each in right.items()}
    return {name: float(each.mean()) if len(each) else None for name, each in found.items()}
