"""Grounds out of a folder of the user's own photographs, which show no pill."""

import hashlib
from collections.abc import Collection, Iterable
from pathlib import Path

import cv2
import numpy as np

from pillsnap.pictures.decode import PictureError, decode_photo, photo_size
from pillsnap.pictures.endings import PHOTO_ENDINGS
from pillsnap.scenes.texture import Shape


class BackgroundsError(ValueError):
    """A folder that gives no grounds: `found` says why, `cure` what to do."""

    def __init__(self, found: str, cure: str) -> None:
        super().__init__(f"scenes.backgrounds: {found}. {cure}.")
        self.found, self.cure = found, cure


class Backgrounds:
    """Photographs to take grounds from.

    Args:
        folder: searched with its subfolders, in the order of names.
        forbidden: SHA-256 of the stage's photographs: they show pills.

    Raises:
        BackgroundsError: there is no such folder, it holds no photograph, or one is the stage's own; when a ground is
            taken: it cannot be decoded.
    """

    def __init__(self, folder: str | Path, forbidden: Collection[str]) -> None:
        self._paths = find_backgrounds(folder)
        for path in self._paths:
            data = path.read_bytes()
            if hashlib.sha256(data).hexdigest() in forbidden:
                found = f"{path} is a photograph of this stage, with a pill that no label would tell"
                raise BackgroundsError(found, "Take the source's photographs out of the folder")

    def __call__(self, rng: np.random.Generator, shape: Shape) -> np.ndarray:
        """Take a part of some photograph, turned by quarters or mirrored: float32 (H, W, 3)."""
        path = self._paths[int(rng.integers(len(self._paths)))]
        try:
            photo = decode_photo(path.read_bytes())
        except PictureError as error:
            raise _undecodable(path, error) from error
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


def find_backgrounds(folder: str | Path) -> list[Path]:
    """Find the photographs in a folder and its subfolders, in the order of names; raises `BackgroundsError` where there
    is none."""
    if not Path(folder).is_dir():
        raise BackgroundsError(f"there is no folder {folder}", "Name one with photographs, or leave the key empty")
    found = sorted(path for path in Path(folder).rglob("*") if path.suffix.lower() in PHOTO_ENDINGS and path.is_file())
    if not found:
        endings = ", ".join(sorted(PHOTO_ENDINGS))
        raise BackgroundsError(
            f"{folder} holds no photograph ({endings})",
            "Put some in, or leave the key empty: all grounds are drawn then",
        )
    return found


def check_headers(photos: Iterable[Path]) -> None:
    """Raise `BackgroundsError` at the first photograph that its header shows to be none."""
    for path in photos:
        try:
            photo_size(path)
        except (OSError, PictureError) as error:
            raise _undecodable(path, error) from error


def _undecodable(path: Path, error: Exception) -> BackgroundsError:
    return BackgroundsError(f"{path} cannot be decoded ({error})", "Take it out of the folder")
