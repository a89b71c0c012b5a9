"""How long an answer takes, step by step."""

import time
from collections import defaultdict
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from pillsnap.answers import Mode
from pillsnap.identify import PillSnap

STEPS = ("decode", "detector", "crop", "classifier")


def measure_latency(snap: PillSnap, photos: Sequence[bytes], mode: Mode, *, count: int, warmup: int) -> dict[str, Any]:
    """Time whole answers, one photograph at a time.

    Args:
        snap: the loaded models.
        photos: files' bytes; they are answered in turn, again from the start when they run out.
        mode: how they are answered.
        count: timed answers.
        warmup: untimed answers before.

    Returns:
        for each step and `total`: `p50_ms`, `p95_ms`, `p99_ms`; also `n` and `mean_pills`.
    """
    seconds: dict[str, list[float]] = defaultdict(list)
    pills = []
    for turn in range(warmup + count):
        marks = [("start", time.perf_counter())]
        answer = snap.identify(
            photos[turn % len(photos)],
            mode,
            on_step=lambda step, marks=marks: marks.append((step, time.perf_counter())),
        )
        if turn < warmup:
            continue
        pills.append(len(answer.pills))
        for (_, before), (step, after) in pairwise(marks):
            seconds[step].append(after - before)
        seconds["total"].append(marks[-1][1] - marks[0][1])
    result: dict[str, Any] = {step: _percentiles(seconds[step]) for step in (*STEPS, "total")}
    return result | {"n": count, "mean_pills": float(np.mean(pills))}


def _percentiles(seconds: Sequence[float]) -> dict[str, float]:
    return {f"p{percent}_ms": round(float(np.percentile(seconds, percent)) * 1000, 3) for percent in (50, 95, 99)}
