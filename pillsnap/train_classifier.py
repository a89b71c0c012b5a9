"""Train the drug classifier: a timm model on crops, resumable after every epoch."""

import copy
import json
import logging
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import timm
import torch
from safetensors.torch import load_file, save_file
from torch import nn
from torch.nn import functional
from torch.utils.data import DataLoader
from tqdm import tqdm

from pillsnap.classes import read_classes
from pillsnap.config import Classifier
from pillsnap.crop_data import CropDataset, augment, epoch_batches, normalise, resize
from pillsnap.files import read_json, replacing, write_json
from pillsnap.hardware import torch_device, use_threads
from pillsnap.history import write_history
from pillsnap.provenance import provenance
from pillsnap.training.state import training_signature, training_state

log = logging.getLogger(__name__)


class WeightsError(ValueError):
    """Weights that do not fit the model."""


@dataclass
class _Training:
    """Everything that a checkpoint holds."""

    model: nn.Module
    averaged: nn.Module
    optimizer: torch.optim.Optimizer
    settings: Classifier
    steps_per_epoch: int
    seed: int
    device: str
    epoch: int = 0
    best: float = -1.0
    best_epoch: int = 0
    history: list[dict[str, float | None]] = field(default_factory=list)

    @property
    def over(self) -> bool:
        """Whether all epochs are done, or patience has run out."""
        return self.epoch >= self.settings.epochs or self.epoch - self.best_epoch >= self.settings.patience


def train_classifier(
    *,
    crops: Path,
    classes: Path,
    best: Path,
    history: Path,
    record: Path,
    work: Path,
    settings: Classifier,
    seed: int,
    device: str,
    threads: int,
) -> None:
    """Train, go on after the last finished epoch, or take over the finished training that `work` holds.

    Args:
        crops: folder of `cut_crops`.
        classes: class list of `build_manifest`.
        best: written, safetensors: weights (moving average) of the epoch with the best validation top-1, with
            model name, input size and class list as JSON in the metadata's entry `pillsnap`.
        history: written, CSV: epoch, seconds, loss, learning rate, train and validation top-1, top-5.
        record: written, JSON: provenance.
        work: folder of the training's state.
        settings: recipe.
        seed: seed of weights, data order and augmentation.
        device: `auto`, `cpu` or `cuda`.
        threads: threads of arithmetic on the CPU; another number rounds otherwise.

    Raises:
        HardwareError: `cuda` is asked for and does not work.
        WeightsError: the starting weights do not fit the model.
    """
    chosen = torch_device(device)
    use_threads(threads)
    torch.use_deterministic_algorithms(chosen == "cpu")
    inputs = {"crops": crops, "classes": classes}
    values = {"settings": settings.model_dump(), "seed": seed, "device": chosen, "threads": threads}
    signature = training_signature("train_classifier", inputs, **values)
    with training_state(work, signature) as state:
        checkpoint = state.folder / "last.pt"
        if not state.finished:
            _train(crops, len(read_classes(classes)), checkpoint, settings, seed=seed, device=chosen)
            state.mark_finished()
        saved = torch.load(checkpoint, map_location="cpu", weights_only=True)
    write_history(saved["history"], history)
    facts = settings.model_dump(include={"model", "model_args", "image_size"}) | {"classes": read_json(classes)}
    # safetensors writes several entries in a random order: one entry keeps the bytes the same
    metadata = {"pillsnap": json.dumps(facts, ensure_ascii=False)}
    with replacing(best) as temporary:
        weights = {key: value.contiguous() for key, value in saved["best_weights"].items()}
        save_file(weights, temporary, metadata=metadata)
    write_json(record, provenance(inputs=inputs, settings=settings.model_dump(), seed=seed, device=chosen))


def _train(crops: Path, n_classes: int, checkpoint: Path, settings: Classifier, *, seed: int, device: str) -> None:
    train, val = CropDataset(crops, "train"), CropDataset(crops, "val")
    steps = len(epoch_batches(len(train), settings.batch, seed=seed, epoch=0))
    training = _start(n_classes, settings, steps, seed=seed, device=device)
    best_weights = _resume(training, checkpoint)
    while not training.over:
        began = time.monotonic()
        loss, train_top1 = _train_epoch(training, train)
        training.epoch += 1
        logits = predict_logits(training.averaged, val, settings, device)
        top1, top5 = top_k(logits, val.targets, 1), top_k(logits, val.targets, 5)
        if top1 > training.best:
            training.best, training.best_epoch = top1, training.epoch
            best_weights = {key: value.cpu().clone() for key, value in training.averaged.state_dict().items()}
        row = {
            "epoch": training.epoch,
            "seconds": time.monotonic() - began,
            "loss": loss,
            "learning_rate": _learning_rate(training, training.epoch * steps),
            "train_top1": train_top1,
            "val_top1": top1,
            "val_top5": top5,
        }
        training.history.append(row)
        log.info(
            "epoch %d/%d  Loss: %.3f  Accuracy: %.4f (train %.4f, top-5 %.4f)  %.0f s",
            training.epoch,
            settings.epochs,
            loss,
            top1,
            train_top1,
            top5,
            row["seconds"],
        )
        _save(training, best_weights, checkpoint)


def create_classifier(settings: Classifier, n_classes: int) -> nn.Module:
    """The timm model of the settings with `n_classes` logits and its starting weights; raises `WeightsError`."""
    hub = settings.weights == "pretrained"
    model = timm.create_model(settings.model, pretrained=hub, num_classes=n_classes, **(settings.model_args or {}))
    if settings.weights and not hub:
        state = load_file(settings.weights)
        own = model.state_dict()
        fitting = {key: value for key, value in state.items() if key in own and own[key].shape == value.shape}
        if len(fitting) < len(own) // 2:
            raise WeightsError(
                f"classifier.weights = {settings.weights}: only {len(fitting)} of {len(own)} tensors fit "
                f"{settings.model}. Name weights of the same timm model."
            )
        model.load_state_dict(fitting, strict=False)
    return model


def _start(n_classes: int, settings: Classifier, steps: int, *, seed: int, device: str) -> _Training:
    torch.manual_seed(seed)
    model = create_classifier(settings, n_classes).to(device, memory_format=torch.channels_last)
    averaged = copy.deepcopy(model).to(device, memory_format=torch.channels_last)
    # norms and biases are not decayed
    decayed = [p for p in model.parameters() if p.ndim > 1]
    plain = [p for p in model.parameters() if p.ndim <= 1]
    groups = [{"params": decayed, "weight_decay": settings.weight_decay}, {"params": plain, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=settings.learning_rate)
    return _Training(model, averaged.eval(), optimizer, settings, steps, seed, device)


def _batches(training: _Training, data: CropDataset) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    order = epoch_batches(len(data), training.settings.batch, seed=training.seed, epoch=training.epoch)
    workers = 1 if training.device == "cpu" else 8
    return iter(DataLoader(data, batch_sampler=order, num_workers=workers, pin_memory=training.device == "cuda"))


def _train_epoch(training: _Training, data: CropDataset) -> tuple[float, float]:
    """One epoch; returns mean loss and top-1 on the augmented crops it was trained on."""
    settings, model = training.settings, training.model.train()
    generator = torch.Generator().manual_seed(training.seed * 100_003 + training.epoch)
    # dropout and drop path draw from the global generator: seeded by epoch, a resumed run draws the same
    torch.manual_seed(training.seed * 100_003 + training.epoch)
    losses, right, seen = 0.0, 0, 0
    name = f"epoch {training.epoch + 1}"
    steps = training.steps_per_epoch
    bar = tqdm(_batches(training, data), total=steps, desc=name, unit="batch", leave=False, disable=None)
    for step, (pictures, targets) in enumerate(bar):
        done = training.epoch * steps + step
        for group in training.optimizer.param_groups:
            group["lr"] = _learning_rate(training, done)
        pictures, targets = pictures.to(training.device), targets.to(training.device)
        views = augment(normalise(pictures, model), settings.image_size, generator)
        logits = model(views.contiguous(memory_format=torch.channels_last))
        loss = functional.cross_entropy(logits, targets, label_smoothing=settings.label_smoothing)
        training.optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        training.optimizer.step()
        _average(training, done)
        losses += loss.item() * len(targets)
        right += int((logits.argmax(1) == targets).sum())
        seen += len(targets)
    return losses / seen, right / seen


def _learning_rate(training: _Training, step: int) -> float:
    """Linear warm-up, then half a cosine down to a hundredth of the peak."""
    settings = training.settings
    warmup, total = settings.warmup_epochs * training.steps_per_epoch, settings.epochs * training.steps_per_epoch
    if step < warmup:
        return settings.learning_rate * (step + 1) / (warmup + 1)
    along = min(1.0, (step - warmup) / max(1, total - warmup))
    return settings.learning_rate * (0.01 + 0.99 * (1 + math.cos(math.pi * along)) / 2)


@torch.no_grad()
def _average(training: _Training, step: int) -> None:
    """Exponential moving average of weights and batch statistics, short at first."""
    decay = min(0.99, (1 + step) / (10 + step))
    for mean, now in zip(training.averaged.state_dict().values(), training.model.state_dict().values(), strict=True):
        if mean.is_floating_point():
            mean.lerp_(now, 1 - decay)
        else:
            mean.copy_(now)


@torch.inference_mode()
def predict_logits(model: nn.Module, data: CropDataset, settings: Classifier, device: str) -> torch.Tensor:
    """Logits of each pill's labelled-box crop, in the data set's order: float32 (N, classes) on the CPU."""
    model.eval()
    order = [(pill, 0.0) for pill in range(len(data))]
    batches = [order[start : start + 128] for start in range(0, len(order), 128)]
    logits = []
    for pictures, _ in DataLoader(data, batch_sampler=batches, num_workers=1):
        views = resize(normalise(pictures.to(device), model), settings.image_size)
        logits.append(model(views.contiguous(memory_format=torch.channels_last)).float().cpu())
    return torch.cat(logits)


def top_k(logits: torch.Tensor, targets: torch.Tensor, k: int) -> float:
    """Share of rows whose target is among the k largest logits."""
    best = logits.topk(min(k, logits.shape[1]), dim=1).indices
    return float((best == targets[:, None]).any(dim=1).float().mean())


def _save(training: _Training, best_weights: dict[str, torch.Tensor], checkpoint: Path) -> None:
    content = {
        "model": training.model.state_dict(),
        "averaged": training.averaged.state_dict(),
        "optimizer": training.optimizer.state_dict(),
        "best_weights": best_weights,
        "epoch": training.epoch,
        "best": training.best,
        "best_epoch": training.best_epoch,
        "history": training.history,
    }
    with replacing(checkpoint) as temporary:
        torch.save(content, temporary)


def _resume(training: _Training, checkpoint: Path) -> dict[str, torch.Tensor]:
    """Take over the last finished epoch, if there is one; returns the best weights so far."""
    if not checkpoint.is_file():
        return {}
    saved = torch.load(checkpoint, map_location=training.device, weights_only=True)
    training.model.load_state_dict(saved["model"])
    training.averaged.load_state_dict(saved["averaged"])
    training.optimizer.load_state_dict(saved["optimizer"])
    for name in ("epoch", "best", "best_epoch", "history"):
        setattr(training, name, saved[name])
    log.info("going on after epoch %d", training.epoch)
    return {key: value.cpu() for key, value in saved["best_weights"].items()}
