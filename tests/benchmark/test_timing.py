"""Times of answers: real answers under a clock whose every step is known."""

from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from pillsnap.benchmark import timing as latency
from pillsnap.benchmark.timing import measure_answers, measure_steps, photos_per_second, side_by_side
from pillsnap.pictures.decode import encode_jpeg
from pillsnap.predict.model import PillSnap
from pillsnap.predict.unfused import STEPS, SeparateSteps
from tests.support.models import draw_photo, onnx_models


@pytest.fixture(scope="module")
def snap(base: Path) -> PillSnap:
    return PillSnap.load(onnx_models(base), threads=1, device="cpu")


@pytest.fixture(scope="module")
def steps(base: Path) -> SeparateSteps:
    return SeparateSteps.load(onnx_models(base), threads=1, device="cpu")


@pytest.fixture
def photos() -> list[bytes]:
    return [encode_jpeg(draw_photo(drugs)[0], 90) for drugs in ([0], [0, 1, 2])]


def set_clock(monkeypatch: pytest.MonkeyPatch, answers: Sequence[Sequence[float]]) -> list[float]:
    """Let `pillsnap.benchmark.timing` see a clock on which each answer's steps last so many milliseconds; returns the
    readings that are left."""
    readings, now = [], 0.0
    for steps in answers:
        readings.append(now)
        for step in steps:
            now += step / 1000
            readings.append(now)
        now += 5  # what happens between two answers counts for nothing
    monkeypatch.setattr(latency, "time", SimpleNamespace(perf_counter=lambda: readings.pop(0)))
    return readings


def test_percentiles_by_hand(steps: SeparateSteps, photos: list[bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    """Five timed answers: the median is the third, the 95th percentile lies four fifths of the way from the fourth
    to the fifth; the two answers before them are far slower and do not count."""
    warmup, timed = [(900, 900, 900, 900)] * 2, [(1, 10 * n, 2, 3) for n in (5, 1, 3, 2, 4)]
    left = set_clock(monkeypatch, warmup + timed)
    times = measure_steps(steps, photos, "combo", count=5, warmup=2)
    assert left == [], "each answer is timed step by step, no more and no fewer of them"
    assert times["detector"] == pytest.approx({"p50_ms": 30, "p95_ms": 48, "p99_ms": 49.6}, abs=0.01)
    assert times["total"] == pytest.approx({"p50_ms": 36, "p95_ms": 54, "p99_ms": 55.6}, abs=0.01)
    for step, value in (("decode", 1), ("crop", 2), ("classifier", 3)):
        assert list(times[step].values()) == pytest.approx([value] * 3, abs=0.01)
    assert times["n"] == 5


def test_whole_answers_by_hand(snap: PillSnap, photos: list[bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    left = set_clock(monkeypatch, [(900, 900), *((2, 10 * n) for n in (5, 1, 3, 2, 4))])
    times = measure_answers(snap, photos, "combo", count=5, warmup=1)
    assert left == []
    assert times["graph"] == pytest.approx({"p50_ms": 30, "p95_ms": 48, "p99_ms": 49.6}, abs=0.01)
    assert times["total"]["p50_ms"] == pytest.approx(32, abs=0.01)


@pytest.mark.parametrize(("count", "warmup"), [(5, 0), (5, 3), (7, 1)])
def test_photographs_are_answered_in_turn(
    snap: PillSnap, steps: SeparateSteps, photos: list[bytes], count: int, warmup: int
) -> None:
    for measure, way in ((measure_answers, snap), (measure_steps, steps)):
        pills = [len(way.identify(photo, "combo").pills) for photo in photos]
        assert pills[0] != pills[1]
        times = measure(way, photos, "combo", count=count, warmup=warmup)
        answered = [pills[turn % 2] for turn in range(warmup, warmup + count)]
        assert (times["n"], times["mean_pills"]) == (count, pytest.approx(float(np.mean(answered))))


def test_ways_are_timed_in_turn_on_the_same_photographs(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[str, bytes]] = []
    ways = {name: lambda photo, name=name: seen.append((name, photo)) for name in ("ours", "theirs")}
    left = set_clock(monkeypatch, [(9,), (9,), *[(2,), (6,)] * 3])
    times = side_by_side(ways, [b"a", b"b"], count=3, warmup=1)
    assert left == []
    assert seen == [(name, photo) for photo in (b"a", b"b", b"a", b"b") for name in ("ours", "theirs")]
    assert times["ours"] == pytest.approx({"p50_ms": 2, "p95_ms": 2, "p99_ms": 2, "times": 1}, abs=0.01)
    assert times["theirs"]["times"] == pytest.approx(3, abs=0.01)
    assert times["n"] == 3


def test_a_real_clock_gives_ordered_percentiles(steps: SeparateSteps, photos: list[bytes]) -> None:
    times = measure_steps(steps, photos, "single", count=5, warmup=1)
    for step in (*STEPS, "total"):
        assert 0 < times[step]["p50_ms"] <= times[step]["p95_ms"] <= times[step]["p99_ms"]
    assert times["total"]["p50_ms"] >= max(times[step]["p50_ms"] for step in STEPS)
    assert times["mean_pills"] == 1


def test_photographs_are_answered_side_by_side(snap: PillSnap, photos: list[bytes]) -> None:
    assert photos_per_second(snap, photos * 3, "combo", workers=2) > 0
