"""Draw boxes and captions on photographs."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFont

RIGHT, WRONG, PLAIN = "#1a9850", "#d73027", "#2166ac"


@dataclass(frozen=True)
class Caption:
    """A box x, y, w, h in pixels with its caption (ASCII shows in every environment; may be empty) and colour."""

    box: Sequence[float]
    text: str
    colour: str = PLAIN


def draw_boxes(picture: np.ndarray, captions: list[Caption]) -> np.ndarray:
    """Draw boxes on a copy of uint8 (H, W, 3) RGB, with Pillow's built-in font, sized to the photograph."""
    image = Image.fromarray(picture)
    canvas = ImageDraw.Draw(image)
    size = max(12, round(max(image.size) / 45))
    font = ImageFont.load_default(size=size)
    for caption in captions:
        x, y, w, h = caption.box
        canvas.rectangle([x, y, x + w, y + h], outline=caption.colour, width=max(2, size // 6))
        if not caption.text:
            continue
        left, top, right, bottom = canvas.textbbox((0, 0), caption.text, font=font)
        text_width, text_height = right - left, bottom - top
        place_x = min(max(0, x), max(0, image.width - text_width - 8))
        place_y = y - text_height - 8 if y > text_height + 8 else min(y + h, image.height - text_height - 8)
        canvas.rectangle([place_x, place_y, place_x + text_width + 8, place_y + text_height + 8], fill=caption.colour)
        canvas.text((place_x + 4 - left, place_y + 4 - top), caption.text, fill="white", font=font)
    return np.asarray(image)
