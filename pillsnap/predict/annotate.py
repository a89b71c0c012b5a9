"""Photographs with their answers drawn in: boxes, numbers, K-codes, confidences and verdicts."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from pillsnap.answers.answer import Answer, Pill
from pillsnap.files import replacing
from pillsnap.pictures.draw import RIGHT, Caption, draw_boxes
from pillsnap.predict.photo_paths import STDIN, Photo

PICTURE_FORMATS = {".jpg": "JPEG", ".jpeg": "JPEG", ".png": "PNG"}
"""Endings that a picture may be written with."""

COLOURS = {"known": RIGHT, "uncertain": "#b35806", "unknown": "#636363"}
"""Of the boxes, by verdict."""


class TargetError(ValueError):
    """A place to which the pictures cannot be written."""


def picture_paths(target: Path, photos: Sequence[Photo]) -> Mapping[str, Path]:
    """Where each photograph's picture is written, by `Photo.place`.

    One photograph may have a file, whose ending is one of `PICTURE_FORMATS`. Otherwise the target is a folder: there
    each picture has its photograph's path below the folder that holds them all, with `.jpg` behind it.

    Raises:
        TargetError: the ending is another one; a file for several photographs; a photograph would be overwritten.
    """
    if target.is_dir() or not target.suffix:
        paths = _in_folder(target, [photo.place for photo in photos])
    elif target.suffix.lower() not in PICTURE_FORMATS:
        raise TargetError(f"the ending must be one of {', '.join(PICTURE_FORMATS)}, or none: a folder")
    elif len(photos) > 1:
        raise TargetError(f"{len(photos)} photographs need a folder, not a file")
    else:
        paths = {photos[0].place: target}
    originals = {os.path.realpath(photo.place) for photo in photos if photo.place != STDIN}
    for path in paths.values():
        if os.path.realpath(path) in originals:
            raise TargetError(f"{path} is one of the photographs. Name another place.")
    return paths


def _in_folder(folder: Path, places: Sequence[str]) -> Mapping[str, Path]:
    files = [place for place in places if place != STDIN]
    root = os.path.commonpath([Path(file).parent for file in files]) if files else ""
    paths = {file: folder / f"{os.path.relpath(file, root)}.jpg" for file in files}
    if len(files) < len(places):
        paths[STDIN] = folder / "stdin.jpg"
    if len(set(paths.values())) < len(paths):
        raise TargetError("standard input would have the name of another photograph, stdin. Name it apart.")
    return paths


def write_answer_picture(picture: np.ndarray, answer: Answer, path: Path) -> None:
    """Write a photograph, uint8 (H, W, 3), with its answer drawn in, whole or not at all.

    Args:
        picture: what was answered.
        answer: of that photograph.
        path: ends with one of `PICTURE_FORMATS`; its folders are made.
    """
    captions = [
        Caption(pill.box, f"{number} {_words(pill)}", COLOURS[pill.verdict])
        for number, pill in enumerate(answer.pills, start=1)
    ]
    with replacing(path) as temporary:
        Image.fromarray(draw_boxes(picture, captions)).save(temporary, format=PICTURE_FORMATS[path.suffix.lower()])


def _words(pill: Pill) -> str:
    best = pill.candidates[0]
    if pill.verdict == "unknown":
        return f"unknown (like {best.k_code})"
    return f"{best.k_code} {best.confidence:.0%} {pill.verdict}"
