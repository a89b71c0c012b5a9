"""How far answers can be trusted: calibration, selective accuracy, prediction sets, drugs that were never seen."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.stats import beta
from sklearn.metrics import roc_auc_score

from pillsnap.answers.calibration import Calibration

ECE_BINS = 15


@dataclass(frozen=True)
class Named:
    """Pills that the classifier named, with what they really are.

    Attributes:
        logits: float (N, drugs).
        distances: to the nearest drug, float (N,).
        targets: class index, int (N,); -1 where the drug is none of the classifier's.
    """

    logits: np.ndarray
    distances: np.ndarray
    targets: np.ndarray

    def __len__(self) -> int:
        return len(self.targets)

    def of_its_drugs(self) -> "Named":
        """Those that are pills of the classifier's drugs: what sets and distances make promises about."""
        real = self.targets >= 0
        return Named(self.logits[real], self.distances[real], self.targets[real])


def nobody(drugs: int) -> Named:
    """No pill at all, of a classifier that knows so many drugs."""
    return Named(np.zeros((0, drugs), np.float32), np.zeros(0, np.float32), np.zeros(0, int))


def expected_calibration_error(confidence: np.ndarray, right: np.ndarray) -> float:
    """ECE over 15 bins of equal width (Guo et al. 2017): distance of accuracy and confidence, by share of pills."""
    return float(sum(row["share"] * abs(row["right"] - row["confidence"]) for row in reliability(confidence, right)))


def error_by_chance(confidence: np.ndarray, draws: int = 200) -> float:
    """The ECE that perfectly calibrated answers of these confidences would show: few pills in a bin miss its mean."""
    random = np.random.default_rng(0)
    return float(
        np.mean(
            [expected_calibration_error(confidence, random.random(len(confidence)) < confidence) for _ in range(draws)]
        )
    )


def reliability(confidence: np.ndarray, right: np.ndarray) -> list[dict[str, float]]:
    """Share of pills, mean confidence and share named right in each of 15 bins of confidence that has any."""
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
    """Accuracy of the most confident pills, for shares of 1 / points to 1."""
    ranked = right[np.argsort(-confidence, kind="stable")]
    counts = np.unique(np.maximum(1, np.rint(np.arange(1, points + 1) / points * len(ranked)).astype(int)))
    return [
        {"coverage": round(float(count / len(ranked)), 4), "accuracy": float(ranked[:count].mean())} for count in counts
    ]


def lower_bound(right: int, total: int, confidence: float) -> float:
    """Clopper-Pearson: the share that is really right is at least this much, with this confidence."""
    return float(beta.ppf(1 - confidence, right, total - right + 1)) if right else 0.0


def trust_figures(seen: Named, unseen: Named, calibration: Calibration) -> dict[str, Any] | None:
    """What was promised, measured.

    Args:
        seen: pills of drugs that the classifier was trained on, and boxes that are no pill (-1). These count as named
            wrong, but prediction sets and distances are measured on pills alone.
        unseen: pills of drugs that it never saw; may be none.
        calibration: temperature and thresholds.

    Returns:
        `ece` before and after the temperature, and that of perfectly calibrated answers (`by_chance`); `reliability`
        before and after, `selective`, `sets` by promised coverage, `verdicts`,
        and `unseen`, `None` where there is no such pill. `None` where no pill was seen at all.
    """
    if not len(seen):
        return None
    real = seen.of_its_drugs()
    probabilities = calibration.probabilities(seen.logits)
    right = probabilities.argmax(axis=1) == seen.targets
    confidence = probabilities.max(axis=1)
    before = _softmax_confidence(seen.logits)
    return {
        "pills": len(seen),
        "ece": {
            "before": expected_calibration_error(before, right),
            "after": expected_calibration_error(confidence, right),
            "by_chance": error_by_chance(confidence),
        },
        "reliability": {"before": reliability(before, right), "after": reliability(confidence, right)},
        "selective": selective_accuracy(confidence, right),
        "sets": {name: _sets(real, calibration, float(name)) for name in calibration.set_from} if len(real) else {},
        "verdicts": verdict_figures(seen, calibration),
        "unseen": _unseen(real, unseen, calibration) if len(unseen) else None,
    }


def verdicts(pills: Named, calibration: Calibration) -> np.ndarray:
    """The word for each pill: str (N,)."""
    confidence = calibration.probabilities(pills.logits).max(axis=1)
    words = [calibration.verdict(float(c), float(d)) for c, d in zip(confidence, pills.distances, strict=True)]
    return np.array(words, dtype=object)


def verdict_figures(pills: Named, calibration: Calibration) -> dict[str, dict[str, float | int | None]]:
    """Pills, share and share named right (`None` of no pill), by verdict."""
    words = verdicts(pills, calibration)
    right = pills.logits.argmax(axis=1) == pills.targets
    return {
        word: {
            "pills": int((words == word).sum()),
            "share": float((words == word).mean()),
            "right": float(right[words == word].mean()) if (words == word).any() else None,
        }
        for word in ("known", "uncertain", "unknown")
    }


def _softmax_confidence(logits: np.ndarray) -> np.ndarray:
    return 1 / np.exp(logits - logits.max(axis=1, keepdims=True)).sum(axis=1)


def _sets(pills: Named, calibration: Calibration, coverage: float) -> dict[str, float]:
    probabilities = calibration.probabilities(pills.logits)
    sets: Sequence[np.ndarray] = [calibration.prediction_set(row, coverage) for row in probabilities]
    held = [target in found for target, found in zip(pills.targets, sets, strict=True)]
    sizes = np.array([len(found) for found in sets])
    return {
        "covered": float(np.mean(held)),
        "mean_size": float(sizes.mean()),
        "single": float((sizes == 1).mean()),
        "largest": int(sizes.max()),
    }


def _told_apart(seen: Named, unseen: Named, calibration: Calibration) -> dict[str, float | None]:
    """How well distance, and probability alone, tell unseen pills from seen ones; `None` where none was seen."""
    if not len(seen):
        return dict.fromkeys(("auroc", "auroc_of_probability", "caught_at_95_kept"))
    strange = np.r_[np.zeros(len(seen)), np.ones(len(unseen))]
    limit = np.quantile(seen.distances, 0.95)
    probabilities = calibration.probabilities(np.concatenate([seen.logits, unseen.logits])).max(axis=1)
    return {
        "auroc": float(roc_auc_score(strange, np.r_[seen.distances, unseen.distances])),
        "auroc_of_probability": float(roc_auc_score(strange, 1 - probabilities)),
        "caught_at_95_kept": float((unseen.distances > limit).mean()),
    }


def _unseen(seen: Named, unseen: Named, calibration: Calibration) -> dict[str, Any]:
    found = verdict_figures(unseen, calibration)
    return {
        "pills": len(unseen),
        **_told_apart(seen, unseen, calibration),
        "verdicts": {word: {key: found[word][key] for key in ("pills", "share")} for word in found},
        "not_known": 1 - float(found["known"]["share"] or 0),
    }
