"""Scenes of benchmarks/scenes.py without one of their pieces each: what does it give?"""

from dataclasses import replace

import numpy as np

from pillsnap.pictures.decode import encode_jpeg
from pillsnap.scenes.grounds import PLAIN
from pillsnap.scenes.light import Light
from pillsnap.scenes.scene import KINDS, PIECES, Kind, Pieces

_QUALITY = 90


def _dull_camera(scene: np.ndarray, rng: np.random.Generator) -> tuple[bytes, np.ndarray]:
    """The scene as it is: right exposure and colours, sharp, no noise."""
    picture = np.clip(scene, 0, 255).astype(np.uint8)
    return encode_jpeg(picture, _QUALITY, full_colour=False), picture


def _no_lamps(rng: np.random.Generator) -> Light:
    return Light((), 0.0, 0.0)


def _even_light(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    return np.ones(shape, np.float32)


def _one_at_most(kind: Kind) -> Kind:
    fewest, most = kind.pills
    return replace(kind, pills=(min(1, fewest), min(1, most)))


WITHOUT: dict[str, tuple[str, Pieces]] = {
    "grounds": ("plain grounds and gradients only", replace(PIECES, wild=PLAIN)),
    "clutter": ("no things that are no pills", replace(PIECES, things={})),
    "number": (
        "one pill at most, of the same sizes",
        replace(PIECES, kinds={name: _one_at_most(kind) for name, kind in KINDS.items()}),
    ),
    "camera": (
        "no exposure, tint, blur, noise, sharpening; JPEG of quality 90",
        replace(PIECES, camera=_dull_camera),
    ),
    "light": (
        "no shadows, lit slopes, uneven light; some pills still shine",
        replace(PIECES, lamps=_no_lamps, light=_even_light),
    ),
}
"""What is left out by name: in words, and the pieces that stay."""
