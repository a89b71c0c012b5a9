"""What trainings leave for people to look at, made up without a training; the figures are invented."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pillsnap.config.training import Classifier, Detector
from pillsnap.config.training import Steering as Settings
from pillsnap.training.steering import Event, Model, Steering
from pillsnap.training.watch import TrainingWatch

STEERING = {
    "mode": "apply",
    "phases": [
        {"name": "baseline", "from_epoch": 1},
        {"name": "fine-tuning", "from_epoch": 5, "classifier": {"learning_rate": 1e-4}},
    ],
    "interventions": [
        {
            "name": "classifier is weak",
            "model": "classifier",
            "when": {"metric": "val_top1", "below": 0.3},
            "change": {"learning_rate": 2e-3},
        },
    ],
    "milestones": [
        {"epoch": 2, "top1": 0.4, "map50": 0.4},
        {"epoch": 6, "top1": 0.6, "map50": 0.97},
        {"epoch": 50, "top1": 0.9, "map50": 0.9},
    ],
}


def detector_rows(epochs: int, *, validate_every: int = 1) -> list[dict[str, float | None]]:
    rows: list[dict[str, float | None]] = [
        {
            "epoch": n,
            "seconds": 41.5,
            "box_loss": 1 + 3 / n,
            "cls_loss": 0.4 + 2.2 / n,
            "dfl_loss": 1.1 + 1.4 / n,
            "precision": 1 - 0.6 / n,
            "recall": 1 - 0.7 / n,
            "map50": 0.99 * (1 - math.exp(-n / 2)),
            "map50_95": 0.7 * (1 - math.exp(-n / 4)),
            "learning_rate": 1e-3 * (1 - n / 13),
        }
        for n in range(1, epochs + 1)
    ]
    unseen = dict.fromkeys(("precision", "recall", "map50", "map50_95"))
    return [row | unseen if row["epoch"] % validate_every else row for row in rows]


def classifier_rows(epochs: int) -> list[dict[str, float | None]]:
    def grown(n: int, top: float, speed: float) -> float:
        return top * (1 - math.exp(-n / speed))

    return [
        {
            "epoch": n,
            "seconds": 38.0,
            "loss": 0.8 + 2.8 / n,
            "learning_rate": 3e-3 * (1 - n / 21),
            "size": 112,
            "train_top1": grown(n, 0.93, 5),
            "val_top1": grown(n, 0.95, 4) - 0.01 * (n == epochs),
            "val_top5": grown(n, 0.998, 2),
        }
        for n in range(1, epochs + 1)
    ]


def events_of(model: Model, history: Sequence[dict[str, Any]], settings: dict[str, Any] = STEERING) -> list[Event]:
    """What steering says and does along a history."""
    recipe = Detector() if model == "detector" else Classifier()
    steering = Steering(Settings(**settings), model=model, recipe=recipe)
    for done in range(len(history)):
        steering.begin(done)
        steering.end(history[: done + 1])
    return steering.events


def watch(folder: Path, model: Model, *, epochs: int = 12, steps: int = 30, pictures: int = 240) -> TrainingWatch:
    return TrainingWatch(folder, model=model, epochs=epochs, steps=steps, pictures=pictures, sample_seconds=0.05)


def write_training(folder: Path, model: Model, done: int, *, epochs: int = 12) -> None:
    """The folder of a training that has done some of its epochs, by this process."""
    history = detector_rows(done) if model == "detector" else classifier_rows(done)
    with watch(folder, model, epochs=epochs) as watching:
        watching.step(epoch=done, step=30, loss=1.25)
        watching.epoch(history, events_of(model, history))
