"""Draw one pill: outline, relief and shading."""

from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from pillsnap.sources.synthetic.catalogue import COLOURS, Drug

# corners, and the direction of the first one in degrees
_POLYGONS = {
    "삼각형": (3, 90),
    "사각형": (4, 45),
    "마름모형": (4, 0),
    "오각형": (5, 90),
    "육각형": (6, 0),
    "팔각형": (8, 22.5),
}


@dataclass(frozen=True)
class View:
    """View of a pill.

    Attributes:
        angle: the pill's turn in radians.
        latitude: the camera's height in degrees; 90 looks straight down.
        scale: pixels a millimetre.
        side: 0 front, 1 back.
        light: unit vector towards the lamp: x right, y down, z to the camera.
        warmth: gain of red, green and blue in the lamp's light.
    """

    angle: float
    latitude: int
    scale: float
    side: int
    light: tuple[float, float, float]
    warmth: tuple[float, float, float]


@dataclass(frozen=True)
class Patch:
    """A drawn pill: colour float32 (H, W, 3) 0 to 255, coverage float32 (H, W) 0 to 1, height of its top in pixels, and
    the middle of each character of its imprint, x and y in pixels, float (N, 2)."""

    colour: np.ndarray
    alpha: np.ndarray
    height: float
    characters: np.ndarray


def draw_pill(drug: Drug, view: View, rng: np.random.Generator) -> Patch:
    """Draw `drug` from `view`, centred in the patch; `rng` draws its surface grain."""
    tilt_sine, tilt_cosine = np.sin(np.radians(view.latitude)), np.cos(np.radians(view.latitude))
    reach = np.hypot(drug.leng_long, drug.leng_short) / 2 * view.scale + drug.thick * view.scale * 0.5 + 6
    size = int(2 * np.ceil(reach))
    v, u = np.mgrid[0:size, 0:size].astype(np.float32) - (size - 1) / 2
    round_body = drug.capsule or drug.soft
    wall = (0.25 if round_body else 0.62) * drug.thick
    rise = wall * tilt_cosine * view.scale
    top = _outline(drug, *_to_pill(u, v + rise / 2, view, tilt_sine))
    silhouette = top.copy()
    for step in (-0.25, 0.0, 0.25, 0.5) if rise > 0.5 else ():
        np.minimum(silhouette, _outline(drug, *_to_pill(u, v - step * rise, view, tilt_sine)), out=silhouette)
    alpha = np.clip(0.5 - silhouette * view.scale, 0, 1)
    seen = _extent(alpha)
    alpha, silhouette, top = alpha[seen], silhouette[seen], top[seen]
    a, b = _to_pill(u[seen], v[seen] + rise / 2, view, tilt_sine)
    height, marks = _relief(drug, a, b, top, view.side)
    normal = _normals(height, view.scale, tilt_sine)
    on_wall = np.clip(top * view.scale + 0.5, 0, 1)[..., None]
    if rise > 0.5:
        normal = _unit(*cv2.split(normal * (1 - on_wall) + _wall_normals(silhouette) * on_wall))
    albedo = _albedo(drug, a, b, marks, rng)
    colour = _shade(albedo, normal, drug, view)
    corner = np.array([seen[1].start, seen[0].start]) - (size - 1) / 2
    characters = _to_screen(_imprint_middles(drug, view.side), view, tilt_sine) - corner - [0, rise / 2]
    return Patch(colour, alpha.astype(np.float32), drug.thick * view.scale, characters)


def _to_pill(u: np.ndarray, v: np.ndarray, view: View, tilt_sine: float) -> tuple[np.ndarray, np.ndarray]:
    """Transform screen pixels to the pill's own axes in millimetres: a along its length, b across."""
    x, y = u / view.scale, v / (view.scale * tilt_sine)
    cosine, sine = np.cos(view.angle), np.sin(view.angle)
    return x * cosine + y * sine, -x * sine + y * cosine


def _to_screen(along: np.ndarray, view: View, tilt_sine: float) -> np.ndarray:
    """Transform places on the pill's length, in millimetres from its middle, to screen pixels: float (N, 2)."""
    return along[:, None] * view.scale * [np.cos(view.angle), np.sin(view.angle) * tilt_sine]


def _outline(drug: Drug, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Signed distance to the outline in millimetres, negative inside."""
    long, short = drug.leng_long / 2, drug.leng_short / 2
    if drug.drug_shape == "원형":
        return np.hypot(a, b) - long
    if drug.drug_shape == "타원형":
        return (np.hypot(a / long, b / short) - 1) * short
    if drug.drug_shape == "장방형":
        corner = short if drug.capsule or drug.soft else short * 0.92
        outside = np.hypot(np.maximum(np.abs(a) - long + corner, 0), np.maximum(np.abs(b) - short + corner, 0))
        inside = np.minimum(np.maximum(np.abs(a) - long + corner, np.abs(b) - short + corner), 0)
        # the cap of a two-piece capsule is a little wider than its body
        return outside + inside - corner - (0.13 * (a > drug.joint * long) if drug.capsule else 0)
    if drug.drug_shape == "반원형":
        return np.maximum(np.hypot(a, b + short * 0.6) - long, -b - short * 0.8)
    return _rounded_polygon(drug, a, b, long, short)


def _rounded_polygon(drug: Drug, a: np.ndarray, b: np.ndarray, long: float, short: float) -> np.ndarray:
    corners, turn = _POLYGONS[drug.drug_shape]
    stretched = b * (long / short)
    inner = long * np.cos(np.pi / corners)
    corner = inner * 0.35
    total = np.zeros_like(a)
    for number in range(corners):
        direction = np.radians(turn) + 2 * np.pi * (number + 0.5) / corners
        along = a * np.cos(direction) + stretched * np.sin(direction)
        total += np.maximum(along - inner + corner, 0) ** 6
    return (total ** (1 / 6) - corner) * (short / long)


def _relief(drug: Drug, a: np.ndarray, b: np.ndarray, top: np.ndarray, side: int) -> tuple[np.ndarray, np.ndarray]:
    """Height of the top surface in millimetres, and coverage of printed marks."""
    depth = np.maximum(-top, 0)
    half = drug.leng_short / 2
    if drug.capsule or drug.soft:
        along = np.clip(depth / half, 0, 1)
        height = half * np.sqrt(1 - (1 - along) ** 2)
    else:
        along = np.clip(depth / (half * 0.9), 0, 1)
        edge = np.clip(depth / 0.45, 0, 1)
        height = 0.3 * drug.thick * np.sqrt(1 - (1 - along) ** 2) + 0.16 * (1 - (1 - edge) ** 2)
    text = (drug.print_front, drug.print_back)[side]
    marks = _imprint_mask(text, drug, a, b)
    if (drug.line_front, drug.line_back)[side]:
        height -= 0.5 * np.exp(-((a / 0.28) ** 2)) * (np.abs(b) < half)
    if drug.debossed:
        height -= 0.32 * marks
        marks = marks * 0.0
    if drug.capsule:
        joint = drug.joint * drug.leng_long / 2
        height -= 0.06 * np.exp(-(((a - joint) / 0.12) ** 2))
    return height.astype(np.float32), marks


@cache
def _font() -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size=120)


def _imprint_mask(text: str, drug: Drug, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Coverage of the imprint at pill coordinates: float32, 0 to 1."""
    if not text:
        return np.zeros_like(a)
    left, top, width, height = _text_box(text)
    image = Image.new("L", (width, height))
    ImageDraw.Draw(image).text((12 - left, 12 - top), text, fill=255, font=_font(), stroke_width=2)
    mask = cv2.GaussianBlur(np.asarray(image), (0, 0), 2.2)
    width_mm = _imprint_width(text, drug)
    height_mm = min(drug.leng_short * (0.5 if len(text) > 2 else 0.58), width_mm * mask.shape[0] / mask.shape[1])
    scale_x, scale_y = mask.shape[1] / width_mm, mask.shape[0] / height_mm
    map_x = (a * scale_x + mask.shape[1] / 2).astype(np.float32)
    map_y = (b * scale_y + mask.shape[0] / 2).astype(np.float32)
    return cv2.remap(mask, map_x, map_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT).astype(np.float32) / 255


def _text_box(text: str) -> tuple[float, float, int, int]:
    """Left, top, width and height of an imprint's picture, in pixels of the font."""
    left, top, right, bottom = _font().getbbox(text, stroke_width=2)
    return left, top, int(right - left) + 24, int(bottom - top) + 24


def _imprint_width(text: str, drug: Drug) -> float:
    """Width of an imprint in millimetres."""
    return min(drug.leng_long * (0.62 if drug.leng_long > 1.4 * drug.leng_short else 0.58), 2.1 * len(text) + 1.5)


def _imprint_middles(drug: Drug, side: int) -> np.ndarray:
    """Middle of each character of a side's imprint on the pill's length, in millimetres from the pill's middle."""
    text = (drug.print_front, drug.print_back)[side]
    if not text:
        return np.zeros(0)
    left, _, width, _ = _text_box(text)
    ends = np.array([_font().getlength(text[:count]) for count in range(len(text) + 1)])
    return ((ends[:-1] + ends[1:]) / 2 + 12 - left - width / 2) * _imprint_width(text, drug) / width


def _normals(height: np.ndarray, scale: float, tilt_sine: float) -> np.ndarray:
    slope_y, slope_x = np.gradient(cv2.GaussianBlur(height, (0, 0), 0.8) * np.float32(scale))
    return _unit(-slope_x, -slope_y / np.float32(tilt_sine), np.ones_like(height))


def _wall_normals(silhouette: np.ndarray) -> np.ndarray:
    slope_y, slope_x = np.gradient(cv2.GaussianBlur(silhouette, (0, 0), 1.5))
    return _unit(slope_x, slope_y, np.hypot(slope_x, slope_y) * np.float32(0.39))


def _unit(x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
    """Vectors of length 1: float32 (H, W, 3)."""
    return cv2.merge([x, y, z]) / np.maximum(np.sqrt(x * x + y * y + z * z), np.float32(1e-6))[..., None]


def _albedo(drug: Drug, a: np.ndarray, b: np.ndarray, marks: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    colour = np.broadcast_to(np.array(drug.tint, np.float32), (*a.shape, 3)).copy()
    if drug.capsule and drug.color_class2:
        colour[a > drug.joint * drug.leng_long / 2] = COLOURS[drug.color_class2]
    rows, columns = a.shape
    coarse = rng.normal(0, 1, (rows // 3 + 2, columns // 3 + 2)).astype(np.float32)
    grain = cv2.resize(coarse, (columns, rows), interpolation=cv2.INTER_LINEAR)
    colour *= 1 + (0.008 if drug.glossy else 0.028) * grain[..., None]
    if drug.speckled:
        spots = np.clip((grain - 1.5) * 2.5, 0, 1)[..., None]
        colour = colour * (1 - 0.55 * spots) + np.array([96, 70, 52], np.float32) * 0.55 * spots
    dark_ink = np.mean(drug.tint) > 110 if not drug.color_class2 else True
    ink = np.array([34, 32, 40] if dark_ink else [232, 230, 226], np.float32)
    strength = 0.85 * marks[..., None]
    return colour * (1 - strength) + ink * strength


def _shade(albedo: np.ndarray, normal: np.ndarray, drug: Drug, view: View) -> np.ndarray:
    light = np.array(view.light, np.float32)
    diffuse: np.ndarray = np.clip(normal @ light, 0, 1)
    if drug.soft:  # light passes through: the far side glows, the edge is deeper in colour
        through = np.clip(-(normal[..., :2] @ light[:2]), 0, 1)
        diffuse = 0.45 * diffuse + 0.5 * through + 0.25
    ambient = 0.30 + 0.18 * normal[..., 2]
    shaded = albedo * (ambient + 0.66 * diffuse)[..., None] * np.array(view.warmth, np.float32)
    half = light + np.array([0, 0, 1], np.float32)
    half /= np.linalg.norm(half)
    facing = np.clip(normal @ half, 0, 1)
    gloss, doublings = (0.75, 6) if drug.capsule or drug.soft else (0.3, 5) if drug.glossy else (0.07, 4)
    broad = _power(facing, 3)
    edge = 1 - np.clip(normal[..., 2], 0, 1)
    rim = 0.10 * edge * edge * edge
    tight = _power(broad, doublings - 3)
    shine = 255 * (gloss * tight + 0.12 * gloss * broad + (rim if drug.glossy else 0.3 * rim))
    return (shaded + shine[..., None]).astype(np.float32)


def _power(values: np.ndarray, doublings: int) -> np.ndarray:
    """values ** (2 ** doublings), by squaring: many times faster than a general power."""
    for _ in range(doublings):
        values = values * values
    return values


def _extent(alpha: np.ndarray) -> tuple[slice, slice]:
    """Rows and columns that the pill covers, with a margin of 3 pixels for the slopes."""
    rows, columns = np.flatnonzero(alpha.any(axis=1)), np.flatnonzero(alpha.any(axis=0))
    return (
        slice(max(0, int(rows[0]) - 3), int(rows[-1]) + 4),
        slice(max(0, int(columns[0]) - 3), int(columns[-1]) + 4),
    )
