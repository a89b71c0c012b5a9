"""Check the detector's training: an epoch of 20 steps with a validation, a kill, and the rest after a resume."""

import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from pillsnap.config.config import Config
from pillsnap.config.training import Detector, Steering, Trainings
from pillsnap.detector.yolo_shards import describe_shards, write_shard
from pillsnap.files import write_json
from pillsnap.preflight.gpu_check.rows import Row, Verdict

EPOCHS = 3
STEPS = 20
SECONDS = 240
"""Within which the first epoch ends."""


def check_detector(config: Config, *, device: str, steps: int = STEPS) -> Iterator[Row]:
    """Train the stage's detector from random weights on drawn ellipses, kill it after an epoch, and resume it.

    Args:
        config: its `detector` is trained.
        device: `cuda` or `cpu`.
        steps: of an epoch.
    """
    from pillsnap.detector.train_detector import train_detector
    from pillsnap.preflight.gpu_check.compute import need_precision
    from pillsnap.training.history import read_history

    need_precision(config.detector, device)
    batch = config.detector.global_batch_size
    recipe = config.detector.model_copy(
        update={"epochs": EPOCHS, "horizon": EPOCHS, "validate_every": 1, "patience": EPOCHS, "batch": batch}
    )
    pictures = batch * steps
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        folder = Path(name)
        for split, count in (("train", pictures), ("val", max(2, pictures // 10))):
            write_shard(folder / "dataset" / split / "drawn.tar", draw_pictures(count, recipe.image_size))
        describe_shards(folder / "dataset")
        write_json(folder / "recipe.json", recipe.model_dump() | {"device": device, "threads": config.threads})
        killed = _killed_after_an_epoch(folder)
        train_detector(**_job(folder, recipe, device, config.threads))
        rows = read_history(folder / "history.csv")
    whole = killed and [row["epoch"] for row in rows] == list(range(1, EPOCHS + 1))
    text = f"{'killed after an epoch' if killed else 'ended before it was killed'}; {len(rows)} of {EPOCHS} epochs"
    cure = "" if whole else "See the log of the training above"
    yield Row("detector, resumed", text, "all epochs", Verdict.ok if whole else Verdict.failed, cure)
    rate = pictures / (rows[-1]["seconds"] or 1.0)
    words = f"detector {recipe.image_size} px, batch {batch}, {recipe.precision}"
    figures = {"model": "detector", "images_per_second": rate, "batch": batch, "size": recipe.image_size}
    yield Row(words, f"{rate:,.1f} images/s, validation included", "", Verdict.ok, figures=figures)


def _killed_after_an_epoch(folder: Path) -> bool:
    """Start the training in a process of its own, and kill it when its first checkpoint is there."""
    child = subprocess.Popen(
        [sys.executable, "-m", "pillsnap.preflight.gpu_check.detector", str(folder)],
        stdout=sys.stderr,
        stderr=sys.stderr,
    )
    end = time.monotonic() + SECONDS
    while child.poll() is None and time.monotonic() < end and not (folder / "work/last.pt").is_file():
        time.sleep(0.05)
    running = child.poll() is None
    child.kill()
    child.wait()
    return running and (folder / "work/last.pt").is_file()


def _job(folder: Path, recipe: Detector, device: str, threads: int) -> dict[str, Any]:
    written = {"best": "best.pt", "weights": "best.safetensors", "history": "history.csv"}
    written |= {"events": "events.json", "resources": "resources.json", "work": "work", "dataset": "dataset"}
    more = {"settings": recipe, "steering": Steering(), "training": Trainings()}
    return (
        {name: folder / file for name, file in written.items()}
        | more
        | {
            "seed": 0,
            "device": device,
            "threads": threads,
        }
    )


def draw_pictures(count: int, side: int) -> Iterator[tuple[str, bytes, str]]:
    """Draw so many pictures of one ellipse each: name, JPEG, and text of the label file."""
    import cv2

    from pillsnap.pictures.decode import encode_jpeg

    random = np.random.default_rng(0)
    for number in range(count):
        picture = random.integers(180, 220, (side, side, 3), np.uint8)
        x, y = random.integers(side // 4, side * 3 // 4, 2).tolist()
        axes = side // 8, side // 12
        cv2.ellipse(picture, (x, y), axes, 0, 0, 360, random.integers(0, 128, 3).tolist(), -1)
        box = [x / side, y / side, 2 * axes[0] / side, 2 * axes[1] / side]
        yield str(number), encode_jpeg(picture, 90), "0 " + " ".join(f"{each:.6f}" for each in box) + "\n"


if __name__ == "__main__":
    from pillsnap.detector.train_detector import train_detector
    from pillsnap.files import read_json

    place = Path(sys.argv[1])
    asked = read_json(place / "recipe.json")
    where, threads = asked.pop("device"), asked.pop("threads")
    train_detector(**_job(place, Detector(**asked), where, threads))
