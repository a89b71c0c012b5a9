"""Textures out of few random numbers: smooth noise, fractal noise, lines that wander."""

import cv2
import numpy as np

Shape = tuple[int, int]
Colour = tuple[float, float, float] | np.ndarray


def smooth_noise(rng: np.random.Generator, shape: Shape, cell: float, *, stretch: float = 1.0) -> np.ndarray:
    """Draw noise of about unit variance, float32 (H, W): `cell` pixels from hill to hill, along x `stretch` times."""
    height, width = shape
    rows, columns = int(height / cell) + 4, int(width / (cell * stretch)) + 4
    coarse = rng.standard_normal((rows, columns), dtype=np.float32)
    whole = cv2.resize(coarse, (int(columns * cell * stretch) + 1, int(rows * cell) + 1), interpolation=cv2.INTER_CUBIC)
    top, left = int(rng.integers(whole.shape[0] - height)), int(rng.integers(whole.shape[1] - width))
    return whole[top : top + height, left : left + width] * np.float32(1.4)


def fractal_noise(rng: np.random.Generator, shape: Shape, cell: float, *, finest: float = 2.0) -> np.ndarray:
    """Add noises of halving cells and strengths, from `cell` down to `finest` pixels: float32 (H, W)."""
    total, strength = np.zeros(shape, np.float32), np.float32(1)
    while cell >= finest:
        total += strength * smooth_noise(rng, shape, cell)
        cell, strength = cell / 2, strength * np.float32(0.55)
    return total


def blend(first: Colour, second: Colour, share: np.ndarray) -> np.ndarray:
    """Mix two colours, float32 (H, W, 3): `share` (H, W) of the second, cut to 0 to 1."""
    clipped = np.clip(share, 0, 1)
    channels = zip(np.asarray(first, np.float32), np.asarray(second, np.float32), strict=True)
    return cv2.merge([start + (end - start) * clipped for start, end in channels])


def some_colour(rng: np.random.Generator) -> np.ndarray:
    """Draw any colour, greyish ones more often: float (3,), 0 to 255."""
    grey = rng.uniform(20, 240)
    return np.clip(grey + rng.normal(0, 1, 3) * rng.choice([4, 15, 40], p=[0.4, 0.4, 0.2]), 5, 250)


def some_grey(rng: np.random.Generator) -> np.ndarray:
    """Draw black, white or a grey between, with a slight tint: float (3,), 0 to 255."""
    level = (rng.uniform(8, 45), rng.uniform(215, 252), rng.uniform(60, 210))[rng.integers(3)]
    return np.clip(level + rng.normal(0, 3, 3), 3, 253)


def some_skin(rng: np.random.Generator) -> np.ndarray:
    """Draw a colour of skin, from light to dark: float (3,), 0 to 255."""
    tones = np.array([[233, 196, 172], [222, 178, 150], [205, 158, 128], [172, 124, 94], [128, 86, 62], [86, 58, 44]])
    place = rng.uniform(0, len(tones) - 1)
    low = int(place)
    return tones[low] + (tones[min(low + 1, len(tones) - 1)] - tones[low]) * (place - low) + rng.normal(0, 5, 3)


def put_ink(picture: np.ndarray, mask: np.ndarray, colour: Colour, *, strength: float = 1.0) -> None:
    """Put a colour on a picture where a mask is: float32 (H, W, 3), changed, and uint8 (H, W)."""
    picture += (np.asarray(colour, np.float32) - picture) * (mask * np.float32(strength / 255))[..., None]


def wandering_line(rng: np.random.Generator, shape: Shape, *, bend: float = 0.35) -> np.ndarray:
    """Draw points of a bent line across a picture: int32 (N, 1, 2), for OpenCV's polylines."""
    height, width = shape
    ends = rng.uniform(-0.1, 1.1, (4, 2)) * [width, height]
    ends[1:3] = ends[[0, 0]] + (ends[3] - ends[0]) * [[0.33], [0.67]] + rng.normal(0, bend, (2, 2)) * max(shape) / 3
    t = np.linspace(0, 1, 40)[:, None]
    points = (1 - t) ** 3 * ends[0] + 3 * (1 - t) ** 2 * t * ends[1] + 3 * (1 - t) * t**2 * ends[2] + t**3 * ends[3]
    return np.rint(points).astype(np.int32)[:, None]
