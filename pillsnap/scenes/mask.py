"""Segment a pill on a plain ground: GrabCut (Rother et al. 2004) from its labelled box, and doubts about the result."""

from collections.abc import Sequence

import cv2
import numpy as np

REASONS = {
    "window_too_small": "there is too little ground around the box to learn what ground is",
    "empty": "nothing in the box differs from the ground",
    "leak": "the mask runs along the box's sides, as where the ground was taken for pill",
    "hole": "the mask has a hole, or is in parts",
    "off_box": "the mask does not fill its labelled box",
    "ragged": "the outline is far from convex",
    "faint": "pill and ground are nearly of one colour along the outline",
}
"""Reasons why a cut-out is refused."""

_WORK_SIDE, _GROUND = 96, 0.25
"""Longer side of the box in pixels at which GrabCut runs, and the ground around it as a share of that side."""
_MOST_ALONG_BOX, _MOST_HOLE, _LEAST_BOX_IOU, _LEAST_SOLIDITY, _LEAST_CONTRAST = 0.45, 0.02, 0.85, 0.93, 6.0
"""Bounds of doubt: share of the outline that lies on the box, share of holes and parts, IoU of the mask's extent with
the box, area over convex hull's, and distance in Lab between both sides of the outline."""


class CutOutError(ValueError):
    """A pill that is not cut out; `reason` is one of `REASONS`."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"{reason}: {REASONS[reason]}")
        self.reason = reason


def segment_pill(window: np.ndarray, box: Sequence[float]) -> np.ndarray:
    """Segment the pill in `box`.

    Args:
        window: uint8 (H, W, 3) RGB, the pill with ground around it.
        box: x, y, w, h in pixels of `window`.

    Returns:
        bool (H, W).

    Raises:
        CutOutError: the mask is doubtful.
    """
    height, width = window.shape[:2]
    scale = min(1.0, _WORK_SIDE / max(box[2:]))
    corners = _round_out(np.array([box[0], box[1], box[0] + box[2], box[1] + box[3]]) * scale)
    small = cv2.resize(window, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    lab = cv2.cvtColor(small, cv2.COLOR_RGB2LAB)
    found = _grab_cut(lab, corners)
    _check(found, lab, corners)
    soft = cv2.GaussianBlur(found.astype(np.float32), (0, 0), 0.8)
    return cv2.resize(soft, (width, height), interpolation=cv2.INTER_CUBIC) > 0.5


def _round_out(corners: np.ndarray) -> tuple[int, int, int, int]:
    low, high = np.floor(corners[:2]).clip(0), np.ceil(corners[2:])
    return int(low[0]), int(low[1]), int(high[0]), int(high[1])


def _grab_cut(lab: np.ndarray, corners: tuple[int, int, int, int]) -> np.ndarray:
    """Largest part of the foreground, holes filled: bool, in the shape of `lab`."""
    left, top, right, bottom = corners
    more = round(_GROUND * max(right - left, bottom - top))
    part = np.s_[max(0, top - more) : bottom + more, max(0, left - more) : right + more]
    labels = np.full(lab.shape[:2], cv2.GC_BGD, np.uint8)
    labels[top:bottom, left:right] = cv2.GC_PR_FGD
    work = np.ascontiguousarray(labels[part])
    if (work == cv2.GC_BGD).mean() < 0.2:
        raise CutOutError("window_too_small")
    cv2.setRNGSeed(0)  # its k-means starts at random
    pill, ground = np.zeros((1, 65)), np.zeros((1, 65))
    whole = (0, 0, *work.shape[::-1])  # not used: the labels say where to look
    cv2.grabCut(np.ascontiguousarray(lab[part]), work, whole, ground, pill, 2, cv2.GC_INIT_WITH_MASK)
    found = np.zeros(lab.shape[:2], bool)
    found[part] = (work == cv2.GC_FGD) | (work == cv2.GC_PR_FGD)
    return _solid(found)


def _solid(found: np.ndarray) -> np.ndarray:
    number, parts, stats, _ = cv2.connectedComponentsWithStats(found.astype(np.uint8), connectivity=4)
    if number < 2:
        raise CutOutError("empty")
    largest = parts == 1 + int(stats[1:, cv2.CC_STAT_AREA].argmax())
    outlines, _ = cv2.findContours(largest.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    filled = cv2.drawContours(np.zeros(found.shape, np.uint8), outlines, -1, 1, cv2.FILLED) > 0
    if (filled & ~largest).sum() + (found & ~filled).sum() > _MOST_HOLE * filled.sum():
        raise CutOutError("hole")
    return filled


def _check(mask: np.ndarray, lab: np.ndarray, corners: tuple[int, int, int, int]) -> None:
    """Raise `CutOutError` where a mask is doubtful."""
    left, top, right, bottom = corners
    pixels = mask.astype(np.uint8)
    *_, w, h = cv2.boundingRect(pixels)
    if w * h < _LEAST_BOX_IOU * (right - left) * (bottom - top):
        raise CutOutError("off_box")
    ring = mask & ~(cv2.erode(pixels, np.ones((3, 3), np.uint8)) > 0)
    inside = ring[top + 1 : bottom - 1, left + 1 : right - 1].sum()
    if ring.sum() - inside > _MOST_ALONG_BOX * ring.sum():
        raise CutOutError("leak")
    (outline,), _ = cv2.findContours(pixels, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    if cv2.contourArea(outline) < _LEAST_SOLIDITY * cv2.contourArea(cv2.convexHull(outline)):
        raise CutOutError("ragged")
    rim = mask & (cv2.erode(pixels, np.ones((5, 5), np.uint8)) == 0)
    beyond = ~mask & (cv2.dilate(pixels, np.ones((7, 7), np.uint8)) > 0)
    difference = lab[rim].mean(axis=0, dtype=float) - lab[beyond].mean(axis=0, dtype=float)
    if np.linalg.norm(difference * [100 / 255, 1, 1]) < _LEAST_CONTRAST:
        raise CutOutError("faint")
