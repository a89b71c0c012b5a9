"""Where the drugs lie in feature space, and how far a pill is from the nearest one."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file

LEAST_LENGTH = 1e-12
"""Length that features are divided by at least: those of a picture can all be 0."""


@dataclass(frozen=True)
class DrugSpace:
    """Centroids of the drugs in whitened features; unit features are those divided by their length.

    Attributes:
        whitening: float32 (D, D); its product with itself transposed is the inverse covariance of features around
            their drug's centroid.
        centroids: float32 (drugs, D), whitened.
        mean: of the unit features of all drugs, float32 (D,).
        unit_whitening, unit_centroids: as `whitening` and `centroids`, of unit features less their mean.
        background: float32 (D, D), as `whitening`, of unit features around their mean.
    """

    whitening: np.ndarray
    centroids: np.ndarray
    mean: np.ndarray
    unit_whitening: np.ndarray
    unit_centroids: np.ndarray
    background: np.ndarray

    def distances(self, features: np.ndarray) -> np.ndarray:
        """Mahalanobis distance of float (N, D) features to the nearest drug: float32 (N,)."""
        nearest = _nearest_square(features @ self.whitening, self.centroids)
        return np.sqrt(np.maximum(nearest, 0)).astype(np.float32)

    def relative_distances(self, features: np.ndarray) -> np.ndarray:
        """Relative distance of float (N, D) features to the nearest drug: float32 (N,), which may be negative.

        The squared Mahalanobis distance of the unit features to the nearest drug, less that to all pills together: how
        unlike the drug a pill is, less how odd it is for any (Ren et al., *A Simple Fix to Mahalanobis Distance for
        Improving Near-OOD Detection*, 2021; unit features: Mueller and Hein, *Mahalanobis++*, 2025).
        """
        centred = unit_features(features) - self.mean
        odd = ((centred @ self.background) ** 2).sum(axis=1)
        return (_nearest_square(centred @ self.unit_whitening, self.unit_centroids) - odd).astype(np.float32)

    @classmethod
    def load(cls, path: Path) -> "DrugSpace":
        """Read what `calibrate_answers` wrote."""
        return cls(**load_file(path))


def unit_features(features: np.ndarray) -> np.ndarray:
    """Divide float (N, D) features by their length."""
    return features / np.maximum(np.linalg.norm(features, axis=1, keepdims=True), LEAST_LENGTH)


def _nearest_square(white: np.ndarray, centroids: np.ndarray) -> np.ndarray:
    """Squared distance of whitened features, (N, D), to the nearest of whitened centroids, (drugs, D): float (N,)."""
    apart = (white**2).sum(axis=1, keepdims=True) - 2 * white @ centroids.T + (centroids**2).sum(axis=1)
    return apart.min(axis=1)
