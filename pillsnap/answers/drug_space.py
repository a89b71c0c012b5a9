"""Centroids of the drugs in feature space, and the Mahalanobis distance of a pill to the nearest one."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file


@dataclass(frozen=True)
class DrugSpace:
    """Centroids of the drugs in whitened features.

    Attributes:
        whitening: float32 (D, D); its product with itself transposed is the inverse covariance of features around
            their drug's centroid.
        centroids: float32 (drugs, D), whitened.
    """

    whitening: np.ndarray
    centroids: np.ndarray

    def distances(self, features: np.ndarray) -> np.ndarray:
        """Mahalanobis distance of float (N, D) features to the nearest drug: float32 (N,)."""
        white = features @ self.whitening
        apart = (white**2).sum(axis=1, keepdims=True) - 2 * white @ self.centroids.T + (self.centroids**2).sum(axis=1)
        return np.sqrt(np.maximum(apart.min(axis=1), 0)).astype(np.float32)

    @classmethod
    def load(cls, path: Path) -> "DrugSpace":
        """Read what `calibrate_answers` wrote."""
        return cls(**load_file(path))
