"""Draw answers into photographs: boxes, numbers, K-codes, confidences and verdicts."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from pillsnap.answers.answer import Answer, Pill
from pillsnap.files import DiskError, check_writable, replacing
from pillsnap.pictures.decode import MAX_JPEG_SIDE
from pillsnap.pictures.draw import RIGHT, Caption, draw_boxes
from pillsnap.pictures.drawn_mark import DRAWN_BY, PICTURE_FORMATS, drawn_mark, is_drawn
from pillsnap.predict.formats import how_sure
from pillsnap.predict.photo_paths import STDIN, Photo

COLOURS = {"known": RIGHT, "uncertain": "#b35806", "unknown": "#636363"}
"""Colours of boxes, by verdict."""


class TargetError(ValueError):
    """A path that annotated photographs cannot be written to."""


def picture_paths(target: Path, photos: Sequence[Photo]) -> Mapping[str, Path]:
    """Path of each annotated photograph, by `Photo.path`.

    For one photograph the target may be a file with an extension of `PICTURE_FORMATS`. Otherwise it is a folder, which
    repeats the photographs' paths below their common folder, with `.jpg` appended. Annotated photographs of an earlier
    run may be there.

    Raises:
        TargetError: `-`; another extension; a file for several photographs; or another file would be overwritten.
        DiskError: nothing can be written there.
    """
    if str(target) == STDIN:
        raise TargetError("standard output is for the answers. Name a folder or a file.")
    folder = target
    if target.is_dir() or not target.suffix:
        paths = _in_folder(target, [photo.path for photo in photos])
    elif target.suffix.lower() not in PICTURE_FORMATS:
        raise TargetError(f"the extension must be one of {', '.join(PICTURE_FORMATS)}, or none: a folder")
    elif len(photos) > 1:
        raise TargetError(f"{len(photos)} photographs need a folder, not a file")
    else:
        folder, paths = target.parent, {photos[0].path: target}
    originals = {os.path.realpath(photo.path) for photo in photos if photo.path != STDIN}
    for path in paths.values():
        if os.path.realpath(path) in originals:
            raise TargetError(f"{path} is one of the photographs. Name another place.")
        if problem := _in_the_way(path):
            raise TargetError(problem)
    check_writable(folder)
    return paths


def _in_the_way(path: Path) -> str:
    """What is said of a file that must be kept; empty where there is none."""
    if os.path.lexists(path) and not is_drawn(path):
        return f"{path} is there, and was not {DRAWN_BY}. Name another place."
    return ""


def _in_folder(folder: Path, paths: Sequence[str]) -> Mapping[str, Path]:
    files = [path for path in paths if path != STDIN]
    root = os.path.commonpath([Path(file).parent for file in files]) if files else ""
    targets = {file: folder / f"{os.path.relpath(file, root)}.jpg" for file in files}
    if len(files) < len(paths):
        targets[STDIN] = folder / "stdin.jpg"
    if len(set(targets.values())) < len(targets):
        raise TargetError("standard input and a photograph named stdin would share a file. Answer them separately.")
    return targets


def write_answer_picture(picture: np.ndarray, answer: Answer, path: Path) -> None:
    """Write a photograph with its answer drawn in, atomically.

    Args:
        picture: the photograph, uint8 (H, W, 3).
        answer: to that photograph.
        path: with an extension of `PICTURE_FORMATS`; missing folders are created. One that is longer than a JPEG may
            be is reduced.

    Raises:
        OSError: it cannot be written, or another file would be overwritten.
    """
    more = "; more pills" if answer.more_pills else ""
    captions = [
        Caption(pill.box, f"{number} {_caption(pill)}{more}", COLOURS[pill.verdict])
        for number, pill in enumerate(answer.pills, start=1)
    ]
    image = Image.fromarray(draw_boxes(picture, captions))
    kind = PICTURE_FORMATS[path.suffix.lower()]
    if kind == "JPEG":
        image.thumbnail((MAX_JPEG_SIDE, MAX_JPEG_SIDE))
    with replacing(path) as temporary:
        image.save(temporary, format=kind, exif=drawn_mark())
        if problem := _in_the_way(path):  # though not when `picture_paths` looked
            raise DiskError(problem)


def _caption(pill: Pill) -> str:
    best = pill.candidates[0]
    if pill.verdict == "unknown":
        return f"unknown (like {best.k_code})"
    return f"{best.k_code} {how_sure(best, digits=0)} {pill.verdict}"
