"""Calibration error, selective accuracy, prediction sets, and detection of drugs outside the training set."""

from dataclasses import dataclass
from typing import Any, get_args

import numpy as np
from scipy.stats import beta
from sklearn.metrics import roc_auc_score

from pillsnap.answers.answer import Verdict
from pillsnap.answers.calibration import Calibration, confidences, row_blocks

ECE_BINS = 15


@dataclass(frozen=True)
class Predictions:
    """The classifier's output for a set of pills, with their targets.

    Attributes:
        logits: float (N, drugs).
        distances: relative ones, to the nearest drug, float (N,); see `pillsnap.answers.drug_space`.
        targets: class index, int (N,); -1 for a drug without a class, and for a box that is no pill.
    """

    logits: np.ndarray
    distances: np.ndarray
    targets: np.ndarray

    def __len__(self) -> int:
        return len(self.targets)

    @classmethod
    def empty(cls, drugs: int) -> "Predictions":
        """No pills, for a classifier of `drugs` classes."""
        return cls(np.zeros((0, drugs), np.float32), np.zeros(0, np.float32), np.zeros(0, int))

    def at(self, places: np.ndarray) -> "Predictions":
        """The pills at these places."""
        return Predictions(self.logits[places], self.distances[places], self.targets[places])

    def beside(self, others: "Predictions") -> "Predictions":
        """These pills, and then the others."""
        both = zip(
            (self.logits, self.distances, self.targets), (others.logits, others.distances, others.targets), strict=True
        )
        return Predictions(*map(np.concatenate, both))

    def with_class(self) -> "Predictions":
        """Pills of the classifier's own drugs, for which prediction sets and distances are calibrated."""
        return self.at(self.targets >= 0)


def expected_calibration_error(confidence: np.ndarray, right: np.ndarray) -> float:
    """ECE over 15 bins of equal width (Guo et al. 2017): gap of accuracy and confidence, weighted by share of pills.

    By hand, since torchmetrics' needs torch, and keeps none of the bins that `reliability` reports.
    """
    return float(sum(row["share"] * abs(row["right"] - row["confidence"]) for row in reliability(confidence, right)))


def ece_if_calibrated(confidence: np.ndarray, draws: int = 400) -> dict[str, float]:
    """ECE of perfectly calibrated predictions with these confidences, the sampling noise of the bins: its mean
    (`by_chance`), and what 95 % of such predictions stay below (`chance_95`)."""
    random = np.random.default_rng(0)
    errors = [expected_calibration_error(confidence, random.random(len(confidence)) < confidence) for _ in range(draws)]
    return {"by_chance": float(np.mean(errors)), "chance_95": float(np.quantile(errors, 0.95))}


def reliability(confidence: np.ndarray, right: np.ndarray) -> list[dict[str, float]]:
    """Reliability diagram: pills, mean confidence and accuracy of each non-empty bin, of 15."""
    bins = np.minimum((confidence * ECE_BINS).astype(int), ECE_BINS - 1)
    return [
        {
            "from": number / ECE_BINS,
            "to": (number + 1) / ECE_BINS,
            "pills": int(inside.sum()),
            "share": float(inside.mean()),
            "confidence": float(confidence[inside].mean()),
            "right": float(right[inside].mean()),
        }
        for number in range(ECE_BINS)
        if (inside := bins == number).any()
    ]


def selective_accuracy(confidence: np.ndarray, right: np.ndarray, points: int = 100) -> list[dict[str, float]]:
    """Risk-coverage curve: accuracy of the most confident pills, for coverages from 1 / points to 1."""
    ranked = right[np.argsort(-confidence, kind="stable")]
    counts = np.unique(np.maximum(1, np.rint(np.arange(1, points + 1) / points * len(ranked)).astype(int)))
    return [
        {"coverage": round(float(count / len(ranked)), 4), "accuracy": float(ranked[:count].mean())} for count in counts
    ]


def lower_bound(right: int, total: int, confidence: float) -> float:
    """Lower confidence bound of an accuracy (Clopper-Pearson, one-sided)."""
    return float(beta.ppf(1 - confidence, right, total - right + 1)) if right else 0.0


def calibration_metrics(seen: Predictions, unseen: Predictions, calibration: Calibration) -> dict[str, Any] | None:
    """Measure everything that a calibration promises.

    Args:
        seen: pills of drugs that the classifier was trained on, and false positives (-1). These count as wrong, but
            prediction sets and distances are measured on pills alone.
        unseen: pills of drugs held out of training; may be empty.
        calibration: temperature and thresholds.

    Returns:
        `ece` before and after the temperature, and of perfectly calibrated predictions (`by_chance`, `chance_95`);
        `reliability` before and after; `selective`; `sets` by coverage; `verdicts`; and `unseen`, `None` where `unseen`
        is empty. `None` where `seen` is empty.
    """
    if not len(seen):
        return None
    pills = seen.with_class()
    right = seen.logits.argmax(axis=1) == seen.targets
    confidence, before = calibration.confidences(seen.logits), confidences(seen.logits, temperature=1.0)
    return {
        "pills": len(seen),
        "ece": {
            "before": expected_calibration_error(before, right),
            "after": expected_calibration_error(confidence, right),
            **ece_if_calibrated(confidence),
        },
        "reliability": {"before": reliability(before, right), "after": reliability(confidence, right)},
        "selective": selective_accuracy(confidence, right),
        "sets": {name: _sets(pills, calibration, float(name)) for name in calibration.set_from} if len(pills) else {},
        "verdicts": verdict_metrics(seen, calibration),
        "unseen": _unseen(pills, unseen, calibration) if len(unseen) else None,
    }


def verdicts(pills: Predictions, calibration: Calibration) -> np.ndarray:
    """Verdict on each pill: str (N,)."""
    pairs = zip(calibration.confidences(pills.logits), pills.distances, strict=True)
    return np.array([calibration.verdict(float(c), float(d)) for c, d in pairs], dtype=object)


def verdict_metrics(pills: Predictions, calibration: Calibration) -> dict[str, dict[str, float | int | None]]:
    """Number of pills, share and accuracy (`None` without pills) by verdict."""
    given = verdicts(pills, calibration)
    right = pills.logits.argmax(axis=1) == pills.targets
    return {
        verdict: {
            "pills": int((given == verdict).sum()),
            "share": float((given == verdict).mean()),
            "right": float(right[given == verdict].mean()) if (given == verdict).any() else None,
        }
        for verdict in get_args(Verdict)
    }


def _sets(pills: Predictions, calibration: Calibration, coverage: float) -> dict[str, float]:
    covered, sizes = np.zeros(len(pills), bool), np.zeros(len(pills), int)
    for rows in row_blocks(len(pills)):
        sets = [calibration.prediction_set(row, coverage) for row in calibration.probabilities(pills.logits[rows])]
        covered[rows] = [target in drugs for target, drugs in zip(pills.targets[rows], sets, strict=True)]
        sizes[rows] = [len(drugs) for drugs in sets]
    return {
        "covered": float(covered.mean()),
        "mean_size": float(sizes.mean()),
        "single": float((sizes == 1).mean()),
        "largest": int(sizes.max()),
    }


def _separation(seen: Predictions, unseen: Predictions, calibration: Calibration) -> dict[str, float | None]:
    """How well distance, and probability alone, separate unseen from seen drugs; `None` where `seen` is empty."""
    if not len(seen):
        return dict.fromkeys(("auroc", "auroc_of_probability", "caught_at_95_kept"))
    is_unseen = np.r_[np.zeros(len(seen)), np.ones(len(unseen))]
    limit = np.quantile(seen.distances, 0.95)
    sure = np.r_[calibration.confidences(seen.logits), calibration.confidences(unseen.logits)]
    return {
        "auroc": float(roc_auc_score(is_unseen, np.r_[seen.distances, unseen.distances])),
        "auroc_of_probability": float(roc_auc_score(is_unseen, 1 - sure)),
        "caught_at_95_kept": float((unseen.distances > limit).mean()),
    }


def _unseen(seen: Predictions, unseen: Predictions, calibration: Calibration) -> dict[str, Any]:
    found = verdict_metrics(unseen, calibration)
    return {
        "pills": len(unseen),
        **_separation(seen, unseen, calibration),
        "verdicts": {name: {key: row[key] for key in ("pills", "share")} for name, row in found.items()},
        "not_known": 1 - float(found["known"]["share"] or 0),
    }
