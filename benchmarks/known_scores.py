"""Scores of how unlike every trained drug a pill is; higher is more unlike."""

from collections.abc import Callable

import numpy as np
from known_outputs import Outputs, Stage
from scipy.special import logsumexp, softmax
from sklearn.covariance import LedoitWolf

from pillsnap.answers.drug_space import unit_features
from pillsnap.answers.thresholds import fit_temperature

NEIGHBOURS = 5
PRIOR_CROPS = 10
"""Crops of all drugs that count beside a drug's own."""
PARTS = ("val", "left_out", "unseen_val", "test", "unseen_test")
"""`left_out`: the validation pills, each as though its own drug were not among the trained ones."""
NOW, CHOSEN = "Mahalanobis distance", "relative, unit features"
"""What verdicts rested on before, and what they rest on."""

Score = dict[str, np.ndarray]
"""Of each of `PARTS`, float (N,)."""


class Space:
    """Centroids of the drugs under one covariance, and the covariance of all pills together."""

    def __init__(self, features: np.ndarray, targets: np.ndarray, drugs: int, unit: bool) -> None:
        self._unit = unit
        points = self._points(features)
        self._mean = points.mean(axis=0)
        centroids = np.stack([points[targets == drug].mean(axis=0) for drug in range(drugs)])
        self._own = _whitening(points - centroids[targets])
        self._all = _whitening(points - self._mean)
        self._centroids = (centroids - self._mean) @ self._own

    def squares(self, features: np.ndarray) -> np.ndarray:
        """Squared Mahalanobis distance to each drug: (N, drugs)."""
        white = self.whitened(features)
        apart = (white**2).sum(1, keepdims=True) - 2 * white @ self._centroids.T + (self._centroids**2).sum(1)
        return np.maximum(apart, 0)

    def whitened(self, features: np.ndarray) -> np.ndarray:
        """Features in which a drug's pills lie around their centroid: (N, D)."""
        return np.asarray((self._points(features) - self._mean) @ self._own)

    def background(self, features: np.ndarray) -> np.ndarray:
        """Squared Mahalanobis distance to all pills together: (N,)."""
        return (((self._points(features) - self._mean) @ self._all) ** 2).sum(axis=1)

    def _points(self, features: np.ndarray) -> np.ndarray:
        wide = features.astype(np.float64)
        return unit_features(wide) if self._unit else wide


def _whitening(centred: np.ndarray) -> np.ndarray:
    return np.linalg.cholesky(LedoitWolf(assume_centered=True).fit(centred).precision_)


def scores(stage: Stage) -> dict[str, Score]:
    """Every score of the table, by its name."""
    temperature = fit_temperature(stage.parts["val"].logits, stage.parts["val"].targets)
    found = {
        "1 - probability": _of_drugs(
            stage, lambda pills: pills.logits, lambda z: 1 - softmax(z / temperature, 1).max(1)
        ),
        "energy": _of_drugs(stage, lambda pills: pills.logits, lambda z: -logsumexp(z, axis=1)),
        "ViM": _vim(stage),
        f"{NEIGHBOURS} nearest neighbours": _neighbours(stage),
    }
    for name, layer, unit in (
        ("", "features", False),
        (", unit features", "features", True),
        (", pooled stages", "stages", False),
        (", unit pooled stages", "stages", True),
    ):
        distances, relative = _distances(stage, layer, unit)
        found |= {f"{NOW}{name}": distances, f"relative{name}": relative}
    found[f"{CHOSEN}, a threshold for each drug"] = _by_drug(stage)
    for name in ("pooled stages", "unit pooled stages"):
        found[f"sum: {CHOSEN}, and {name}"] = _sum(found[CHOSEN], found[f"relative, {name}"])
    return found


def _of_drugs(
    stage: Stage, values: Callable[[Outputs], np.ndarray], score: Callable[[np.ndarray], np.ndarray]
) -> Score:
    """A score of values for each drug, (N, drugs), in which more is nearer; a drug that is left out is far away."""
    by_part = {part: score(values(stage.parts[part]).astype(np.float64)) for part in PARTS if part in stage.parts}
    val = stage.parts["val"]
    without = values(val).astype(np.float64)
    without[np.arange(len(without)), val.targets] = -1e12
    return by_part | {"left_out": score(without)}


def _distances(stage: Stage, layer: str, unit: bool) -> tuple[Score, Score]:
    """Mahalanobis distance, and relative distance."""
    train = stage.parts["train"]
    space = Space(getattr(train, layer), train.targets, len(stage.bias), unit)
    nearest = _of_drugs(stage, lambda pills: -space.squares(getattr(pills, layer)), lambda near: -near.max(axis=1))
    odd = {part: space.background(getattr(pills, layer)) for part, pills in stage.parts.items()}
    odd["left_out"] = odd["val"]
    return {part: np.sqrt(nearest[part]) for part in PARTS}, {part: nearest[part] - odd[part] for part in PARTS}


def _by_drug(stage: Stage) -> Score:
    """Relative distances of unit features, less the mean and in standard deviations of those of the drug's own training
    crops: one limit of it is a limit of the distance for each drug. Drugs of few crops are held near all."""
    train, rows = stage.parts["train"], np.arange(len(stage.parts["train"].targets))
    space = Space(train.features, train.targets, len(stage.bias), unit=True)

    def relative(pills: Outputs) -> np.ndarray:
        return space.squares(pills.features) - space.background(pills.features)[:, None]

    own = relative(train)[rows, train.targets]
    counts = np.bincount(train.targets, minlength=len(stage.bias))
    means, squares = (
        (np.bincount(train.targets, values, len(counts)) + PRIOR_CROPS * values.mean()) / (counts + PRIOR_CROPS)
        for values in (own, own**2)
    )
    return _of_drugs(
        stage, lambda pills: -(relative(pills) - means) / np.sqrt(squares - means**2), lambda near: -near.max(axis=1)
    )


def _neighbours(stage: Stage) -> Score:
    """Distance of unit features to the k-th nearest training crop (Sun et al. 2022)."""
    train = stage.parts["train"]
    crops = unit_features(train.features)

    def apart(pills: Outputs) -> np.ndarray:
        return 2 - 2 * unit_features(pills.features) @ crops.T

    def nearest(squares: np.ndarray) -> np.ndarray:
        return np.sqrt(np.maximum(np.partition(squares, NEIGHBOURS - 1, axis=1)[:, NEIGHBOURS - 1], 0))

    val = stage.parts["val"]
    others = np.where(val.targets[:, None] == train.targets, np.inf, apart(val))
    squares = {part: apart(pills) for part, pills in stage.parts.items() if part in PARTS} | {"left_out": others}
    return {part: nearest(squares[part]) for part in PARTS}


def _vim(stage: Stage) -> Score:
    """Virtual-logit matching (Wang et al. 2022), with half of the directions as principal ones."""
    train = stage.parts["train"]
    origin = -np.linalg.pinv(stage.weight.astype(np.float64)) @ stage.bias
    _, directions = np.linalg.eigh(np.cov(train.features - origin, rowvar=False))
    rest = directions[:, : len(directions) // 2]

    def residual(pills: Outputs) -> np.ndarray:
        return np.linalg.norm((pills.features - origin) @ rest, axis=1)

    scale = train.logits.max(axis=1).mean() / residual(train).mean()
    energy = _of_drugs(stage, lambda pills: pills.logits, lambda logits: -logsumexp(logits, axis=1))
    virtual = {part: scale * residual(pills) for part, pills in stage.parts.items()}
    virtual["left_out"] = virtual["val"]
    return {part: virtual[part] + energy[part] for part in PARTS}


def _sum(*parts: Score) -> Score:
    """Sum of scores, each divided by its standard deviation over the validation pills."""
    return {part: sum(one[part] / one["val"].std() for one in parts) for part in PARTS}
