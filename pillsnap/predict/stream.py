"""Answers to many photographs, one after the other; the next ones are decoded while the model is at work."""

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from pillsnap.answers.answer import Answer, Mode
from pillsnap.hardware import usable_threads
from pillsnap.pictures.decode import PictureError, decode_photo
from pillsnap.predict.model import PillSnap
from pillsnap.predict.photo_paths import Photo, Problem, read_photo

DECODERS = 2
"""Threads that decode; more would take the model's cores. Memory holds at most twice as many decoded photographs."""

CURES = {
    "photo_missing": "Check the path and who may read it.",
    "file_too_large": "Name a photograph.",
    "photo_empty": "Copy it again, or take it again.",
    "photo_truncated": "Copy it again, or take it again.",
    "photo_unreadable": "Save it as JPEG or PNG.",
    "photo_too_large": "Make it smaller.",
}
"""What helps, by the reason for which a photograph cannot be used."""


@dataclass(frozen=True)
class Outcome:
    """What became of one photograph: the answer and its pixels, uint8 (H, W, 3), or the problem."""

    photo: Photo
    answer: Answer | None = None
    picture: np.ndarray | None = None
    problem: Problem | None = None


def predict(snap: PillSnap, photos: Iterable[Photo], mode: Mode) -> Iterator[Outcome]:
    """Answer photographs in their order; what cannot be used has its problem and stops none of the others.

    Args:
        snap: the models.
        photos: what is asked for.
        mode: what each photograph shows.
    """
    workers = usable_threads(DECODERS)
    with ThreadPoolExecutor(workers) as pool:
        waiting: deque[tuple[Photo, Future[np.ndarray | Problem]]] = deque()
        try:
            for photo in photos:
                waiting.append((photo, _submit(pool, photo)))
                if len(waiting) == 2 * workers:
                    yield _answered(snap, *waiting.popleft(), mode)
            while waiting:
                yield _answered(snap, *waiting.popleft(), mode)
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _submit(pool: ThreadPoolExecutor, photo: Photo) -> "Future[np.ndarray | Problem]":
    if photo.may_block:
        # a thread that waits for another program could not be stopped by Ctrl-C
        data = _read(photo)
        return pool.submit(lambda: _decoded(data))
    return pool.submit(lambda: _decoded(_read(photo)))


def _read(photo: Photo) -> bytes | Problem:
    try:
        return photo.problem or read_photo(photo)
    except PictureError as error:
        return _problem(error)


def _decoded(data: bytes | Problem) -> np.ndarray | Problem:
    try:
        return data if isinstance(data, Problem) else decode_photo(data)
    except PictureError as error:
        return _problem(error)


def _problem(error: PictureError) -> Problem:
    said = error.detail if error.reason == "photo_missing" else f"no usable photograph ({error})"
    return Problem(error.reason, f"{said}. {CURES[error.reason]}")


def _answered(snap: PillSnap, photo: Photo, decoding: "Future[np.ndarray | Problem]", mode: Mode) -> Outcome:
    picture = decoding.result()
    if isinstance(picture, Problem):
        return Outcome(photo, problem=picture)
    return Outcome(photo, snap.identify(picture, mode), picture)
