"""Compose a photograph: background, lamp, camera, pills with their shadows, sensor."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np

from pillsnap.sources.synthetic.catalogue import Drug, key_rng
from pillsnap.sources.synthetic.pill import Patch, View, draw_pill

WIDTH, HEIGHT = 976, 1280
SINGLE_SCALE, COMBO_SCALE = 18.5, 16.5
"""Pixels a millimetre: a 12 mm tablet is about 220 pixels long in a single-pill photograph."""

_BACKGROUNDS = {0: (34, 33, 35), 1: (56, 94, 156), 2: (192, 192, 189)}
_LAMPS = {  # light code: azimuth and elevation in degrees, colour of the light
    0: (-125.0, 52.0, (1.0, 1.0, 1.0)),
    1: (-50.0, 44.0, (1.03, 1.0, 0.95)),
    2: (-95.0, 60.0, (0.97, 1.0, 1.03)),
}


@dataclass(frozen=True)
class Shot:
    """Conditions of a photograph, in the codes of AIHub's file names: background, light, camera latitude, longitude."""

    background: int
    light: int
    latitude: int
    longitude: int


@dataclass(frozen=True)
class Drawn:
    """A drawn photograph.

    Attributes:
        photo: uint8 (1280, 976, 3) RGB.
        owner: uint8 (1280, 976): 0 for the backdrop, else the pill's number from 1.
        characters: of each pill, the middle of each character of its imprint: x and y in pixels, float (N, 2).
    """

    photo: np.ndarray
    owner: np.ndarray
    characters: list[np.ndarray]

    @property
    def boxes(self) -> list[list[int]]:
        """Each pill's visible extent: x, y, w, h in pixels."""
        return [_extent(self.owner == number) for number in range(1, len(self.characters) + 1)]


def render_photo(
    pills: Sequence[tuple[Drug, int]], shot: Shot, *, scale: float, rng: np.random.Generator
) -> tuple[np.ndarray, list[list[int]]]:
    """Photograph pills.

    Args:
        pills: drug and side (0 front, 1 back) of each.
        shot: its conditions.
        scale: pixels a millimetre.
        rng: generator of places, rotations, grain and noise.

    Returns:
        uint8 (1280, 976, 3) RGB, and each pill's visible extent as x, y, w, h in pixels.
    """
    drawn = render_with_truth(pills, shot, scale=scale, rng=rng)
    return drawn.photo, drawn.boxes


def render_with_truth(
    pills: Sequence[tuple[Drug, int]], shot: Shot, *, scale: float, rng: np.random.Generator
) -> Drawn:
    """Photograph pills like `render_photo`, and tell which pixel shows what."""
    azimuth, elevation, warmth = _LAMPS[shot.light]
    azimuth, elevation = azimuth + rng.normal(0, 4), elevation + rng.normal(0, 2)
    flat = np.cos(np.radians(elevation))
    light = (
        float(flat * np.cos(np.radians(azimuth))),
        float(flat * np.sin(np.radians(azimuth))),
        float(np.sin(np.radians(elevation))),
    )
    patches = []
    for drug, side in pills:
        turn = np.radians(shot.longitude + rng.normal(0, 3)) if len(pills) == 1 else rng.uniform(0, 2 * np.pi)
        view = View(turn, shot.latitude, scale, side, light, warmth)
        patches.append(draw_pill(drug, view, rng))
    places = _places(patches, rng)
    illumination = _illumination(light, rng) * (1 - _shadows(patches, places, light))
    exposure = np.array(warmth) * rng.normal(1, 0.02) * (1 + rng.normal(0, 0.006, 3))
    canvas = _backdrop(shot, exposure, illumination, rng)
    owner = np.zeros((HEIGHT, WIDTH), np.uint8)
    for number, (patch, place) in enumerate(zip(patches, places, strict=True), start=1):
        _paste(canvas, owner, patch, place, number, exposure)
    characters = [patch.characters + place for patch, place in zip(patches, places, strict=True)]
    return Drawn(_sensor(canvas, rng), owner, characters)


def _extent(mask: np.ndarray) -> list[int]:
    x, y, w, h = cv2.boundingRect(mask.astype(np.uint8))
    return [int(x), int(y), int(w), int(h)]


def _places(patches: Sequence[Patch], rng: np.random.Generator) -> list[tuple[int, int]]:
    """Top-left corner of each patch; a pill may touch the one before, none covers another."""
    taken = np.zeros((HEIGHT, WIDTH), bool)
    places: list[tuple[int, int]] = []
    for patch in patches:
        solid = patch.alpha > 0.02
        height, width = solid.shape
        spread = 0.08 if len(patches) == 1 else 0.33
        place = None
        for attempt in range(400):
            centre = np.array([WIDTH, HEIGHT]) * (0.5 + rng.uniform(-spread, spread, 2) * (1 + attempt / 800))
            x, y = int(centre[0] - width / 2), int(centre[1] - height / 2)
            x, y = int(np.clip(x, 2, WIDTH - width - 2)), int(np.clip(y, 2, HEIGHT - height - 2))
            if not (taken[y : y + height, x : x + width] & solid).any():
                place = _slide(taken, solid, x, y, places, rng)
                break
        if place is None:
            raise ValueError(f"{len(patches)} pills do not fit into one photograph at this scale. Lower the scale.")
        x, y = place
        taken[y : y + height, x : x + width] |= solid
        places.append(place)
    return places


def _slide(
    taken: np.ndarray, solid: np.ndarray, x: int, y: int, places: list[tuple[int, int]], rng: np.random.Generator
) -> tuple[int, int]:
    """In four cases of ten, move towards the pill before until the two touch."""
    if not places or rng.random() > 0.4:
        return x, y
    height, width = solid.shape
    goal = np.array(places[-1], float)
    direction = goal - [x, y]
    steps = max(1, int(np.abs(direction).max() / 3))
    for step in range(1, steps):
        nx, ny = (np.array([x, y]) + direction * step / steps).astype(int)
        nx, ny = int(np.clip(nx, 2, WIDTH - width - 2)), int(np.clip(ny, 2, HEIGHT - height - 2))
        if (taken[ny : ny + height, nx : nx + width] & solid).any():
            px, py = (np.array([x, y]) + direction * (step - 1) / steps).astype(int)
            return int(np.clip(px, 2, WIDTH - width - 2)), int(np.clip(py, 2, HEIGHT - height - 2))
    return x, y


@cache
def _texture() -> np.ndarray:
    """Grain of the backdrop, larger than a photograph: woven threads, fibres and stains, float32 around 0."""
    rng = key_rng(0, "backdrop")
    rows, columns = HEIGHT + 400, WIDTH + 400
    y, x = np.mgrid[0:rows, 0:columns].astype(np.float32)
    weave = np.sin(x * 1.15 + 0.4 * np.sin(y * 0.05)) * np.sin(y * 1.15 + 0.4 * np.sin(x * 0.043))
    fine = cv2.GaussianBlur(rng.normal(0, 1, (rows, columns)).astype(np.float32), (0, 0), 1.1) * 2.2
    fibres = cv2.GaussianBlur(rng.normal(0, 1, (rows, columns)).astype(np.float32), (0, 0), sigmaX=9, sigmaY=0.9) * 3
    stains = cv2.GaussianBlur(rng.normal(0, 1, (rows, columns)).astype(np.float32), (0, 0), 60) * 60
    return (0.55 * weave + fine + 0.8 * fibres + 0.5 * stains).astype(np.float32)


@cache
def _noise() -> tuple[np.ndarray, ...]:
    """Sensor noise of a larger frame at three strengths, int8; slightly smeared, as demosaicing does."""
    noise = key_rng(0, "sensor").normal(0, 1, (HEIGHT + 256, WIDTH + 256, 3)).astype(np.float32)
    noise = cv2.GaussianBlur(noise, (0, 0), 0.55) * 1.5
    return tuple(np.clip(np.round(noise * strength), -100, 100).astype(np.int8) for strength in (1.6, 2.2, 2.8))


def _backdrop(shot: Shot, exposure: np.ndarray, illumination: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    texture = _texture()
    top, left = int(rng.integers(0, 400)), int(rng.integers(0, 400))
    part = texture[top : top + HEIGHT, left : left + WIDTH]
    if shot.latitude < 90:  # seen at a slant, threads crowd together towards the far side
        inset = WIDTH * (1 - np.sin(np.radians(shot.latitude)) ** 2) * 0.18
        corners = np.array([[0, 0], [WIDTH, 0], [WIDTH, HEIGHT], [0, HEIGHT]], np.float32)
        target = np.array([[0, 0], [WIDTH, 0], [WIDTH + inset, HEIGHT], [-inset, HEIGHT]], np.float32)
        slant = cv2.getPerspectiveTransform(corners, target)
        part = cv2.warpPerspective(part, slant, (WIDTH, HEIGHT), borderMode=cv2.BORDER_REFLECT)
    part = part * np.float32((1.8, 3.0, 2.6)[shot.background])
    colour = np.array(_BACKGROUNDS[shot.background]) * exposure * (1 + rng.normal(0, 0.01, 3))
    return cv2.merge([cv2.convertScaleAbs((part + np.float32(value)) * illumination) for value in colour])


def _shadows(
    patches: Sequence[Patch], places: Sequence[tuple[int, int]], light: tuple[float, float, float]
) -> np.ndarray:
    """Share of light that the backdrop lacks: a soft shadow away from the lamp, a dark seam where a pill lies."""
    small = 4  # shadows are soft: a quarter of the resolution is enough
    shape = (HEIGHT // small, WIDTH // small)
    cast: np.ndarray = np.zeros(shape, np.float32)
    contact: np.ndarray = np.zeros(shape, np.float32)
    for patch, (x, y) in zip(patches, places, strict=True):
        alpha = cv2.resize(patch.alpha, None, fx=1 / small, fy=1 / small, interpolation=cv2.INTER_AREA)
        away = np.array(light[:2]) / max(light[2], 0.2) * -patch.height * 0.75
        for share in (0.35, 0.7, 1.0):
            _stamp(cast, alpha, int((x + away[0] * share) / small), int((y + away[1] * share) / small))
        _stamp(contact, alpha, x // small, y // small)
    cast = cv2.GaussianBlur(cast, (0, 0), 4.5)
    contact = cv2.GaussianBlur(contact, (0, 0), 2.0)
    dark = np.clip(0.42 * cast + 0.4 * contact, 0, 0.75)
    return cv2.resize(dark, (WIDTH, HEIGHT), interpolation=cv2.INTER_LINEAR)


def _stamp(target: np.ndarray, alpha: np.ndarray, x: int, y: int) -> None:
    height, width = alpha.shape
    x0, y0, x1, y1 = max(x, 0), max(y, 0), min(x + width, target.shape[1]), min(y + height, target.shape[0])
    if x0 < x1 and y0 < y1:
        part = target[y0:y1, x0:x1]
        np.maximum(part, alpha[y0 - y : y1 - y, x0 - x : x1 - x], out=part)


def _paste(
    canvas: np.ndarray, owner: np.ndarray, patch: Patch, place: tuple[int, int], number: int, exposure: np.ndarray
) -> None:
    (x, y), (height, width) = place, patch.alpha.shape
    part = canvas[y : y + height, x : x + width]
    mixed = part + (patch.colour * exposure.astype(np.float32) - part) * patch.alpha[..., None]
    part[:] = np.clip(mixed, 0, 255).astype(np.uint8)
    owner[y : y + height, x : x + width][patch.alpha > 0.5] = number


@cache
def _frame_axes() -> tuple[np.ndarray, np.ndarray]:
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH].astype(np.float32)
    return x / WIDTH - 0.5, y / HEIGHT - 0.5


def _illumination(light: tuple[float, float, float], rng: np.random.Generator) -> np.ndarray:
    """Uneven light: brighter towards the lamp, darker in the corners; float32 (1280, 976) around 1."""
    x, y = _frame_axes()
    slope = np.float32(rng.uniform(0.12, 0.22))
    return 1 + slope * (x * np.float32(light[0]) + y * np.float32(light[1])) - np.float32(0.25) * (x * x + y * y)


def _sensor(canvas: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Lens blur and sensor noise; uint8."""
    blurred = cv2.GaussianBlur(canvas, (0, 0), float(rng.uniform(0.6, 1.0)))
    noise = _noise()[int(rng.integers(0, 3))]
    top, left = (int(value) for value in rng.integers(0, 256, 2))
    return cv2.add(blurred, noise[top : top + HEIGHT, left : left + WIDTH], dtype=cv2.CV_8U)
