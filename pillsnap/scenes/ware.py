"""Ware that pills lie in: trays and boxes with compartments, and blister packs."""

import cv2
import numpy as np

from pillsnap.scenes.texture import Shape, fractal_noise, put_ink, smooth_noise, some_colour, some_grey


def tray(rng: np.random.Generator, shape: Shape) -> np.ndarray:
    """A plastic tray: compartments or ridges with a lit and a dark edge; float32 (H, W, 3)."""
    colour = some_colour(rng) if rng.random() < 0.6 else some_grey(rng)
    relief: np.ndarray = np.zeros(shape, np.float32)
    if rng.random() < 0.35:
        x = np.mgrid[0 : shape[0], 0 : shape[1]][1].astype(np.float32)
        relief = 3 * np.abs(((x / np.float32(rng.uniform(14, 60))) % 2) - 1)
    else:
        side = rng.uniform(0.2, 0.8, 2) * max(shape)
        gap = 0.06 * side.min()
        for top in np.arange(rng.uniform(-side[0], 0), shape[0], side[0]):
            for left in np.arange(rng.uniform(-side[1], 0), shape[1], side[1]):
                corners = np.rint([[left + gap, top + gap], [left + side[1] - gap, top + side[0] - gap]]).astype(int)
                _rounded(relief, corners, int(rng.uniform(0.05, 0.3) * side.min()))
        relief *= -rng.uniform(4, 9)
    picture = np.asarray(colour, np.float32) + (1.5 * fractal_noise(rng, shape, 60))[..., None]
    return picture * (1 + _edges(rng, relief) + 0.012 * relief)[..., None]


def blister(rng: np.random.Generator, shape: Shape) -> np.ndarray:
    """Foil of a blister pack, embossed, with printed lines and empty cavities in rows; float32 (H, W, 3)."""
    height, width = shape
    foil = np.array([188, 190, 194]) * rng.uniform(0.8, 1.15) if rng.random() < 0.7 else some_colour(rng)
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    pitch = np.float32(rng.uniform(0.5, 1.4))
    relief = 0.5 * np.sin((x + y) * pitch) * np.sin((x - y) * pitch) + 1.2 * smooth_noise(rng, shape, 12)
    picture = np.asarray(foil, np.float32) + (14 * smooth_noise(rng, shape, max(shape) / 5))[..., None]
    if rng.random() < 0.6:
        ink, step = np.zeros(shape, np.uint8), int(rng.uniform(20, 60))
        for line in range(step, height, step):
            text = " ".join(rng.choice(["EXP", "LOT", "mg", "20", "75", "TAB", "Rx", "09"], int(rng.integers(4, 14))))
            cv2.putText(ink, text, (0, line), cv2.FONT_HERSHEY_SIMPLEX, step / 60, 255, 1, cv2.LINE_AA)
        put_ink(picture, ink, rng.uniform(20, 120, 3))
    domes: np.ndarray = np.zeros(shape, np.float32)
    long = rng.uniform(0.06, 0.22) * max(shape)
    short, gap = long * rng.uniform(0.5, 1.0), long * rng.uniform(1.25, 2.0)
    for row in np.arange(rng.uniform(0, gap), height, gap * short / long + 6):
        for column in np.arange(rng.uniform(0, gap), width, gap):
            if rng.random() < 0.85:
                axes = (max(2, int(long / 2)), max(2, int(short / 2)))
                cv2.ellipse(domes, (int(column), int(row)), axes, 0, 0, 360, 1.0, -1, cv2.LINE_AA)
    relief = relief + cv2.GaussianBlur(domes, (0, 0), max(1.0, long / 16)) * np.float32(rng.uniform(5, 14))
    clear = rng.uniform(0, 0.5) * cv2.GaussianBlur(domes, (0, 0), 1.5)
    picture += (np.asarray(some_grey(rng), np.float32) - picture) * clear[..., None]
    return picture * (1 + 1.6 * _edges(rng, relief))[..., None]


def _rounded(relief: np.ndarray, corners: np.ndarray, radius: int) -> None:
    (left, top), (right, bottom) = corners
    radius = max(1, min(radius, (right - left) // 2 - 1, (bottom - top) // 2 - 1))
    cv2.rectangle(relief, (left + radius, top), (right - radius, bottom), 1.0, -1)
    cv2.rectangle(relief, (left, top + radius), (right, bottom - radius), 1.0, -1)
    for x in (left + radius, right - radius):
        for y in (top + radius, bottom - radius):
            cv2.circle(relief, (int(x), int(y)), radius, 1.0, -1)


def _edges(rng: np.random.Generator, relief: np.ndarray) -> np.ndarray:
    """Light and shade on a relief, float32 (H, W) around 0."""
    soft = cv2.GaussianBlur(relief, (0, 0), 2.0)
    slope_y, slope_x = np.gradient(soft)
    angle = rng.uniform(0, 2 * np.pi)
    return np.clip(0.3 * (slope_x * np.cos(angle) + slope_y * np.sin(angle)), -0.45, 0.45).astype(np.float32)
