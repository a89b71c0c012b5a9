"""Grounds that pills lie on: plain ones as often as wild ones. Each function draws float32 (H, W, 3), 0 to 255."""

from collections.abc import Callable

import cv2
import numpy as np

from pillsnap.scenes.hands import hand, skin
from pillsnap.scenes.texture import (
    Shape,
    blend,
    fractal_noise,
    put_ink,
    smooth_noise,
    some_colour,
    some_grey,
    wandering_line,
)
from pillsnap.scenes.ware import blister, tray

Ground = Callable[[np.random.Generator, Shape], np.ndarray]


def plain(rng: np.random.Generator, shape: Shape) -> np.ndarray:
    """Black, white, grey or one colour, with next to no texture."""
    colour = some_grey(rng) if rng.random() < 0.75 else some_colour(rng)
    grain = smooth_noise(rng, shape, rng.uniform(1.2, 4)) * rng.choice([0, 1.0, 3.0])
    return colour.astype(np.float32) + grain[..., None] + 2 * smooth_noise(rng, shape, max(shape) / 3)[..., None]


def gradient(rng: np.random.Generator, shape: Shape) -> np.ndarray:
    """Two colours that run into each other."""
    first = some_grey(rng) if rng.random() < 0.5 else some_colour(rng)
    second = np.clip(first + rng.normal(0, 45, 3), 3, 252)
    y, x = np.mgrid[0 : shape[0], 0 : shape[1]].astype(np.float32) / max(shape)
    angle = rng.uniform(0, 2 * np.pi)
    return blend(first, second, 0.5 + x * np.cos(angle) + y * np.sin(angle) - np.float32(rng.uniform(-0.4, 0.4)))


def wood(rng: np.random.Generator, shape: Shape) -> np.ndarray:
    """Grain along x, pores, and seams between boards."""
    tones = np.array([[214, 178, 132], [178, 130, 84], [128, 84, 52], [88, 58, 40], [196, 188, 174], [70, 52, 44]])
    light = tones[rng.integers(len(tones))] + rng.normal(0, 10, 3)
    dark = light * rng.uniform(0.55, 0.85)
    y = np.mgrid[0 : shape[0], 0 : shape[1]][0].astype(np.float32)
    warp = smooth_noise(rng, shape, rng.uniform(30, 90), stretch=5) * rng.uniform(6, 24)
    rings = np.sin((y + warp) * np.float32(rng.uniform(0.08, 0.45)))
    pores = smooth_noise(rng, shape, 1.6, stretch=14)
    picture = blend(light, dark, 0.45 + 0.3 * rings + 0.18 * pores + 0.15 * smooth_noise(rng, shape, 120, stretch=3))
    if rng.random() < 0.5:
        step = rng.uniform(0.2, 0.5) * shape[0]
        for seam in np.arange(rng.uniform(0, step), shape[0], step):
            cv2.line(picture, (0, int(seam)), (shape[1], int(seam)), tuple(dark * 0.5), int(rng.integers(1, 4)))
    return _turned(rng, picture)


def cloth(rng: np.random.Generator, shape: Shape) -> np.ndarray:
    """Woven threads, some with stripes or checks, and folds."""
    colour, pitch = some_colour(rng), np.float32(rng.uniform(0.7, 2.4))
    y, x = np.mgrid[0 : shape[0], 0 : shape[1]].astype(np.float32)
    wave = 3 * smooth_noise(rng, shape, 60)
    threads = np.sin((x + wave) * pitch) * np.sin((y + wave) * pitch) + 0.8 * smooth_noise(rng, shape, 1.7)
    picture = np.asarray(colour, np.float32) + (threads * np.float32(rng.uniform(4, 16)))[..., None]
    if rng.random() < 0.4:
        width, second = rng.uniform(15, 90), some_colour(rng)
        bands = (np.sin((x + wave) / width * np.pi) > 0.3).astype(np.float32)
        if rng.random() < 0.5:
            bands = 0.5 * bands + 0.5 * (np.sin((y + wave) / width * np.pi) > 0.3)
        picture += (np.asarray(second, np.float32) - picture) * (0.7 * bands)[..., None]
    folds = smooth_noise(rng, shape, rng.uniform(90, 260), stretch=2) * rng.choice([0, 8, 20])
    return _turned(rng, picture + folds[..., None])


def paper(rng: np.random.Generator, shape: Shape) -> np.ndarray:
    """A sheet with print: lines of text, a ruled or squared page, some with a table or a coloured band."""
    tint = np.array([244, 243, 238]) * rng.uniform(0.82, 1.0) + rng.normal(0, 3, 3)
    picture = np.asarray(tint, np.float32) + (2 * fractal_noise(rng, shape, 40))[..., None]
    ink, step, kind = np.zeros(shape, np.uint8), int(rng.uniform(10, 46)), rng.integers(4)
    if kind <= 1:
        _print(ink, rng, step)
    if kind >= 1:
        for row in range(step, shape[0], step):
            cv2.line(ink, (0, row), (shape[1], row), 255, 1, cv2.LINE_AA)
    if kind == 3:
        for column in range(step, shape[1], step):
            cv2.line(ink, (column, 0), (column, shape[0]), 255, 1, cv2.LINE_AA)
    put_ink(picture, ink, rng.uniform(20, 110, 3) if rng.random() < 0.7 else some_colour(rng))
    if rng.random() < 0.25:
        top = int(rng.uniform(0, shape[0]))
        cv2.rectangle(picture, (0, top), (shape[1], top + int(rng.uniform(20, 120))), tuple(some_colour(rng)), -1)
    return _turned(rng, picture)


def _print(ink: np.ndarray, rng: np.random.Generator, step: int) -> None:
    letters = "abcdefghijklmnoprstuvwxyzAEHKMSTR0123456789  ..,-"
    size = step / 32
    for row in range(step, ink.shape[0], step):
        if rng.random() < 0.85:
            text = "".join(letters[index] for index in rng.integers(0, len(letters), int(rng.integers(8, 90))))
            place = (int(rng.integers(-30, 40)), row)
            cv2.putText(ink, text, place, cv2.FONT_HERSHEY_SIMPLEX, size, 255, max(1, step // 18), cv2.LINE_AA)


def stone(rng: np.random.Generator, shape: Shape) -> np.ndarray:
    """Concrete, granite or marble: blotches, speckles, veins."""
    colour = some_grey(rng) if rng.random() < 0.6 else some_colour(rng)
    picture = (
        np.asarray(colour, np.float32) + (fractal_noise(rng, shape, 80) * np.float32(rng.uniform(3, 14)))[..., None]
    )
    for _ in range(int(rng.integers(0, 4))):
        specks = smooth_noise(rng, shape, rng.uniform(1.5, 5)) > rng.uniform(1.3, 2.6)
        picture[specks] += np.float32(rng.normal(0, 45))
    if rng.random() < 0.3:
        veins: np.ndarray = np.zeros(shape, np.float32)
        for _ in range(int(rng.integers(2, 9))):
            cv2.polylines(veins, [wandering_line(rng, shape)], False, 1.0, int(rng.integers(1, 8)), cv2.LINE_AA)
        veins = cv2.GaussianBlur(veins, (0, 0), float(rng.uniform(1, 5)))
        picture += veins[..., None] * np.float32(rng.normal(0, 50))
    return picture


def tiles(rng: np.random.Generator, shape: Shape) -> np.ndarray:
    """Tiles or a grid: cells of slightly different colours with joints between them."""
    colour, side = some_colour(rng), int(rng.uniform(40, 260))
    rows, columns = shape[0] // side + 2, shape[1] // side + 2
    cells = rng.normal(0, rng.uniform(1, 12), (rows, columns)).astype(np.float32)
    whole = cells.repeat(side, axis=0).repeat(side, axis=1)[: shape[0], : shape[1]]
    picture = np.asarray(colour, np.float32) + (whole + 2 * fractal_noise(rng, shape, 30))[..., None]
    joint, width = tuple(np.clip(colour + rng.normal(0, 50, 3), 5, 250)), max(1, side // int(rng.integers(12, 60)))
    for place in range(side, max(shape), side):
        cv2.line(picture, (0, place), (shape[1], place), joint, width)
        cv2.line(picture, (place, 0), (place, shape[0]), joint, width)
    return _turned(rng, picture)


def patchwork(rng: np.random.Generator, shape: Shape) -> np.ndarray:
    """A crowded place: overlapping shapes of any colour, each with its own texture, as of a desk out of focus."""
    picture = stone(rng, shape)
    height, width = shape
    for _ in range(int(rng.integers(4, 22))):
        colour = tuple(float(value) for value in some_colour(rng))
        centre = (int(rng.uniform(0, width)), int(rng.uniform(0, height)))
        reach = rng.uniform(0.05, 0.4) * max(shape)
        corners = np.array(centre) + rng.normal(0, reach / 1.5, (int(rng.integers(3, 6)), 2))
        hull = cv2.convexHull(np.rint(corners).astype(np.int32))
        kind = rng.integers(3)
        if kind == 0:
            cv2.fillConvexPoly(picture, hull, colour, cv2.LINE_AA)
        elif kind == 1:
            axes = (int(reach), int(reach * rng.uniform(0.2, 1)))
            cv2.ellipse(picture, centre, axes, rng.uniform(0, 180), 0, 360, colour, -1, cv2.LINE_AA)
        else:
            thick = int(rng.uniform(2, 30))
            cv2.polylines(picture, [wandering_line(rng, shape)], False, colour, thick, cv2.LINE_AA)
    picture += (fractal_noise(rng, shape, 30) * np.float32(rng.uniform(0, 6)))[..., None]
    return cv2.GaussianBlur(picture, (0, 0), float(rng.uniform(0.6, 5)))


def held(rng: np.random.Generator, shape: Shape) -> np.ndarray:
    """An open hand over an even ground, or over a crowded one, whose pieces are as small as pills between fingers."""
    if rng.random() < 0.5:
        return hand(rng, shape, patchwork(rng, shape))
    colour = some_colour(rng) if rng.random() < 0.6 else some_grey(rng)
    cloudy = fractal_noise(rng, shape, 90) * np.float32(rng.uniform(2, 22))
    return hand(rng, shape, np.asarray(colour, np.float32) + cloudy[..., None])


def _turned(rng: np.random.Generator, picture: np.ndarray) -> np.ndarray:
    """Turn a ground by any angle about its centre and enlarge it, so that no corner is empty."""
    height, width = picture.shape[:2]
    angle = rng.uniform(0, 360)
    sine, cosine = abs(np.sin(np.radians(angle))), abs(np.cos(np.radians(angle)))
    zoom = cosine + sine * max(width / height, height / width)
    turn = cv2.getRotationMatrix2D((width / 2, height / 2), angle, zoom)
    return cv2.warpAffine(picture, turn, (width, height), borderMode=cv2.BORDER_REFLECT)


PLAIN: dict[str, tuple[float, Ground]] = {"plain": (3, plain), "gradient": (1, gradient)}
WILD: dict[str, tuple[float, Ground]] = {
    "wood": (1.5, wood),
    "cloth": (1.5, cloth),
    "skin": (1, skin),
    "hand": (2.5, held),
    "paper": (1.5, paper),
    "stone": (2, stone),
    "tiles": (1, tiles),
    "tray": (1, tray),
    "blister": (0.7, blister),
    "patchwork": (1.5, patchwork),
}
"""Grounds by name, each with its share among its like."""
