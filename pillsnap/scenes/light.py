"""Lamps, the shadows that things cast, light on a pill's slopes, and light that falls unevenly on a scene."""

from dataclasses import dataclass

import cv2
import numpy as np

from pillsnap.scenes.texture import Shape, smooth_noise

_SHADOW_SIDE = 56
"""Longer side in pixels at which a shadow is computed; it is soft."""


@dataclass(frozen=True)
class Lamp:
    """A lamp: where shadows fall for each pixel of height (x, y), their softness likewise, and how dark they are."""

    away: tuple[float, float]
    softness: float
    strength: float


@dataclass(frozen=True)
class Light:
    """The light of one scene: one lamp or two, the dark seam where things lie, and how much slopes are lit."""

    lamps: tuple[Lamp, ...]
    contact: float
    slopes: float


def draw_light(rng: np.random.Generator) -> Light:
    """Draw the light of a scene: a flash, a window, a lamp, two lamps, or nothing but a cloudy sky."""
    lamps = []
    for _ in range(int(rng.choice([0, 1, 2], p=[0.12, 0.66, 0.22]))):
        angle, length = rng.uniform(0, 2 * np.pi), rng.uniform(0.15, 1.6)
        away = (float(length * np.cos(angle)), float(length * np.sin(angle)))
        lamps.append(Lamp(away, float(rng.choice([0.08, 0.25, 0.6])), float(rng.uniform(0.15, 0.6))))
    return Light(tuple(lamps), float(rng.uniform(0.1, 0.55)), float(rng.uniform(0, 0.35)))


def cast_shadows(canvas: np.ndarray, alpha: np.ndarray, place: tuple[int, int], height: float, light: Light) -> None:
    """Darken what lies beneath a thing.

    Args:
        canvas: float32 (H, W, 3), changed.
        alpha: uint8, the thing's coverage.
        place: x, y of its top left corner.
        height: of the thing in pixels.
        light: of the scene.
    """
    steps = [(lamp.away[0] * height, lamp.away[1] * height, max(0.8, lamp.softness * height)) for lamp in light.lamps]
    pad = int(max([0.5 * height, *(max(abs(x), abs(y)) + 3 * blur for x, y, blur in steps)])) + 2
    scale = min(1.0, _SHADOW_SIDE / max(alpha.shape))
    rows, columns = alpha.shape[0] + 2 * pad, alpha.shape[1] + 2 * pad
    shape = max(2, round(rows * scale)), max(2, round(columns * scale))

    def shadow(x: float, y: float, blur: float) -> np.ndarray:
        move = [
            np.array([[scale, 0, (pad + x * part) * scale], [0, scale, (pad + y * part) * scale]])
            for part in (0.3, 0.65, 1.0)
        ]  # a body casts a band, not a copy of its outline
        dark = np.max([cv2.warpAffine(alpha, one, shape[::-1]) for one in move], axis=0)
        return cv2.GaussianBlur(dark.astype(np.float32), (0, 0), max(0.5, blur * scale))

    left: np.ndarray = 1 - np.float32(light.contact / 255) * shadow(0, 0, max(0.8, 0.12 * height))
    for lamp, step in zip(light.lamps, steps, strict=True):
        left *= 1 - np.float32(lamp.strength / 255) * shadow(*step)
    x0, y0 = max(0, place[0] - pad), max(0, place[1] - pad)
    x1, y1 = min(canvas.shape[1], place[0] - pad + columns), min(canvas.shape[0], place[1] - pad + rows)
    if x0 < x1 and y0 < y1:
        whole = cv2.resize(left, (columns, rows), interpolation=cv2.INTER_LINEAR)
        top, start = y0 - place[1] + pad, x0 - place[0] + pad
        canvas[y0:y1, x0:x1] *= whole[top : top + y1 - y0, start : start + x1 - x0, None]


def lit(colour: np.ndarray, alpha: np.ndarray, light: Light, gloss: float) -> np.ndarray:
    """Light a cut-out's slopes as the scene's lamp does, with a highlight of strength `gloss`: float32 (H, W, 3)."""
    away = light.lamps[0].away if light.lamps else (0.0, 0.0)
    length = max(float(np.hypot(*away)), 1e-6)
    scale = min(1.0, _SHADOW_SIDE / max(alpha.shape))
    small = cv2.resize(alpha, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA).astype(np.float32)
    size = max(0.8, 0.16 * min(small.shape))
    slope_y, slope_x = np.gradient(cv2.GaussianBlur(small, (0, 0), size) * np.float32(size / 255))
    toward = slope_x * np.float32(away[0] / length) + slope_y * np.float32(away[1] / length)
    shade = 1 + np.float32(2 * light.slopes) * np.clip(toward, -0.5, 0.5)
    picture = colour * cv2.resize(shade, alpha.shape[::-1], interpolation=cv2.INTER_LINEAR)[..., None]
    if gloss:
        picture += np.float32(gloss) * _spot(alpha, -0.2, away, length)
    return picture


def seen_through(shown: np.ndarray, alpha: np.ndarray, ground: np.ndarray, light: Light, clear: float) -> np.ndarray:
    """Let the ground shine through a soft capsule, tinted, with the bright spot that it casts on the far side.

    Args:
        shown: float32 (H, W, 3), the pill as `lit` gives it.
        alpha: uint8 (H, W), its coverage.
        ground: float32 (H, W, 3), what lies beneath.
        light: of the scene.
        clear: share of the ground in the result.

    Returns:
        float32 (H, W, 3).
    """
    away = light.lamps[0].away if light.lamps else (0.0, 0.0)
    spot = _spot(alpha, 0.24, away, max(float(np.hypot(*away)), 1e-6))
    tinted = ground * (np.float32(0.25) + shown * np.float32(0.75 / 255)) * (1 + np.float32(1.5) * spot)
    return shown + np.float32(clear) * (tinted - shown) + np.float32(45 * clear) * spot


def _spot(alpha: np.ndarray, place: float, away: tuple[float, float], length: float) -> np.ndarray:
    """A round bright spot, `place` of a patch's side from its middle in the light's direction: float32 (H, W, 1)."""
    y, x = (
        np.linspace(-0.5, 0.5, _SHADOW_SIDE, dtype=np.float32) - np.float32(place * part / length)
        for part in away[::-1]
    )
    spot = np.exp(-60 * (x[None, :] ** 2 + y[:, None] ** 2))
    return cv2.resize(spot, alpha.shape[::-1], interpolation=cv2.INTER_LINEAR)[..., None]


def light_field(rng: np.random.Generator, shape: Shape) -> np.ndarray:
    """Draw light that falls unevenly: a slope, dark corners, a hot spot of the flash, the shadow of hand or phone;
    float32 (H, W) around 1."""
    y, x = np.mgrid[0 : shape[0], 0 : shape[1]].astype(np.float32)
    x, y = x / shape[1] - np.float32(0.5), y / shape[0] - np.float32(0.5)
    angle, slope = rng.uniform(0, 2 * np.pi), rng.uniform(0, 0.5)
    field = 1 + np.float32(slope) * (x * np.float32(np.cos(angle)) + y * np.float32(np.sin(angle)))
    field -= np.float32(rng.uniform(0, 0.5)) * (x * x + y * y)
    if rng.random() < 0.15:
        centre, reach = rng.uniform(-0.35, 0.35, 2), rng.uniform(0.1, 0.4)
        field += np.float32(rng.uniform(0.2, 1.2)) * np.exp(-(((x - centre[0]) ** 2) + (y - centre[1]) ** 2) / reach**2)
    if rng.random() < 0.4:
        edge = smooth_noise(rng, shape, 0.7 * max(shape)) + np.float32(rng.uniform(-1, 1))
        softness = np.float32(rng.choice([0.05, 0.3, 0.8]))
        field *= 1 - np.float32(rng.uniform(0.1, 0.5)) / (1 + np.exp(np.clip(-edge / softness, -30, 30)))
    return field.astype(np.float32)
