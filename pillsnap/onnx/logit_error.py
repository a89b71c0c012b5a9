"""Compare logits of two computations, without torch: a process that only answers compares them, too."""

import numpy as np


def logit_error(ours: np.ndarray, theirs: np.ndarray) -> float:
    """Largest difference of two arrays of logits, in parts of the logit where that is above 1 in size: an imprint that
    counts much adds up to hundreds, which float32 rounds more coarsely."""
    return float((np.abs(ours - theirs) / np.maximum(1, np.abs(ours))).max())
