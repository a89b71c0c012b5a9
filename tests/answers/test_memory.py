"""What is computed of all validation or test pills needs little memory beside their logits: at full size these are
gigabytes."""

import tracemalloc
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from pillsnap.answers.accuracy import PhotoResult
from pillsnap.answers.calibration import Calibration, ReadingCalibration
from pillsnap.answers.calibration_metrics import Predictions, calibration_metrics, verdict_metrics
from pillsnap.answers.fit_reading import ReadPills, fit_reading
from pillsnap.answers.naming import Imprints, join_reading
from pillsnap.answers.photo_pairs import pair_agreements, pair_predictions
from pillsnap.answers.thresholds import choose_thresholds
from pillsnap.benchmark.same_pill import same_pill_metrics
from pillsnap.config.config import Answers
from pillsnap.preflight.memory import LOGIT_COPIES
from pillsnap.reader.looks import CHARACTERS, PLACES, Looks

PILLS, DRUGS = 8_000, 2_400
SINGLE = Calibration(1.5, 0.9, 5.0, 9.0, {"0.9": 0.2, "0.99": 0.01}, 0.99, 0.95, 0.95)
BOTH = replace(SINGLE, agree_from=0.1)
READING = ReadingCalibration(1.0, 1.0, 1.0, 1.0, 0.0, 0.5, 0.1, 1.0, 0.0, 9.0)
LOOKS = [Looks((f"A{drug:04d}", ""), None, frozenset()) for drug in range(DRUGS)]
BOX = np.array([[10.0, 10.0, 40.0, 40.0]])


@pytest.fixture(scope="module")
def seen() -> Predictions:
    draw = np.random.default_rng(1)
    targets = draw.integers(0, DRUGS, PILLS)
    logits = draw.normal(0, 1, (PILLS, DRUGS)).astype(np.float32)
    logits[np.arange(PILLS), targets] += 8
    return Predictions(logits, draw.uniform(0, 12, PILLS).astype(np.float32), targets)


@pytest.fixture(scope="module")
def characters() -> np.ndarray:
    return np.random.default_rng(2).normal(0, 1, (PILLS, PLACES, len(CHARACTERS) + 1)).astype(np.float32)


def with_wrong_boxes(seen: Predictions) -> Predictions:
    """Every tenth box is no pill."""
    return replace(seen, targets=np.where(np.arange(PILLS) % 10, seen.targets, -1))


def halves(seen: Predictions) -> np.ndarray:
    return np.arange(len(seen)).reshape(2, -1).T


def both_sides(seen: Predictions) -> object:
    """Photographs of single pills, each of which is found, as `run_benchmark` holds them."""
    results = [
        PhotoResult(
            image_id=f"a.{number:06d}", fully_labelled=True, width=100, height=100, boxes=BOX, found_boxes=BOX,
            found_scores=np.ones(1), domain="single", targets=seen.targets[number : number + 1],
            label_guesses=np.zeros((1, 5), int), answered=1, answer_logits=seen.logits[number : number + 1],
            answer_distances=seen.distances[number : number + 1],
        )
        for number in range(len(seen))
    ]  # fmt: skip
    drug_of = {result.image_id: f"K-{result.targets[0]:06d}" for result in results}
    return same_pill_metrics(results, [], drug_of=drug_of, calibration=BOTH, min_iou=0.5, min_score=0.5)


@pytest.mark.parametrize(
    ("compute", "kept"),
    [
        # pills alone are a copy of nine tenths
        (lambda seen, _: calibration_metrics(with_wrong_boxes(seen), seen.at(np.arange(100)), SINGLE), 0.9),
        (lambda seen, _: verdict_metrics(seen, SINGLE), 0.0),
        # half as many pairs as photographs
        (lambda seen, _: pair_predictions(seen, halves(seen), 1.5, BOTH), 0.5),
        (lambda seen, _: pair_agreements(seen, halves(seen), 1.5), 0.0),
        (lambda seen, _: choose_thresholds(seen, seen.at(np.arange(100)), Answers()), 0.0),
        # likelihoods, and the joined logits
        (lambda seen, read: join_reading(seen.logits, seen.distances, read, Imprints.of_drugs(LOOKS), READING), 2.0),
        # likelihoods twice, and the joined logits
        (lambda seen, read: fit_reading(seen.logits, seen.targets, _read(read), LOOKS), 3.0),
        # photographs, as of `LOGIT_COPIES` without the given logits
        (lambda seen, _: both_sides(seen), LOGIT_COPIES["run_benchmark"] - 1.0),
    ],
    ids=["calibration", "verdicts", "pairs", "agreements", "thresholds", "joined", "reading", "both sides"],
)
def test_little_beside_what_is_kept(
    seen: Predictions,
    characters: np.ndarray,
    monkeypatch: pytest.MonkeyPatch,
    compute: Callable[[Predictions, np.ndarray], object],
    kept: float,
) -> None:
    """`kept`: arrays of logits that stay while others are computed, as a share of the given ones."""
    for name in ("photo_pairs.UNLIKE", "naming._ROWS"):  # few beside the pills, as at full size
        monkeypatch.setattr(f"pillsnap.answers.{name}", 100)
    tracemalloc.start()
    try:
        compute(seen, characters)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < (kept + 0.45) * seen.logits.nbytes


def _read(characters: np.ndarray) -> ReadPills:
    return ReadPills(characters, np.zeros((PILLS, 11), np.float32), np.zeros((PILLS, 16), np.float32))
