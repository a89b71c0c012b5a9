"""A phone's camera: exposure, white balance, blur, noise, sharpening and JPEG."""

from functools import cache

import cv2
import numpy as np

from pillsnap.pictures.decode import encode_jpeg

_GRAIN_SIDE = 512
_BLOWN_OUT, _DARK = 0.06, 0.05
"""Shares of scenes that are blown out, and that are very dark."""


def take_photo(scene: np.ndarray, rng: np.random.Generator) -> tuple[bytes, np.ndarray]:
    """Photograph a scene.

    Args:
        scene: float32 (H, W, 3), 0 to 255.
        rng: generator of the camera's moods.

    Returns:
        A JPEG as a phone writes it, quality 50 to 95; and the picture before that, uint8 (H, W, 3).
    """
    picture = _sharpened(_noisy(_blurred(_exposed(scene, rng), rng), rng), rng)
    quality = int(rng.integers(50, 96))
    shown = np.clip(picture, 0, 255).astype(np.uint8)
    return encode_jpeg(shown, quality, full_colour=False), shown


def _exposed(picture: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    mood = rng.random()
    gain = rng.uniform(0.75, 1.3)
    if mood < _BLOWN_OUT:
        gain = rng.uniform(1.4, 2.4)
    elif mood < _BLOWN_OUT + _DARK:
        gain = rng.uniform(0.22, 0.5)
    warmth, tint = rng.normal(0, 0.07), rng.normal(0, 0.025)
    balance = gain * np.array([1 + warmth, 1 + tint, 1 - warmth])
    saturation, contrast = rng.uniform(0.7, 1.2), rng.uniform(0.8, 1.2)
    # colours drawn to their grey, contrast about the middle, and a lift of the blacks, in one matrix
    mix = contrast * (saturation * np.eye(3) + (1 - saturation) / 3)
    lift = np.full((3, 1), 128 * (1 - contrast) + rng.normal(0, 5))
    return cv2.transform(picture, np.hstack([mix * balance, lift]).astype(np.float32))


def _blurred(picture: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    side = max(picture.shape) / 640
    kind = rng.random()
    if kind < 0.12:
        reach = max(3, int(rng.uniform(3, 13) * side) | 1)
        kernel: np.ndarray = np.zeros((reach, reach), np.float32)
        turn, middle = rng.uniform(0, np.pi), reach // 2
        step = np.rint(middle * np.array([np.cos(turn), np.sin(turn)])).astype(int)
        cv2.line(kernel, tuple(middle - step), tuple(middle + step), 1.0, 1, cv2.LINE_AA)
        return cv2.filter2D(picture, -1, kernel / kernel.sum())
    sigma = rng.uniform(1.2, 3.2) if kind < 0.26 else rng.uniform(0.3, 1.0)
    return cv2.GaussianBlur(picture, (0, 0), float(max(0.3, sigma * side)))


@cache
def _grain() -> np.ndarray:
    """Sensor noise of unit strength, smeared a little as demosaicing does: float32 (512, 512, 3)."""
    noise = np.random.default_rng(0).standard_normal((_GRAIN_SIDE, _GRAIN_SIDE, 3), dtype=np.float32)
    grey = noise.mean(axis=2, keepdims=True)
    return cv2.GaussianBlur(grey * 1.2 + 0.6 * noise, (0, 0), 0.6) * np.float32(1.6)


def _noisy(picture: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    height, width = picture.shape[:2]
    grain = np.roll(_grain(), tuple(rng.integers(0, _GRAIN_SIDE, 2)), axis=(0, 1))
    times = -(-height // _GRAIN_SIDE), -(-width // _GRAIN_SIDE), 1
    strength = rng.uniform(0, 3) if rng.random() < 0.75 else rng.uniform(3, 13)
    return picture + np.tile(grain, times)[:height, :width] * np.float32(strength)


def _sharpened(picture: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    amount = rng.uniform(0, 1.6)
    if amount < 0.3:
        return picture
    return picture + np.float32(amount) * (picture - cv2.GaussianBlur(picture, (0, 0), 1.0))
