"""Timing of answers: step by step, and side by side with other implementations."""

import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np

from pillsnap.answers.answer import Mode
from pillsnap.predict.model import PillSnap
from pillsnap.predict.open_photo import open_photo
from pillsnap.predict.unfused import STEPS, SeparateSteps

PERCENTILES = (50, 95, 99)


def measure_answers(snap: PillSnap, photos: Sequence[bytes], mode: Mode, *, count: int, warmup: int) -> dict[str, Any]:
    """Time whole answers of the fused graph, one photograph at a time: `decode`, `graph`, `total`.

    Args:
        snap: the loaded model.
        photos: files' bytes; they are answered in turn, again from the start when they run out.
        mode: how they are answered.
        count: timed answers.
        warmup: untimed answers before.

    Returns:
        for each step: `p50_ms`, `p95_ms`, `p99_ms`; also `n` and `mean_pills`.
    """
    marks, pills = [], []
    for turn in range(warmup + count):
        start = time.perf_counter()
        photo = open_photo(photos[turn % len(photos)], snap.facts)
        decoded = time.perf_counter()
        pills.append(len(snap.identify(photo, mode).pills))
        marks.append((decoded - start, time.perf_counter() - decoded))
    decode, graph = np.array(marks[warmup:]).T
    steps = {"decode": decode, "graph": graph, "total": decode + graph}
    found = {step: percentiles(seconds) for step, seconds in steps.items()}
    return found | {"n": count, "mean_pills": float(np.mean(pills[warmup:]))}


def _mark(marks: list[tuple[str, float]], step: str) -> None:
    marks.append((step, time.perf_counter()))


def measure_steps(
    snap: SeparateSteps, photos: Sequence[bytes], mode: Mode, *, count: int, warmup: int
) -> dict[str, Any]:
    """As `measure_answers`, for the separate steps: `decode`, `detector`, `crop`, `classifier`, `total`."""
    seconds: dict[str, list[float]] = defaultdict(list)
    pills = []
    for turn in range(warmup + count):
        marks = [("start", time.perf_counter())]
        answer = snap.identify(photos[turn % len(photos)], mode, on_step=partial(_mark, marks))
        if turn < warmup:
            continue
        pills.append(len(answer.pills))
        for (_, before), (step, after) in pairwise(marks):
            seconds[step].append(after - before)
        seconds["total"].append(marks[-1][1] - marks[0][1])
    found = {step: percentiles(seconds[step]) for step in (*STEPS, "total")}
    return found | {"n": count, "mean_pills": float(np.mean(pills))}


def side_by_side(
    ways: Mapping[str, Callable[[bytes], Any]], photos: Sequence[bytes], *, count: int, warmup: int
) -> dict[str, Any]:
    """Time several ways to an answer in turn, photograph by photograph, so that all see the same machine.

    Args:
        ways: takes a file's bytes; by name, the first is the one that the others are compared with.
        photos: files' bytes, answered in turn.
        count, warmup: timed and untimed answers of each way.

    Returns:
        for each way `p50_ms`, `p95_ms`, `p99_ms`, and `times`: its median as a multiple of the first way's.
    """
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(warmup + count):
        for name, answer in ways.items():
            start = time.perf_counter()
            answer(photos[turn % len(photos)])
            taken = time.perf_counter() - start
            if turn >= warmup:
                seconds[name].append(taken)
    first = float(np.median(next(iter(seconds.values()))))
    return {
        name: percentiles(each) | {"times": round(float(np.median(each)) / first, 3)} for name, each in seconds.items()
    } | {"n": count}


def photos_per_second(snap: PillSnap, photos: Sequence[bytes], mode: Mode, *, workers: int) -> float:
    """Photographs answered a second where `workers` threads ask for answers to all of them at once."""
    start = time.perf_counter()
    with ThreadPoolExecutor(workers) as pool:
        answered = list(pool.map(lambda photo: snap.identify(photo, mode), photos))
    return round(len(answered) / (time.perf_counter() - start), 2)


def percentiles(seconds: Sequence[float] | np.ndarray) -> dict[str, float]:
    """`p50_ms`, `p95_ms` and `p99_ms`."""
    return {f"p{percent}_ms": round(float(np.percentile(seconds, percent)) * 1000, 3) for percent in PERCENTILES}
