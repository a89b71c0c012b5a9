"""Answer a stage's test part as a phone of 12 megapixels shows it: reduced in decoding, and decoded whole.

    python benchmarks/phone_photos.py                                      # the figures of benchmarks/phone_photos.md
    python benchmarks/phone_photos.py --photos 20 --times 5 --out /tmp/phone    # to try it

Aim: an answer takes at most 0.75 times as long where libjpeg reduces the photograph (which makes one decoded whole 1.33
times as long), and at most half as long as by ultralytics and timm; top-1 and mAP@0.5 stay the same within 0.002.

Method: each test photograph is enlarged (bicubic) to 4032 pixels along its longer side, gets so much of a sensor's
noise that its file has the 3 MB of a phone's, and is stored as a phone does it: JPEG of quality 90, half the colour
resolution, on its side with EXIF orientation 6. Enlarging adds no detail that a phone would see. Accuracy is that of
`run_benchmark`, twice: from the file's bytes, which are reduced, and from all its pixels. Times are of whole answers,
from bytes in memory, all ways in turn on each photograph; with every photograph another end of the list is asked first.
Ultralytics and timm decode with Pillow, as their documentation shows it, and do not turn the photograph. The spread is
the middle 90 % of a ratio over 2,000 draws of the photographs with replacement.
"""

import argparse
import datetime
import io
import shlex
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
from page_origin import origin
from PIL import Image

from pillsnap.answers.accuracy import PhotoResult, classifier_metrics, detector_metrics, pipeline_metrics
from pillsnap.answers.answer import Mode
from pillsnap.benchmark.photo_results import measure_photo
from pillsnap.benchmark.pytorch_baseline import PyTorchAnswer
from pillsnap.config.config import Crops
from pillsnap.files import write_json, write_text
from pillsnap.hardware import usable_threads
from pillsnap.manifest.stored_photos import stored_photos
from pillsnap.pictures.decode import decode_jpeg, decode_photo
from pillsnap.predict.model import PillSnap
from pillsnap.predict.open_photo import open_photo
from pillsnap.predict.unfused import SeparateSteps
from pillsnap.tables.files import read_table
from pillsnap.tables.schemas import MANIFEST
from pillsnap.workflow.provenance import describe_device, git_commit, package_versions

PROJECT = Path(__file__).parents[1]
LONG_SIDE, QUALITY, NOISE = 4032, 90, 7.0
SIDEWAYS = 6
"""EXIF orientation of a phone that is held upright."""
DRAWS, WARMUP = 2000, 4
MODES: tuple[Mode, ...] = ("single", "combo")
WAYS = {
    "reduced": "one graph, reduced",
    "whole": "one graph, decoded whole",
    "steps": "three sessions, reduced",
    "pytorch": "ultralytics and timm",
}

_PAGE = """# Photographs of phones: measured

Made by `{command}`, whose first lines tell the method; every figure is computed from
[phone_photos.json](phone_photos.json). **The photographs are synthetic, and enlarged.**

- {date}, {device}; {threads} threads; commit `{commit}`{dirty}
- {versions}
- photographs of {megapixels:.1f} megapixels and {megabytes:.1f} MB on average

## Accuracy

Of {photos} photographs; {again} of them were decoded again, larger, for the crop of a small pill.

| figure | reduced | whole | difference |
|---|---|---|---|
{accuracy}

## Time

Whole answers; {timed} of each way, in turn. `times` is a multiple of the first way's, in brackets its spread.
Combinations have four pills.

| photographs | way | p50 ms | times | p95 ms | times |
|---|---|---|---|---|---|
{times}
"""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("--stage", type=Path, default=Path("results/stage4"), help="a stage that is made")
    parser.add_argument("--photos", type=int, default=None, help="photographs whose answers are compared; all")
    parser.add_argument("--times", type=int, default=100, help="timed answers of each way in each mode")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path, default=PROJECT / "benchmarks/phone_photos", help=".json and .md are added")
    words = parser.parse_args()
    result = measure(words)
    write_json(words.out.with_suffix(".json"), result)
    write_text(words.out.with_suffix(".md"), page(result))
    print(page(result))


def measure(words: argparse.Namespace) -> dict[str, Any]:
    """The figures of the page, with what they were measured on."""
    cv2.setNumThreads(1)
    pills = read_table(words.stage / "manifest/test.csv", MANIFEST)
    prepared = sorted((words.stage / "prepared").iterdir())
    ways, times = contestants(words), {}
    shown = pills.groupby("image_id")["image_id"].transform("size")
    for mode, number in zip(MODES, (1, 4), strict=True):
        some = [data for data, _ in stored_photos(evenly(pills[shown == number], words.times), prepared)]
        if some:
            times[mode] = in_turn(ways, map(phone_photo, islice(cycle(some), WARMUP + words.times)), mode)
    chosen = evenly(pills, words.photos) if words.photos else pills
    return {
        **compare(words, chosen, prepared),
        "times": times,
        "command": shlex.join(["python", "benchmarks/phone_photos.py", *sys.argv[1:]]),
        "date": datetime.date.today().isoformat(),
        "device": describe_device("cpu"),
        "threads": usable_threads(words.threads),
        "commit": git_commit(),
        "versions": package_versions(),
    }


def evenly(pills: pd.DataFrame, count: int) -> pd.DataFrame:
    """The rows of about so many photographs, evenly chosen."""
    images = pills["image_id"].drop_duplicates()
    return pills[pills["image_id"].isin(images.iloc[:: max(1, len(images) // count)])]


def phone_photo(data: bytes) -> bytes:
    """A stored test photograph as a phone of 12 megapixels takes it."""
    picture = decode_jpeg(data)
    scale = LONG_SIDE / max(picture.shape)
    large = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)
    noise = np.random.default_rng(len(data)).normal(0, NOISE, (1024, 1024, 3)).astype(np.int8)
    tiles = [-(-side // 1024) for side in large.shape[:2]]
    noisy = cv2.add(large, np.tile(noise, (*tiles, 1))[: large.shape[0], : large.shape[1]], dtype=cv2.CV_8U)
    stream, exif = io.BytesIO(), Image.Exif()
    exif[0x0112] = SIDEWAYS
    sideways = Image.fromarray(cv2.rotate(noisy, cv2.ROTATE_90_COUNTERCLOCKWISE))
    sideways.save(stream, "JPEG", quality=QUALITY, subsampling="4:2:0", exif=exif)
    return stream.getvalue()


def compare(words: argparse.Namespace, pills: pd.DataFrame, prepared: list[Path]) -> dict[str, Any]:
    """Accuracy reduced and whole, and what the photographs are like."""
    steps = SeparateSteps.load(words.stage / "onnx", threads=1, device="cpu")

    def both(photo: tuple[bytes, pd.DataFrame]) -> tuple[PhotoResult, PhotoResult, bool, int, int]:
        data, rows = phone_photo(photo[0]), photo[1]
        whole = decode_photo(data)
        scale = max(whole.shape) / max(rows[["width", "height"]].iloc[0])
        rows = rows.assign(**{side: rows[side] * scale for side in "xywh"})
        opened = open_photo(data, steps.detector_facts)
        looked, _ = steps.look(opened, rows["domain"].iloc[0])
        reduced = measure_photo(steps, opened, rows)
        return reduced, measure_photo(steps, whole, rows), looked is not opened, whole.size // 3, len(data)

    results: list[Any] = []
    photos = stored_photos(pills, prepared)
    with ThreadPoolExecutor(usable_threads(words.threads)) as pool:
        while chunk := list(islice(photos, 16)):
            results += pool.map(both, chunk)
    reduced, whole, again, pixels, sizes = zip(*results, strict=True)
    return {
        "photos": len(results),
        "again": sum(again),
        "pixels": float(np.mean(pixels)),
        "bytes": float(np.mean(sizes)),
        "reduced": figures(reduced),
        "whole": figures(whole),
    }


def figures(results: Iterable[PhotoResult]) -> dict[str, float]:
    """The figures of accuracy that have a target, and the combinations' pills that are found and named right."""
    some = list(results)
    found = {
        **classifier_metrics(some),
        **detector_metrics(some),
        **pipeline_metrics(some, Crops().min_iou),
    }
    names = ("top1", "top5", "macro_f1", "map50", "map50_95", "single_correct", "combo_correct")
    return {name: found[name] for name in names}


def contestants(words: argparse.Namespace) -> dict[str, Callable[[bytes, Mode], Any]]:
    """The ways of `WAYS`: each takes a file's bytes and a mode."""
    stage, given = words.stage, {"threads": words.threads, "device": "cpu"}
    snap, steps = PillSnap.load(stage / "onnx", **given), SeparateSteps.load(stage / "onnx", **given)
    pytorch = PyTorchAnswer(
        stage / "detector/best.pt",
        stage / "classifier/best.safetensors",
        work=Path(tempfile.mkdtemp()),
        drugs=len(snap.classes),
        min_score=snap.facts["min_score"],
        image_size=snap.facts["image_size"],
        **given,
    )
    return {
        "reduced": snap.identify,
        "whole": lambda data, mode: snap.identify(decode_photo(data), mode),
        "steps": steps.identify,
        "pytorch": pytorch.identify,
    }


def in_turn(
    ways: Mapping[str, Callable[[bytes, Mode], Any]], photos: Iterator[bytes], mode: Mode
) -> dict[str, dict[str, Any]]:
    """Times of an answer by each way, see `percentile`; the first `WARMUP` of them do not count."""
    taken: dict[str, list[float]] = {name: [] for name in ways}
    for turn, data in enumerate(photos):
        for name in list(ways)[:: -1 if turn % 2 else 1]:
            start = time.perf_counter()
            ways[name](data, mode)
            taken[name].append(1000 * (time.perf_counter() - start))
    warm = {name: np.array(each[WARMUP:]) for name, each in taken.items()}
    first = next(iter(warm.values()))
    return {
        name: {"n": len(each), **{f"p{percent}": percentile(each, first, percent) for percent in (50, 95)}}
        for name, each in warm.items()
    }


def percentile(taken: np.ndarray, first: np.ndarray, percent: int) -> dict[str, float]:
    """A percentile in milliseconds, as a multiple of the first way's, with the middle 90 % of that over the draws."""
    drawn = np.random.default_rng(0).integers(0, len(first), (DRAWS, len(first)))
    ratios = np.percentile(taken[drawn], percent, axis=1) / np.percentile(first[drawn], percent, axis=1)
    value = float(np.percentile(taken, percent))
    low, high = (float(each) for each in np.percentile(ratios, (5, 95)))
    return {"ms": value, "times": value / float(np.percentile(first, percent)), "low": low, "high": high}


def page(result: dict[str, Any]) -> str:
    """The measured figures as Markdown."""
    accuracy = [
        f"| {name} | {reduced:.4f} | {result['whole'][name]:.4f} | {reduced - result['whole'][name]:+.4f} |"
        for name, reduced in result["reduced"].items()
    ]
    times = [
        f"| {mode} | {WAYS[name]} | {_cells(each['p50'])} | {_cells(each['p95'])} |"
        for mode, ways in result["times"].items()
        for name, each in ways.items()
    ]
    return _PAGE.format(
        **origin(result),
        command=result["command"],
        threads=result["threads"],
        megapixels=result["pixels"] / 1e6,
        megabytes=result["bytes"] / 1e6,
        photos=result["photos"],
        again=result["again"],
        accuracy="\n".join(accuracy),
        timed=next(iter(result["times"].values()))["reduced"]["n"],
        times="\n".join(times),
    )


def _cells(one: dict[str, float]) -> str:
    return f"{one['ms']:.1f} | {one['times']:.2f} ({one['low']:.2f} to {one['high']:.2f})"


if __name__ == "__main__":
    main()
