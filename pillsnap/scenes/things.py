"""Things that are no pills. Each function draws one at `unit` pixels a millimetre: uint8 (H, W, 3), and coverage uint8
(H, W)."""

from collections.abc import Callable

import cv2
import numpy as np

from pillsnap.scenes.hands import finger
from pillsnap.scenes.texture import fractal_noise, put_ink, some_colour, some_grey, wandering_line

Thing = tuple[np.ndarray, np.ndarray]


def _filled(colour: np.ndarray, height: float, width: float) -> tuple[np.ndarray, np.ndarray]:
    shape = max(8, int(height)), max(8, int(width))
    return np.full((*shape, 3), colour, np.float32), np.zeros(shape, np.uint8)


def _done(picture: np.ndarray, alpha: np.ndarray) -> Thing:
    return np.clip(picture, 0, 255).astype(np.uint8), alpha


def _tuple(colour: np.ndarray) -> tuple[float, ...]:
    return tuple(float(value) for value in colour)


def coin(rng: np.random.Generator, unit: float) -> Thing:
    """A coin: raised rim, a number, metal that shines unevenly."""
    side = rng.uniform(17, 27) * unit + 6
    metals = np.array([[186, 186, 182], [196, 160, 96], [176, 112, 80], [140, 138, 132]])
    picture, alpha = _filled(metals[rng.integers(4)] + rng.normal(0, 8, 3), side, side)
    centre, radius = (alpha.shape[1] // 2, alpha.shape[0] // 2), alpha.shape[0] // 2 - 2
    cv2.circle(alpha, centre, radius, 255, -1, cv2.LINE_AA)
    relief = np.zeros(alpha.shape, np.uint8)
    cv2.circle(relief, centre, radius - 1, 255, max(1, radius // 9), cv2.LINE_AA)
    text = str(rng.choice(["1", "2", "5", "10", "20", "50", "100", "500"]))
    size = radius / 28 / max(1, len(text) ** 0.5)
    place = (int(centre[0] - radius * 0.45), int(centre[1] + radius * 0.35))
    cv2.putText(relief, text, place, cv2.FONT_HERSHEY_SIMPLEX, size, 255, max(1, radius // 10), cv2.LINE_AA)
    slope_y, slope_x = np.gradient(cv2.GaussianBlur(relief / np.float32(255), (0, 0), max(0.6, radius / 40)))
    shine = 14 * fractal_noise(rng, alpha.shape, max(6.0, side / 3))
    return _done(picture + ((slope_x + slope_y) * np.float32(radius * 5) + shine)[..., None], alpha)


def button(rng: np.random.Generator, unit: float) -> Thing:
    """A button with two or four holes and a rim."""
    side = rng.uniform(9, 22) * unit + 6
    colour = some_colour(rng)
    picture, alpha = _filled(colour, side, side)
    centre, radius = np.array(alpha.shape[::-1]) // 2, alpha.shape[0] // 2 - 2
    cv2.circle(alpha, tuple(centre), radius, 255, -1, cv2.LINE_AA)
    cv2.circle(picture, tuple(centre), int(radius * 0.8), _tuple(colour * 0.82), max(1, radius // 8), cv2.LINE_AA)
    cv2.circle(picture, tuple(centre), radius, _tuple(np.clip(colour * 1.15, 0, 250)), max(1, radius // 9), cv2.LINE_AA)
    holes = int(rng.choice([2, 4]))
    for turn in np.arange(holes) * 2 * np.pi / holes + rng.uniform(0, np.pi):
        place = np.rint(centre + 0.32 * radius * np.array([np.cos(turn), np.sin(turn)])).astype(int)
        cv2.circle(alpha, tuple(place), max(1, radius // 8), 0, -1, cv2.LINE_AA)
    return _done(picture, alpha)


def cable(rng: np.random.Generator, unit: float) -> Thing:
    """A cable, cord or rubber band, bent, with a lit side."""
    side = rng.uniform(50, 160) * unit
    colour = some_grey(rng) if rng.random() < 0.6 else some_colour(rng)
    picture, alpha = _filled(colour, side, side)
    line, thick = wandering_line(rng, alpha.shape, bend=0.9), max(1, int(rng.uniform(1, 6) * unit))
    cv2.polylines(alpha, [line], False, 255, thick, cv2.LINE_AA)
    lit = np.clip(np.asarray(colour) * 1.2 + 30, 0, 255)
    cv2.polylines(picture, [line - max(1, thick // 5)], False, _tuple(lit), max(1, thick // 4), cv2.LINE_AA)
    return _done(picture, alpha)


def letters(rng: np.random.Generator, unit: float) -> Thing:
    """A word or a number by itself, printed or handwritten in size."""
    text = "".join(rng.choice(list("ABCDEFGHKLMNOPRSTUXYZabdeghnopqs0123456789"), int(rng.integers(1, 9))))
    size = rng.uniform(2, 16) * unit / 22
    face = int(rng.choice([cv2.FONT_HERSHEY_SIMPLEX, cv2.FONT_HERSHEY_DUPLEX, cv2.FONT_HERSHEY_SCRIPT_SIMPLEX]))
    thick = max(1, int(size * rng.uniform(1, 4)))
    (width, height), below = cv2.getTextSize(text, face, size, thick)
    picture, alpha = _filled(some_colour(rng), height + below + 8, width + 8)
    cv2.putText(alpha, text, (4, height + 4), face, size, 255, thick, cv2.LINE_AA)
    return _done(picture, alpha)


def ruler(rng: np.random.Generator, unit: float) -> Thing:
    """A ruler with marks and numbers: white, wooden, steel or dark."""
    height, width = rng.uniform(18, 34) * unit, rng.uniform(80, 220) * unit
    grounds = np.array([[242, 242, 238], [226, 196, 140], [176, 178, 180], [40, 42, 46]])
    colour = grounds[rng.integers(4)] + rng.normal(0, 5, 3)
    picture, alpha = _filled(colour, height, width)
    alpha[:] = 255
    ink = np.zeros(alpha.shape, np.uint8)
    for number, place in enumerate(np.arange(4, width - 2, max(unit, 2.0))):
        long = 0.34 if number % 10 == 0 else 0.24 if number % 5 == 0 else 0.15
        cv2.line(ink, (int(place), 0), (int(place), int(height * long)), 255, 1, cv2.LINE_AA)
        if number % 10 == 0:
            where = (int(place) + 1, int(height * 0.6))
            cv2.putText(ink, str(number // 10), where, cv2.FONT_HERSHEY_SIMPLEX, height / 90, 255, 1, cv2.LINE_AA)
    put_ink(picture, ink, np.full(3, 30.0 if colour.mean() > 100 else 225.0))
    return _done(picture, alpha)


def colour_chart(rng: np.random.Generator, unit: float) -> Thing:
    """A colour chart: patches in rows, the greys in one of them, on a dark or white card."""
    rows, columns, patch = int(rng.integers(1, 5)), int(rng.integers(4, 9)), rng.uniform(5, 12) * unit
    gap = 0.18 * patch
    picture, alpha = _filled(
        np.full(3, rng.choice([24.0, 238.0])), rows * (patch + gap) + gap, columns * (patch + gap) + gap
    )
    alpha[:] = 255
    for row in range(rows):
        for column in range(columns):
            colour = np.full(3, 240 - 215 * column / columns) if row == rows - 1 else rng.uniform(20, 235, 3)
            start = np.array([gap + column * (patch + gap), gap + row * (patch + gap)])
            corners = tuple(np.rint(start).astype(int)), tuple(np.rint(start + patch).astype(int))
            cv2.rectangle(picture, *corners, _tuple(colour), -1)
    return _done(picture, alpha)


def pen(rng: np.random.Generator, unit: float) -> Thing:
    """A pen: a long rod of one colour with a clip or a tip of another."""
    height, width = rng.uniform(7, 13) * unit + 4, rng.uniform(70, 140) * unit
    colour = some_colour(rng)
    picture, alpha = _filled(colour, height, width)
    thick, middle = max(2, alpha.shape[0] - 4), alpha.shape[0] // 2
    cv2.line(alpha, (thick, middle), (alpha.shape[1] - thick, middle), 255, thick, cv2.LINE_AA)
    across = np.abs(np.linspace(-0.8, 1, alpha.shape[0], dtype=np.float32))[:, None, None]
    picture[:, int(alpha.shape[1] * rng.uniform(0.6, 0.95)) :] = some_grey(rng)
    return _done(picture * (1.15 - 0.55 * across**2), alpha)


def nut(rng: np.random.Generator, unit: float) -> Thing:
    """A hexagonal nut, a washer or a ring: metal or plastic with a hole."""
    side = rng.uniform(6, 22) * unit + 6
    colour = some_grey(rng) if rng.random() < 0.6 else some_colour(rng)
    picture, alpha = _filled(colour, side, side)
    centre, radius = np.array(alpha.shape[::-1]) // 2, alpha.shape[0] // 2 - 2
    if rng.random() < 0.5:
        turns = np.arange(6) * np.pi / 3 + rng.uniform(0, np.pi)
        corners = centre + radius * np.stack([np.cos(turns), np.sin(turns)], axis=1)
        cv2.fillConvexPoly(alpha, np.rint(corners).astype(np.int32), 255, cv2.LINE_AA)
    else:
        cv2.circle(alpha, tuple(centre), radius, 255, -1, cv2.LINE_AA)
    cv2.circle(alpha, tuple(centre), max(1, int(radius * rng.uniform(0.35, 0.75))), 0, -1, cv2.LINE_AA)
    return _done(picture + (10 * fractal_noise(rng, alpha.shape, max(6.0, side / 3)))[..., None], alpha)


def crumb(rng: np.random.Generator, unit: float) -> Thing:
    """A pebble, crumb or seed: an irregular outline, rough."""
    side = rng.uniform(2, 16) * unit + 6
    colour = some_colour(rng)
    picture, alpha = _filled(colour, side, side)
    number = int(rng.integers(5, 12))
    turns = np.sort(rng.uniform(0, 2 * np.pi, number))
    reach = rng.uniform(0.35, 1.0, (number, 1)) * (min(alpha.shape) / 2 - 2)
    corners = np.array(alpha.shape[::-1]) / 2 + reach * np.stack([np.cos(turns), np.sin(turns)], axis=1)
    cv2.fillPoly(alpha, [np.rint(corners).astype(np.int32)], 255, cv2.LINE_AA)
    return _done(picture + (18 * fractal_noise(rng, alpha.shape, max(6.0, side / 2)))[..., None], alpha)


def card(rng: np.random.Generator, unit: float) -> Thing:
    """A label, note, card or box lid with printed lines."""
    height, width = rng.uniform(15, 70) * unit, rng.uniform(25, 110) * unit
    colour = some_grey(rng) if rng.random() < 0.5 else some_colour(rng)
    picture, alpha = _filled(colour, height, width)
    alpha[:] = 255
    ink, step = np.zeros(alpha.shape, np.uint8), max(6, int(rng.uniform(4, 12) * unit))
    for row in range(step, alpha.shape[0] - 2, step):
        if rng.random() < 0.8:
            text = "".join(rng.choice(list("aeinorstlmgPRT 0123456789-"), int(rng.integers(3, 26))))
            cv2.putText(ink, text, (step // 2, row), cv2.FONT_HERSHEY_SIMPLEX, step / 34, 255, 1, cv2.LINE_AA)
    put_ink(picture, ink, some_colour(rng))
    return _done(picture, alpha)


THINGS: dict[str, Callable[[np.random.Generator, float], Thing]] = {
    "coin": coin,
    "button": button,
    "cable": cable,
    "letters": letters,
    "finger": finger,
    "ruler": ruler,
    "colour chart": colour_chart,
    "pen": pen,
    "nut": nut,
    "crumb": crumb,
    "card": card,
}

FLAT = {"letters": 0.0, "card": 0.4, "colour chart": 0.4, "ruler": 1.0}
"""Height in millimetres of what is flatter than 3 mm."""
