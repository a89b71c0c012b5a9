"""Grounds out of a folder of the user's own photographs, which show no pill."""

import hashlib
from collections.abc import Collection
from pathlib import Path

import cv2
import numpy as np

from pillsnap.pictures.decode import PictureError, decode_photo
from pillsnap.pictures.endings import PHOTO_ENDINGS
from pillsnap.scenes.texture import Shape


class BackgroundsError(ValueError):
    """A folder that gives no grounds; the message says why, and the cure."""


class Backgrounds:
    """Photographs to take grounds from.

    Args:
        folder: searched with its subfolders, in the order of names.
        forbidden: SHA-256 of the stage's photographs: they show pills.

    Raises:
        BackgroundsError: there is no such folder, it holds no photograph, one cannot be decoded, or is the stage's own.
    """

    def __init__(self, folder: str | Path, forbidden: Collection[str]) -> None:
        self._paths = _photos_in(Path(folder))
        for path in self._paths:
            data = path.read_bytes()
            if hashlib.sha256(data).hexdigest() in forbidden:
                raise BackgroundsError(
                    f"scenes.backgrounds: {path} is a photograph of this stage, with a pill that no label would tell. "
                    "Take the source's photographs out of the folder."
                )

    def __call__(self, rng: np.random.Generator, shape: Shape) -> np.ndarray:
        """Take a part of some photograph, turned by quarters or mirrored: float32 (H, W, 3)."""
        path = self._paths[int(rng.integers(len(self._paths)))]
        try:
            photo = decode_photo(path.read_bytes())
        except PictureError as error:
            raise BackgroundsError(
                f"scenes.backgrounds: {path} cannot be decoded ({error}). Take it out of the folder."
            ) from error
        photo = np.rot90(photo, int(rng.integers(4)))[:, :: int(rng.choice([-1, 1]))]
        zoom = max(shape[0] / photo.shape[0], shape[1] / photo.shape[1])
        rows, columns = (
            min(side, round(part / zoom * rng.uniform(0.5, 1)))
            for side, part in zip(photo.shape[:2], shape, strict=True)
        )
        top, left = int(rng.integers(photo.shape[0] - rows + 1)), int(rng.integers(photo.shape[1] - columns + 1))
        part = np.ascontiguousarray(photo[top : top + rows, left : left + columns])
        return cv2.resize(part, shape[::-1], interpolation=cv2.INTER_AREA if zoom < 1 else cv2.INTER_LINEAR).astype(
            np.float32
        )


def _photos_in(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise BackgroundsError(f"scenes.backgrounds = {folder}: there is no such folder. Name one with photographs.")
    found = sorted(path for path in folder.rglob("*") if path.suffix.lower() in PHOTO_ENDINGS and path.is_file())
    if not found:
        raise BackgroundsError(
            f"scenes.backgrounds = {folder}: holds no photograph ({', '.join(sorted(PHOTO_ENDINGS))}). Put some in, "
            "or leave the key empty: all grounds are drawn then."
        )
    return found
