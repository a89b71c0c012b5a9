"""Figures of all test pills need little memory beside their logits: at full size these are gigabytes."""

import tracemalloc
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from pillsnap.answers.calibration import Calibration
from pillsnap.answers.calibration_metrics import Predictions, calibration_metrics, verdict_metrics
from pillsnap.answers.photo_pairs import pair_agreements, pair_predictions

PILLS, DRUGS = 16_000, 400
SINGLE = Calibration(1.5, 0.9, 5.0, 9.0, {"0.9": 0.2, "0.99": 0.01}, 0.99, 0.95, 0.95)
BOTH = replace(SINGLE, agree_from=0.1)


@pytest.fixture(scope="module")
def seen() -> Predictions:
    """Every tenth box is no pill."""
    draw = np.random.default_rng(1)
    targets = np.where(np.arange(PILLS) % 10, draw.integers(0, DRUGS, PILLS), -1)
    logits = draw.normal(0, 1, (PILLS, DRUGS)).astype(np.float32)
    logits[np.arange(PILLS), targets] += 8
    return Predictions(logits, draw.uniform(0, 12, PILLS).astype(np.float32), targets)


def halves(seen: Predictions) -> np.ndarray:
    return np.arange(len(seen)).reshape(2, -1).T


@pytest.mark.parametrize(
    ("compute", "results"),
    [
        # pills alone are a copy of nine tenths
        (lambda seen: calibration_metrics(seen, seen.at(np.arange(100)), SINGLE), 0.9),
        (lambda seen: verdict_metrics(seen, SINGLE), 0.0),
        # half as many pairs as photographs
        (lambda seen: pair_predictions(seen, halves(seen), 1.5, BOTH), 0.5),
        (lambda seen: pair_agreements(seen, halves(seen), 1.5), 0.0),
    ],
    ids=["calibration", "verdicts", "pairs", "agreements"],
)
def test_little_beside_what_is_kept(
    seen: Predictions, compute: Callable[[Predictions], object], results: float
) -> None:
    """`results`: logits that the result or a part of the pills takes, as a share of all."""
    tracemalloc.start()
    try:
        compute(seen)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < (results + 0.45) * seen.logits.nbytes
