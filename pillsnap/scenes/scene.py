"""Compose one scene: a ground, things, pills of one camera's scale, their shadows, the camera; and its labels."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import cv2
import numpy as np

from pillsnap.config.data import Scenes
from pillsnap.scenes.camera import take_photo
from pillsnap.scenes.canvas import Canvas, ScenePill
from pillsnap.scenes.cut_outs import CutOut, CutOuts
from pillsnap.scenes.frame import draw_frame
from pillsnap.scenes.grounds import PLAIN, WILD, Ground
from pillsnap.scenes.light import Light, draw_light, light_field, lit
from pillsnap.scenes.texture import Shape
from pillsnap.scenes.things import FLAT, THINGS, Thing

_PILL_MM = 11.0
"""Length that the middle pill of a scene is taken to have, which gives things their size."""
_ATTEMPTS = 40
"""Places that are tried for a pill before it is left out."""
_CANDIDATES = 4
"""Pills of which the one most like the ground is chosen, see `Scenes.alike`."""
_MOST_AREA = 0.45
"""Share of the photograph that pills cover together at most, where there are several."""
_BESIDE = 0.03
"""Share of a pill that a neighbour may cover where pills do not lie in a pile: they touch."""
_TRANSLUCENT = 0.08
"""Share of pills through which the ground shines, as through soft capsules."""
_LEAST_CONTRAST = 8
"""Least difference of grey levels in and around a pill that has a label."""


Things = Mapping[str, Callable[[np.random.Generator, float], Thing]]


@dataclass(frozen=True)
class Kind:
    """A kind of scene: its share of all, fewest and most pills, and the range of the middle pill's length as a share of
    the photograph's longer side."""

    share: float
    pills: tuple[int, int]
    size: tuple[float, float]


KINDS = {
    "empty": Kind(0.06, (0, 0), (0.03, 0.3)),
    "one": Kind(0.17, (1, 1), (0.03, 0.5)),
    "filling": Kind(0.10, (1, 2), (0.5, 0.95)),
    "both sides": Kind(0.06, (2, 2), (0.12, 0.45)),
    "few": Kind(0.27, (2, 7), (0.03, 0.25)),
    "many": Kind(0.25, (8, 25), (0.02, 0.12)),
    "pile": Kind(0.09, (4, 25), (0.04, 0.16)),
}


@dataclass(frozen=True)
class Pieces:
    """What scenes are made of: `PIECES`, but where it is measured what each of them gives.

    Attributes:
        kinds: of scenes by name.
        plain, wild: grounds by name with their shares; each for half of the scenes.
        things: that lie beside pills, by name; none of them: pills lie alone.
        lamps: draws a scene's lamps.
        light: draws how light falls on the whole, float32 (H, W) around 1.
        camera: as `take_photo`.
    """

    kinds: Mapping[str, Kind]
    plain: Mapping[str, tuple[float, Ground]]
    wild: Mapping[str, tuple[float, Ground]]
    things: Things
    lamps: Callable[[np.random.Generator], Light]
    light: Ground
    camera: Callable[[np.ndarray, np.random.Generator], tuple[bytes, np.ndarray]]


PIECES = Pieces(KINDS, PLAIN, WILD, THINGS, draw_light, light_field, take_photo)


@dataclass(frozen=True)
class Scene:
    """A composed scene: JPEG, size in pixels, name of its ground, pills."""

    jpeg: bytes
    width: int
    height: int
    ground: str
    pills: list[ScenePill]


def compose_scene(
    cut_outs: CutOuts,
    *,
    side: int,
    settings: Scenes,
    rng: np.random.Generator,
    photographed: Ground | None = None,
    pieces: Pieces = PIECES,
) -> Scene:
    """Compose one scene.

    Args:
        cut_outs: pills to choose from.
        side: longer side in pixels.
        settings: most pills, and most of a pill that another may cover.
        rng: generator of everything in it.
        photographed: grounds out of the user's photographs, for half of the scenes.
        pieces: what it is made of.
    """
    name = str(rng.choice(list(pieces.kinds), p=[kind.share for kind in pieces.kinds.values()]))
    kind = pieces.kinds[name]
    frame = draw_frame(rng, side)
    ground, picture = _ground(rng, frame.canvas, photographed, pieces)
    canvas = Canvas(picture, frame, pieces.lamps(rng))
    size = float(np.exp(rng.uniform(*np.log(kind.size)))) * side
    if pieces.things and rng.random() < 0.6:
        for _ in range(int(rng.integers(1, 9))):
            _add_thing(canvas, pieces.things, size / _PILL_MM, rng, most_covered=0.0)
    number = min(settings.max_pills, int(rng.integers(kind.pills[0], kind.pills[1] + 1)))
    alike = settings.alike > 0 and rng.random() < settings.alike
    pills = _choose(cut_outs, name, number, rng, picture.mean((0, 1)) if alike else None)
    _add_pills(canvas, pills, size, name, settings.max_covered, rng)
    if pieces.things and rng.random() < 0.15:
        _add_thing(canvas, pieces.things, size / _PILL_MM, rng, most_covered=settings.max_covered)
    shown = np.clip(frame.view(canvas.picture), 0, 255)
    jpeg, photo = pieces.camera(shown * pieces.light(rng, shown.shape[:2])[..., None], rng)
    labelled = [pill for pill in canvas.labels() if _can_be_seen(photo, pill.box)]
    return Scene(jpeg, frame.width, frame.height, ground, labelled)


def _can_be_seen(photo: np.ndarray, box: tuple[int, int, int, int]) -> bool:
    """Whether anything differs in a box and close to it: in the dark, or blown out, a pill may be lost."""
    x, y, w, h = box
    more = max(2, max(w, h) // 8)
    part = photo[max(0, y - more) : y + h + more, max(0, x - more) : x + w + more]
    return bool(np.ptp(cv2.resize(part, (8, 8), interpolation=cv2.INTER_AREA), axis=(0, 1)).max() >= _LEAST_CONTRAST)


def _ground(
    rng: np.random.Generator, shape: Shape, photographed: Ground | None, pieces: Pieces
) -> tuple[str, np.ndarray]:
    if photographed and rng.random() < 0.5:
        return "photograph", photographed(rng, shape)
    grounds = pieces.plain if rng.random() < 0.5 else pieces.wild
    shares = np.array([share for share, _ in grounds.values()])
    name = str(rng.choice(list(grounds), p=shares / shares.sum()))
    return name, np.clip(grounds[name][1](rng, shape), 0, 255)


def _choose(
    cut_outs: CutOuts, kind: str, number: int, rng: np.random.Generator, colour: np.ndarray | None
) -> list[CutOut]:
    """Choose the pills of a scene, those near a colour, RGB, where one is given."""
    if kind == "both sides" or rng.random() < 0.12:  # of one drug
        return cut_outs.take(rng, number)
    if colour is not None:
        return [
            min((cut_outs.take(rng)[0] for _ in range(_CANDIDATES)), key=lambda pill: _unlike(pill, colour))
            for _ in range(number)
        ]
    return [pill for _ in range(number) for pill in cut_outs.take(rng)]


def _unlike(pill: CutOut, colour: np.ndarray) -> float:
    """How far a pill's mean colour is from another one."""
    return float(np.linalg.norm(pill.colour[pill.alpha > 127].mean(0) - colour))


def _add_pills(
    canvas: Canvas, pills: list[CutOut], size: float, kind: str, most_covered: float, rng: np.random.Generator
) -> None:
    """Lay pills down, the middle one `size` pixels long; one that finds no place is left out."""
    factor = size / float(np.median([pill.length for pill in pills])) if pills else 0.0
    gloss = float(rng.uniform(0, 110)) if rng.random() < 0.3 else 0.0
    reflecting = rng.random() < 0.08
    room, last = _MOST_AREA * canvas.frame.inside.sum(), None
    heap, spread = _anywhere(canvas, rng), 0.25 * size * len(pills) ** 0.5
    for pill in pills:
        colour, alpha = _turned(pill, pill.length * factor, rng.uniform(0, 360))
        room -= (alpha > 127).sum()
        if canvas.areas and room < 0:
            return
        for attempt in range(_ATTEMPTS):
            if kind == "pile":
                centre = heap + rng.normal(0, spread * (1 + attempt / 10), 2)
            elif last is not None and (kind == "both sides" or rng.random() < 0.2):
                centre = _beside(*last, max(alpha.shape), rng)
            else:
                centre = _anywhere(canvas, rng)
            if canvas.fits(alpha, centre, most_covered=most_covered if kind == "pile" else _BESIDE, pill=True):
                clear = float(rng.uniform(0.25, 0.6)) if rng.random() < _TRANSLUCENT else 0.0
                shown = lit(colour, alpha, canvas.light, gloss)
                if reflecting:
                    canvas.put(shown[::-1], alpha[::-1] // 6, centre + np.array([0, 0.8 * alpha.shape[0]]))
                canvas.put(shown, alpha, centre, height=0.36 * min(alpha.shape), clear=clear, cut_out=pill)
                last = centre, max(alpha.shape)
                break


def _anywhere(canvas: Canvas, rng: np.random.Generator) -> np.ndarray:
    """Draw a place x, y of the frame, near its middle more often."""
    spread = rng.uniform(0.2, 0.42)
    return np.array(canvas.owner.shape[::-1]) * (0.5 + rng.uniform(-spread, spread, 2))


def _beside(other: np.ndarray, other_side: int, side: int, rng: np.random.Generator) -> np.ndarray:
    """Draw a place next to another patch: apart, or so near that they touch."""
    turn = rng.uniform(0, 2 * np.pi)
    return other + (other_side + side) / 2 * rng.uniform(0.6, 1.1) * np.array([np.cos(turn), np.sin(turn)])


def _add_thing(canvas: Canvas, things: Things, unit: float, rng: np.random.Generator, *, most_covered: float) -> None:
    """Draw a thing somewhere; where it would cover more of a pill than allowed, it is left out."""
    name = str(rng.choice(list(things)))
    # no thing is far larger than the photograph, however near the pills are
    colour, alpha = things[name](rng, min(unit * rng.uniform(0.6, 1.7), max(canvas.owner.shape) / 110))
    colour, alpha = _rotated(colour, alpha, 1.0, rng.uniform(0, 360))
    centre = rng.uniform(-0.05, 1.05, 2) * canvas.owner.shape[::-1]
    if canvas.fits(alpha, centre, most_covered=most_covered, pill=False):
        height = min(FLAT.get(name, 3.0) * unit, 0.4 * min(alpha.shape))
        canvas.put(colour, alpha, centre, height=height)


def _turned(pill: CutOut, length: float, angle: float) -> tuple[np.ndarray, np.ndarray]:
    """Scale a cut-out to `length` pixels and turn it; never mirrored, since its imprint would be."""
    scale = length / pill.side
    colour, alpha = pill.colour, pill.alpha
    if scale < 0.5:  # bilinear warping alone would skip pixels
        colour, alpha = (
            cv2.resize(part, None, fx=2 * scale, fy=2 * scale, interpolation=cv2.INTER_AREA) for part in (colour, alpha)
        )
        scale = 0.5
    return _rotated(colour, alpha, scale, angle)


def _rotated(colour: np.ndarray, alpha: np.ndarray, scale: float, angle: float) -> tuple[np.ndarray, np.ndarray]:
    height, width = alpha.shape
    turn = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), angle, scale)
    sine, cosine = abs(turn[0, 1]), abs(turn[0, 0])
    columns, rows = int(width * cosine + height * sine) + 3, int(width * sine + height * cosine) + 3
    turn[:, 2] += (columns - width) / 2, (rows - height) / 2
    shown = cv2.warpAffine(colour, turn, (columns, rows), borderMode=cv2.BORDER_REPLICATE)
    return shown, cv2.warpAffine(alpha, turn, (columns, rows))
