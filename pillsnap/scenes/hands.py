"""Skin, hands and fingers."""

import cv2
import numpy as np

from pillsnap.scenes.texture import (
    Shape,
    fractal_noise,
    smooth_noise,
    some_colour,
    some_skin,
    wandering_line,
)


def skin(rng: np.random.Generator, shape: Shape) -> np.ndarray:
    """Skin that fills the picture: blotches, pores, creases; float32 (H, W, 3)."""
    return _skin(rng, shape, some_skin(rng))


def _skin(rng: np.random.Generator, shape: Shape, tone: np.ndarray) -> np.ndarray:
    side = max(shape)
    blood = fractal_noise(rng, shape, side / 4, finest=4)
    picture = np.asarray(tone, np.float32) + cv2.merge([4 * blood, 8 * blood, 7 * blood])
    picture += (smooth_noise(rng, shape, 1.8) * np.float32(rng.uniform(1, 3.5)))[..., None]
    fine: np.ndarray = np.zeros(shape, np.float32)
    for _ in range(int(rng.integers(5, 26))):
        cv2.polylines(fine, [wandering_line(rng, shape)], False, float(rng.uniform(0.15, 0.6)), 1, cv2.LINE_AA)
    deep: np.ndarray = np.zeros(shape, np.float32)
    for _ in range(int(rng.integers(2, 6))):
        cv2.polylines(deep, [wandering_line(rng, shape, bend=0.6)], False, 1.0, max(1, side // 160), cv2.LINE_AA)
    lines = cv2.GaussianBlur(fine, (0, 0), 0.8) + cv2.GaussianBlur(deep, (0, 0), side / 260)
    return picture - lines[..., None] * np.array([38, 46, 44], np.float32) * np.float32(tone.mean() / 170)


def hand(rng: np.random.Generator, shape: Shape, beneath: np.ndarray) -> np.ndarray:
    """An open hand over another ground, which shows between its fingers, the palm in the middle; float32 (H, W, 3)."""
    height, width = shape
    picture = beneath.astype(np.float32)
    outline, between = _hand_shape(rng, shape)
    # the further from the outline, the more a hand faces the camera: a rounded edge
    depth = cv2.distanceTransform(outline, cv2.DIST_L2, 3) / np.float32(0.05 * max(shape))
    round_edge = 1 - np.exp(-2.2 * depth)
    shade = 0.62 + 0.38 * round_edge - 0.25 * cv2.GaussianBlur(between, (0, 0), max(shape) / 130)
    palm = _skin(rng, shape, some_skin(rng)) * shade[..., None]
    shadow = cv2.GaussianBlur(outline * np.float32(1), (0, 0), max(shape) / 28)
    picture *= 1 - 0.5 * shadow[..., None]
    cover = cv2.GaussianBlur(outline * np.float32(1), (0, 0), 0.9)[..., None]
    picture += (palm - picture) * cover
    turn = cv2.getRotationMatrix2D((width / 2, height / 2), float(rng.uniform(0, 360)), float(rng.uniform(1.0, 1.35)))
    return cv2.warpAffine(picture, turn, (width, height), borderMode=cv2.BORDER_REFLECT)


def _hand_shape(rng: np.random.Generator, shape: Shape) -> tuple[np.ndarray, np.ndarray]:
    """Palm, four fingers and a thumb: uint8 (H, W); and the gaps between fingers that touch: float32 (H, W)."""
    height, width = shape
    side = min(height, width) * rng.uniform(0.75, 1.05)
    outline, between = np.zeros(shape, np.uint8), np.zeros(shape, np.float32)
    centre = np.array([width / 2, height / 2]) + rng.normal(0, 0.03, 2) * side
    palm = np.array([0.33, 0.36]) * side
    cv2.ellipse(outline, tuple(centre.astype(int)), tuple(palm.astype(int)), 0, 0, 360, 1, -1)
    cv2.rectangle(outline, *_corners(centre + np.array([0, 0.42 * side]), 0.24 * side, 0.35 * side), 1, -1)
    spread = rng.uniform(0.75, 1.15)
    for number in range(4):
        offset = (number - 1.5) * 0.165 * side
        root = centre + np.array([offset * 1.05, -0.2 * side])
        length = side * (0.42, 0.5, 0.47, 0.36)[number] * rng.uniform(0.85, 1.1)
        tip = root + length * np.array([np.sin(0.16 * (number - 1.5) * spread), -1])
        _limb(outline, root, tip, 0.15 * side)
        if number:
            gap = root - [0.085 * side, 0.12 * side]
            line = np.rint([gap, (gap + tip - root)]).astype(np.int32)
            cv2.polylines(between, [line], False, 1.0, max(2, int(side / 70)))
        for part in (0.42, 0.72):  # creases at the joints
            joint, across = root + part * (tip - root), np.array([0.065, rng.normal(0, 0.01)]) * side
            cv2.line(between, *_corners(joint, *across), float(rng.uniform(0.3, 0.8)), max(1, int(side / 160)))
    thumb = side * np.array([[-0.2, 0.12], [-0.52, -0.18]])
    _limb(outline, centre + thumb[0], centre + thumb[1], 0.18 * side)
    if rng.random() < 0.5:
        outline, between = np.ascontiguousarray(outline[:, ::-1]), np.ascontiguousarray(between[:, ::-1])
    outline = _bent(rng, outline)
    return outline, between * outline


def _bent(rng: np.random.Generator, outline: np.ndarray) -> np.ndarray:
    """Bend an outline a little, so that no finger is straight."""
    side = max(outline.shape)
    y, x = np.mgrid[0 : outline.shape[0], 0 : outline.shape[1]].astype(np.float32)
    reach = np.float32(0.01 * side)
    x += reach * smooth_noise(rng, outline.shape, side / 6)
    y += reach * smooth_noise(rng, outline.shape, side / 6)
    return cv2.remap(outline, x, y, cv2.INTER_NEAREST)


def _corners(centre: np.ndarray, across: float, along: float) -> tuple[tuple[int, int], tuple[int, int]]:
    reach = np.array([across, along])
    low, high = centre - reach, centre + reach
    return (int(low[0]), int(low[1])), (int(high[0]), int(high[1]))


def _limb(outline: np.ndarray, root: np.ndarray, tip: np.ndarray, width: float) -> None:
    cv2.line(outline, tuple(root.astype(int)), tuple(tip.astype(int)), 1, max(2, int(width)))


def finger(rng: np.random.Generator, unit: float) -> tuple[np.ndarray, np.ndarray]:
    """Draw one finger, some with its nail, of 15 to 19 mm at `unit` pixels a millimetre.

    Returns:
        uint8 (H, W, 3), and coverage uint8 (H, W).
    """
    width = max(6, int(rng.uniform(15, 19) * unit))
    length = int(width * rng.uniform(2.5, 5))
    shape = (width + 8, length + 8)
    alpha = np.zeros(shape, np.uint8)
    middle = shape[0] // 2
    cv2.line(alpha, (middle, middle), (shape[1] + width, middle), 255, width, cv2.LINE_AA)
    depth = cv2.distanceTransform(alpha, cv2.DIST_L2, 3) / np.float32(width / 2)
    tone = some_skin(rng)
    picture = _skin(rng, shape, tone) * (0.6 + 0.4 * np.sqrt(np.clip(depth, 0, 1)))[..., None]
    if rng.random() < 0.6:
        nail, place = np.zeros(shape, np.float32), (int(middle * 1.05), middle)
        cv2.ellipse(nail, place, (int(width * 0.42), int(width * 0.33)), 0, 0, 360, 1.0, -1, cv2.LINE_AA)
        colour = np.clip(tone + np.array([18, 12, 16]), 0, 250) if rng.random() < 0.8 else some_colour(rng)
        picture += (np.asarray(colour, np.float32) - picture) * (0.75 * nail)[..., None]
    return np.clip(picture, 0, 255).astype(np.uint8), alpha
