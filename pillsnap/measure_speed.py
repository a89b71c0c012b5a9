"""The speed of answers on a stage's test photographs: step by step, side by side, and in batch."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pillsnap.config import Benchmark
from pillsnap.hardware import HardwareError, cores, gpus
from pillsnap.identify import PillSnap
from pillsnap.latency import measure_answers, measure_steps, photos_per_second, side_by_side
from pillsnap.pictures import decode_photo, encode_jpeg
from pillsnap.separate_steps import SeparateSteps
from pillsnap.sessions import PROVIDERS
from pillsnap.stored_photos import stored_photos

PILLS = (1, 4, 8)
"""Pills in the photographs that the ways to an answer are compared on."""


def measure_speed(
    snap: PillSnap,
    steps: SeparateSteps,
    models: Path,
    detector: Path,
    classifier: Path,
    pills: pd.DataFrame,
    prepared: Sequence[Path],
    work: Path,
    settings: Benchmark,
) -> dict[str, Any]:
    """Every figure of `latency.json`.

    Args:
        snap, steps: the same models, fused and apart, on the device that is measured.
        models: their folder.
        detector, classifier: `best.pt` and safetensors of the trainings, for the comparison with PyTorch.
        pills: test manifest.
        prepared: folders of `prepare_archive`; test photographs lie there at native size.
        work: folder for ultralytics' own settings.
        settings: counts and threads.
    """
    counts = {"count": settings.latency_photos, "warmup": settings.warmup}
    times: dict[str, Any] = {
        "device": snap.device,
        "threads": settings.threads,
        "warmup": settings.warmup,
        "photos": "test photographs at native size, as JPEG, from memory",
        "steps": {},
        "throughput": {},
    }
    for mode in ("single", "combo"):
        photos = _photos(pills[pills["domain"] == mode], prepared, settings.latency_photos)
        if photos:
            times[mode] = measure_answers(snap, photos, mode, **counts)
            times["steps"][mode] = measure_steps(steps, photos, mode, **counts)
            times["throughput"][mode] = _throughput(models, photos, mode, snap.device)
    times["devices"] = _devices(models, pills, prepared, settings)
    times["side_by_side"] = _side_by_side(snap, steps, detector, classifier, pills, prepared, work, settings)
    return times


def _devices(
    models: Path, pills: pd.DataFrame, prepared: Sequence[Path], settings: Benchmark
) -> dict[str, dict[str, Any]]:
    """Whole answers in `single` and `combo` on the CPU always, by CUDA and by TensorRT where they work."""
    counts = {"count": settings.latency_photos, "warmup": settings.warmup}
    found: dict[str, dict[str, Any]] = {}
    for device in PROVIDERS if gpus() else ("cpu",):
        try:
            snap = PillSnap.load(models, threads=settings.threads, device=device)
        except HardwareError:
            continue
        found[device] = {
            mode: measure_answers(snap, photos, mode, **counts)["total"]
            for mode in ("single", "combo")
            if (photos := _photos(pills[pills["domain"] == mode], prepared, settings.latency_photos))
        }
    return found


def _throughput(models: Path, photos: Sequence[bytes], mode: str, device: str) -> dict[str, Any]:
    """One thread of arithmetic for each of as many questions at a time as there are cores."""
    lone = PillSnap.load(models, threads=1, device=device)
    photos_per_second(lone, photos[:5], mode, workers=1)
    return {"workers": cores(), "photos_per_second": photos_per_second(lone, photos, mode, workers=cores())}


def _side_by_side(
    snap: PillSnap,
    steps: SeparateSteps,
    detector: Path,
    classifier: Path,
    pills: pd.DataFrame,
    prepared: Sequence[Path],
    work: Path,
    settings: Benchmark,
) -> dict[str, Any]:
    from pillsnap.pytorch_answer import PyTorchAnswer

    pytorch = PyTorchAnswer(
        detector,
        classifier,
        work=work,
        drugs=len(steps.classes),
        min_score=settings.min_score,
        image_size=steps.detector_facts["image_size"],
        threads=settings.threads,
        device=snap.device,
    )
    found = {}
    for count, photos in _by_number_of_pills(pills, prepared, settings.latency_photos).items():
        mode = "single" if count == 1 else "combo"
        ways = {name: _asking(way, mode) for name, way in (("fused", snap), ("steps", steps), ("pytorch", pytorch))}
        found[str(count)] = side_by_side(ways, photos, count=settings.latency_photos, warmup=settings.warmup)
    return found


def _asking(way: Any, mode: str) -> Any:
    return lambda photo: way.identify(photo, mode)


def _by_number_of_pills(pills: pd.DataFrame, prepared: Sequence[Path], count: int) -> dict[int, list[bytes]]:
    """Photographs with 1, 4 and 8 pills; those of 8 are two of 4 side by side."""
    images = pills.groupby("image_id")["image_id"].transform("size")
    found = {}
    for number in PILLS[:2]:
        photos = _photos(pills[(images == number) & pills["fully_labelled"]], prepared, count)
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


def _photos(pills: pd.DataFrame, prepared: Sequence[Path], count: int) -> list[bytes]:
    """Files' bytes of at most about `count` photographs, evenly chosen."""
    images = list(dict.fromkeys(pills["image_id"]))
    chosen = pills[pills["image_id"].isin(set(images[:: max(1, len(images) // count)]))]
    return [data for data, _ in stored_photos(chosen, prepared)]
