"""Times of answers: real answers under a clock whose every step is known."""

from collections.abc import Sequence
from types import SimpleNamespace

import numpy as np
import pytest
from models import draw_photo, onnx_models

from pillsnap import latency
from pillsnap.identify import PillSnap
from pillsnap.latency import STEPS, measure_latency
from pillsnap.pictures import encode_jpeg


@pytest.fixture(scope="module")
def snap(tmp_path_factory: pytest.TempPathFactory) -> PillSnap:
    return PillSnap.load(onnx_models(tmp_path_factory.getbasetemp()), threads=1, device="cpu")


@pytest.fixture
def photos() -> list[bytes]:
    return [encode_jpeg(draw_photo(drugs)[0], 90) for drugs in ([0], [0, 1, 2])]


def set_clock(monkeypatch: pytest.MonkeyPatch, answers: Sequence[Sequence[float]]) -> list[float]:
    """Let `measure_latency` see a clock on which each answer's steps last so many milliseconds; returns what is left
    of its readings."""
    readings, now = [], 0.0
    for steps in answers:
        readings.append(now)
        for step in steps:
            now += step / 1000
            readings.append(now)
        now += 5  # what happens between two answers counts for nothing
    monkeypatch.setattr(latency, "time", SimpleNamespace(perf_counter=lambda: readings.pop(0)))
    return readings


def test_percentiles_by_hand(snap: PillSnap, photos: list[bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    """Five timed answers: the median is the third, the 95th percentile lies four fifths of the way from the fourth
    to the fifth; the two answers before them are far slower and do not count."""
    warmup, timed = [(900, 900, 900, 900)] * 2, [(1, 10 * n, 2, 3) for n in (5, 1, 3, 2, 4)]
    left = set_clock(monkeypatch, warmup + timed)
    times = measure_latency(snap, photos, "combo", count=5, warmup=2)
    assert left == [], "each answer is timed step by step, no more and no fewer of them"
    assert times["detector"] == pytest.approx({"p50_ms": 30, "p95_ms": 48, "p99_ms": 49.6}, abs=0.01)
    assert times["total"] == pytest.approx({"p50_ms": 36, "p95_ms": 54, "p99_ms": 55.6}, abs=0.01)
    for step, value in (("decode", 1), ("crop", 2), ("classifier", 3)):
        assert list(times[step].values()) == pytest.approx([value] * 3, abs=0.01)
    assert times["n"] == 5


@pytest.mark.parametrize(("count", "warmup"), [(5, 0), (5, 3), (7, 1)])
def test_photographs_are_answered_in_turn(snap: PillSnap, photos: list[bytes], count: int, warmup: int) -> None:
    pills = [len(snap.identify(photo, "combo").pills) for photo in photos]
    assert pills[0] != pills[1]
    times = measure_latency(snap, photos, "combo", count=count, warmup=warmup)
    answered = [pills[turn % 2] for turn in range(warmup, warmup + count)]
    assert (times["n"], times["mean_pills"]) == (count, pytest.approx(float(np.mean(answered))))


def test_a_real_clock_gives_ordered_percentiles(snap: PillSnap, photos: list[bytes]) -> None:
    times = measure_latency(snap, photos, "single", count=5, warmup=1)
    for step in (*STEPS, "total"):
        assert 0 < times[step]["p50_ms"] <= times[step]["p95_ms"] <= times[step]["p99_ms"]
    assert times["total"]["p50_ms"] >= max(times[step]["p50_ms"] for step in STEPS)
    assert times["mean_pills"] == 1
