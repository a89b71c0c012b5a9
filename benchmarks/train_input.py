"""Measure whether training waits for its pictures: our input path against no loading, torchvision's and timm's.

    python benchmarks/train_input.py               # the figures of benchmarks/train_input.md; 5 minutes on 2 cores
    python benchmarks/train_input.py --config config.yaml profiles/production/pillsnap.yaml \\
        --device cuda --batch 128 --precision bf16 --steps 30 --out benchmarks/train_input_gpu    # where there is a GPU
    python benchmarks/train_input.py --config config.yaml tests/workflow/tiny.yaml --photos 4 --steps 2 --repeats 1 \\
        --out /tmp/train_input                     # half a minute, to try it; its figures mean nothing

Claim: with our input path a training step takes hardly longer than on pictures that are in memory already. In one run,
with the same model, batch and images, it times training steps (forward, label-smoothed cross entropy, backward, AdamW;
on a GPU in bfloat16 where requested, channels last) on batches by

- the limit: one batch of random numbers on the device, always the same;
- ours: `CropBatches`, `normalise`, `augment`, as `train_classifier` uses them, crops kept in memory after the first
  time, as where they fit; and not kept: every batch is decoded from the memory-mapped shard;
- torchvision: ImageFolder over the same JPEGs as files, RandomResizedCrop, RandomRotation, ColorJitter, ToTensor,
  Normalize, in a DataLoader;
- timm: `create_loader` over the same files with its defaults for training.

The last two get the number of worker processes that was quickest for them in this run, tried before: none, powers of
two and all cores. Ours gets as many threads (CPU) or processes (GPU) as there are cores.

The detector's input: ultralytics' own loader with the augmentation of `train_detector`, over the JPEGs that
`build_yolo_dataset` writes and over the raw 976 x 1280 PNGs: the loader alone, and training steps of the configured
detector, with one batch that is always the same as the limit.

Contestants take turns within each repeat. In a turn a contestant starts anew, some batches warm up, and an epoch is
longer than the turn, so that no loader runs out of work. Ratios are those of one repeat; figures are medians with the
lowest and highest. Photographs are synthetic; crops beyond one a photograph are cut a little beside its labelled box,
and the detector reads each photograph under several names. All files are in the page cache, so disks do not count.
"""

import argparse
import dataclasses
import datetime
import functools
import os
import shlex
import sys
import tempfile
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
import train_input_page
from train_input_classifier import PRECISIONS, ClassifierRace, Turn, worker_choices
from train_input_detector import DetectorRace
from train_input_photos import Pictures, draw_pictures

from pillsnap.config.config import Config
from pillsnap.config.load import read_config
from pillsnap.files import write_json, write_text
from pillsnap.hardware import cores, torch_device, use_threads
from pillsnap.workflow.provenance import describe_device, git_commit

PACKAGES = ("torch", "torchvision", "timm", "ultralytics", "simplejpeg", "opencv-python-headless", "pillow", "numpy")
PREFETCHED = 4
"""Batches that a worker of ultralytics' loader keeps ready, more than any other loader."""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("--config", type=Path, nargs="+", default=[Path("config.yaml")], help="and overlays")
    parser.add_argument("--device", choices=["auto", "cpu", "cuda"], default="auto")
    parser.add_argument("--model", help="timm model instead of the configured classifier")
    parser.add_argument("--image-size", type=int, help="instead of the configured classifier's; crops a quarter larger")
    parser.add_argument("--batch", type=int, help="instead of the configured classifier's")
    parser.add_argument("--precision", choices=list(PRECISIONS), default="fp32")
    parser.add_argument("--photos", type=int, default=60, help="different photographs")
    parser.add_argument("--warm-up", type=int, default=3, help="batches of a turn before those that count")
    parser.add_argument("--steps", type=int, default=10, help="batches of a turn that count")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/train_input"), help=".json and .md are added")
    parser.add_argument("--folder", type=Path, help="where pictures are drawn; default: temporary")
    words = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=words.folder) as folder:
        result = measure(Path(folder), words, _config(words))
    result = {"command": shlex.join(["python", "benchmarks/train_input.py", *sys.argv[1:]])} | result
    write_json(words.out.with_suffix(".json"), result)
    write_text(words.out.with_suffix(".md"), train_input_page.page(result))
    print(train_input_page.page(result))


def _config(words: argparse.Namespace) -> Config:
    """The configuration with the words laid over it."""
    config = read_config(*words.config)
    classifier, crops = config.classifier, config.crops
    if words.model:
        classifier = classifier.model_copy(update={"model": words.model, "model_args": None})
    if words.image_size:
        classifier = classifier.model_copy(update={"image_size": words.image_size})
        crops = crops.model_copy(update={"size": words.image_size * 5 // 4})
    classifier = classifier.model_copy(update={"batch": words.batch or classifier.global_batch_size})
    detector = config.detector.model_copy(update={"batch": config.detector.global_batch_size})
    return config.model_copy(update={"classifier": classifier, "crops": crops, "detector": detector})


def measure(folder: Path, words: argparse.Namespace, config: Config) -> dict[str, Any]:
    """Draw the pictures and time every contestant; returns what `train_input.json` holds."""
    device = torch_device(words.device)
    turn = Turn(words.warm_up, words.steps, device)
    crops = 2 * config.classifier.batch * (turn.warm_up + turn.steps)
    shown = config.detector.batch * (turn.warm_up + 2 * turn.steps + PREFETCHED * config.threads)
    sizes = {"photos": words.photos, "copies": -(-shown // words.photos), "crops": crops}
    pictures = draw_pictures(folder, config, **sizes, processes=min(cores(), words.photos))
    use_threads(config.threads)
    torch.use_deterministic_algorithms(device == "cpu", warn_only=True)
    torch.manual_seed(config.seed)
    # ultralytics, once imported, changes how some libraries work: the classifier's turns come first
    classifier = _classifier(pictures, config, turn, words)
    detector = _detector(folder, pictures, config, turn, words)
    sections = ("prepare", "crops", "classifier", "detector")
    return {
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "device": describe_device(device),
        "commit": git_commit(),
        "versions": {package: version(package) for package in PACKAGES},
        "cores": cores(),
        "threads": config.threads,
        "precision": words.precision,
        "turn": {"warm_up": turn.warm_up, "steps": turn.steps, "repeats": words.repeats},
        "pictures": sizes,
        "settings": {name: getattr(config, name).model_dump() for name in sections},
        "classifier": classifier,
        "detector": detector,
    }


def _classifier(pictures: Pictures, config: Config, turn: Turn, words: argparse.Namespace) -> dict[str, Any]:
    """Images a second of training by contestant, repeat by repeat; what other loaders reached by worker processes."""
    settings = {"device": turn.device, "precision": words.precision, "workers": cores()}
    race = ClassifierRace(pictures.crops, pictures.crop_files, config.classifier, **settings)
    tried: dict[str, dict[str, float]] = {}
    contestants = {
        name: _timed(turn, make, race.step, config.classifier.batch) for name, make in race.contestants().items()
    }
    for name, loader in race.other_loaders().items():
        ways = {
            str(workers): _timed(turn, functools.partial(loader, workers), race.step, config.classifier.batch)
            for workers in worker_choices(cores())
        }
        tried[name] = {workers: way() for workers, way in ways.items()}
        contestants[name] = ways[max(tried[name], key=tried[name].__getitem__)]
        print(f"{name}, by worker processes: {tried[name]}", flush=True)
    return {"workers_tried": tried} | _take_turns({"training": contestants}, words.repeats)


def _detector(
    folder: Path, pictures: Pictures, config: Config, turn: Turn, words: argparse.Namespace
) -> dict[str, Any]:
    """Images a second of the loader alone and of training by contestant, repeat by repeat."""
    folders = {"prepared JPEGs": pictures.dataset, "raw PNGs": pictures.raw_dataset}
    settings = {"device": turn.device, "precision": words.precision, "threads": config.threads}
    race = DetectorRace(folders, config.detector, folder / "ultralytics", **settings)
    # reading alone is quick: twice as many batches count
    reading = dataclasses.replace(turn, steps=2 * turn.steps)
    batch = config.detector.batch
    parts = {
        "loader": {name: _timed(reading, make, lambda _: None, batch) for name, make in race.loaders().items()},
        "training": {name: _timed(turn, make, race.step, batch) for name, make in race.trainings().items()},
    }
    return _take_turns(parts, words.repeats)


def _timed(
    turn: Turn, batches: Callable[[], Iterator[Any]], step: Callable[[Any], None], size: int
) -> Callable[[], float]:
    """One turn of a contestant, as images a second."""
    return lambda: round(size * turn.rate(batches(), step), 2)


def _take_turns(parts: dict[str, dict[str, Callable[[], float]]], repeats: int) -> dict[str, Any]:
    """The machine's load before each repeat, and by part and contestant one figure of each repeat."""
    found: dict[str, Any] = {"load": []} | {part: {name: [] for name in some} for part, some in parts.items()}
    for repeat in range(repeats):
        found["load"].append(round(os.getloadavg()[0], 1))
        for part, contestants in parts.items():
            for name, timed in contestants.items():
                found[part][name].append(timed())
                print(f"{repeat + 1}/{repeats} {part}, {name}: {found[part][name][-1]} images/s", flush=True)
    return found


if __name__ == "__main__":
    main()
