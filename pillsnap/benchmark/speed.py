"""Speed of answers on a stage's test photographs: step by step, side by side, and in batch."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pandas as pd

from pillsnap.answers.answer import Mode
from pillsnap.benchmark.timing import measure_answers, measure_steps, photos_per_second, side_by_side
from pillsnap.config.config import Benchmark
from pillsnap.hardware import cores
from pillsnap.manifest.stored_photos import stored_photos
from pillsnap.pictures.decode import decode_photo, encode_jpeg
from pillsnap.predict.model import PillSnap
from pillsnap.predict.unfused import SeparateSteps

PILLS = (1, 4, 8)
"""Pills in the photographs of the comparison side by side."""
DEVICES = {
    "cpu": ("pipeline.onnx", "cpu"),
    "cuda": ("pipeline.onnx", "cuda"),
    "cuda fp16": ("pipeline.fp16.onnx", "cuda"),
}
"""Graph and device of the comparison of devices."""
ASKING_A_GPU = 4
"""Threads that ask one GPU at a time: some decode while one computes. Each holds activations there, and as many as
there are cores would run out of its memory."""


@dataclass(frozen=True)
class StageFiles:
    """Files of a stage that its answers are timed with.

    Attributes:
        models: folder of `export_onnx`.
        detector, classifier: `best.pt` and safetensors of the trainings, for the comparison with PyTorch.
        pills: test manifest.
        prepared: folders of `prepare_archive`; test photographs lie there at native size.
        work: folder for ultralytics' own settings.
    """

    models: Path
    detector: Path
    classifier: Path
    pills: pd.DataFrame
    prepared: Sequence[Path]
    work: Path

    def photos(self, which: pd.Series, count: int) -> list[bytes]:
        """Files' bytes of at most about `count` photographs of these pills, evenly chosen."""
        pills = self.pills[which]
        images = list(dict.fromkeys(pills["image_id"]))
        chosen = pills[pills["image_id"].isin(set(images[:: max(1, len(images) // count)]))]
        return [data for data, _ in stored_photos(chosen, self.prepared)]


def measure_speed(stage: StageFiles, settings: Benchmark, *, compared: int, device: str) -> dict[str, Any]:
    """Measure every figure of `latency.json`.

    Args:
        stage: its models and test photographs.
        settings: counts and threads.
        compared: timed answers by separate steps in each mode, and by each way side by side with each number of pills.
        device: `auto`, `cpu` or `cuda`.
    """
    snap = PillSnap.load(stage.models, threads=settings.threads, device=device)
    steps = SeparateSteps.load(stage.models, threads=settings.threads, device=device)
    one_thread = PillSnap.load(stage.models, threads=1, device=device)
    counts = {"count": settings.latency_photos, "warmup": settings.warmup}
    times: dict[str, Any] = {
        "device": snap.device,
        "threads": settings.threads,
        "warmup": settings.warmup,
        "photos": "test photographs at native size, as JPEG, from memory",
        "steps": {},
        "throughput": {},
    }
    modes: tuple[Mode, ...] = get_args(Mode)
    photos = {mode: stage.photos(stage.pills["domain"] == mode, settings.latency_photos) for mode in modes}
    photos = {mode: some for mode, some in photos.items() if some}
    for mode, some in photos.items():
        times[mode] = measure_answers(snap, some, mode, **counts)
        times["steps"][mode] = measure_steps(steps, some, mode, count=compared, warmup=settings.warmup)
        times["throughput"][mode] = _throughput(one_thread, some, mode)
    own = {snap.device: {mode: times[mode]["total"] for mode in photos}}
    times["devices"] = own | _other_devices(snap.device, stage.models, photos, settings)
    times["side_by_side"] = _side_by_side(snap, steps, stage, settings, compared)
    return times


def _other_devices(
    measured: str, models: Path, photos: Mapping[Mode, Sequence[bytes]], settings: Benchmark
) -> dict[str, dict[str, Any]]:
    """Whole answers by mode on the CPU, and by CUDA in FP32 and FP16 where it works; not what is `measured` already."""
    found: dict[str, dict[str, Any]] = {}
    for name, (file, device) in DEVICES.items():
        if name == measured or (device == "cuda" and measured == "cpu"):
            continue  # `auto` has tried CUDA already
        snap = PillSnap.load(models / file, threads=settings.threads, device=device)
        counts = {"count": settings.latency_photos, "warmup": settings.warmup}
        found[name] = {mode: measure_answers(snap, some, mode, **counts)["total"] for mode, some in photos.items()}
    return found


def _throughput(snap: PillSnap, photos: Sequence[bytes], mode: Mode) -> dict[str, Any]:
    """Photographs a second where several threads ask at a time, each answered by one thread."""
    workers = cores() if snap.device == "cpu" else min(cores(), ASKING_A_GPU)
    photos_per_second(snap, photos[:5], mode, workers=1)
    return {"workers": workers, "photos_per_second": photos_per_second(snap, photos, mode, workers=workers)}


def _side_by_side(
    snap: PillSnap, steps: SeparateSteps, stage: StageFiles, settings: Benchmark, count: int
) -> dict[str, Any]:
    """Times of each way to an answer by number of pills; the warm-up is shared among these numbers."""
    from pillsnap.benchmark.pytorch_baseline import PyTorchAnswer

    pytorch = PyTorchAnswer(
        stage.detector,
        stage.classifier,
        work=stage.work,
        drugs=len(steps.classes),
        min_score=settings.min_score,
        image_size=steps.detector_facts["image_size"],
        threads=settings.threads,
        device=snap.device,
    )
    ways: dict[str, Any] = {"fused": snap, "steps": steps, "pytorch": pytorch}
    precision = "int8" if snap.device == "cpu" else "fp16"
    file = stage.models / f"pipeline.{precision}.onnx"
    ways[precision] = PillSnap.load(file, threads=settings.threads, device=snap.device)
    warmup = -(-settings.warmup // len(PILLS))
    found = {}
    for pills, photos in _by_number_of_pills(stage, count).items():
        mode = "single" if pills == 1 else "combo"
        asked = {name: partial(way.identify, mode=mode) for name, way in ways.items()}
        found[str(pills)] = side_by_side(asked, photos, count=count, warmup=warmup)
    return found


def _by_number_of_pills(stage: StageFiles, count: int) -> dict[int, list[bytes]]:
    """Photographs with 1, 4 and 8 pills; those of 8 are two of 4 side by side."""
    shown = stage.pills.groupby("image_id")["image_id"].transform("size")
    found = {}
    for number in PILLS[:2]:
        photos = stage.photos((shown == number) & stage.pills["fully_labelled"], count)
        if photos:
            found[number] = photos
    if 4 in found:
        pairs = zip(found[4], found[4][1:] + found[4][:1], strict=True)
        found[8] = [_beside(*pair) for pair in pairs]
    return found


def _beside(left: bytes, right: bytes) -> bytes:
    pictures = [decode_photo(data) for data in (left, right)]
    height = min(len(picture) for picture in pictures)
    return encode_jpeg(np.concatenate([picture[:height] for picture in pictures], axis=1), 90)
