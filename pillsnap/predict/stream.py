"""Answer many photographs in their order; the next ones are decoded while the model runs."""

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace

import numpy as np

from pillsnap.answers.answer import Answer, Mode, SamePillAnswer
from pillsnap.catalogue.search import Found
from pillsnap.hardware import usable_threads
from pillsnap.pictures.decode import PictureError
from pillsnap.pictures.scaled_photo import ScaledPhoto
from pillsnap.predict.model import PillSnap, SamePillError
from pillsnap.predict.open_photo import open_photo
from pillsnap.predict.photo_paths import Photo, Problem, read_photo

DECODERS = 2
"""Decoder threads; more would take the model's cores. At most twice as many decoded photographs are in memory."""

CURES = {
    "photo_missing": "Check the path and who may read it.",
    "file_too_large": "Name a photograph.",
    "photo_empty": "Copy it again, or take it again.",
    "photo_truncated": "Copy it again, or take it again.",
    "photo_unreadable": "Save it as JPEG or PNG.",
    "photo_too_large": "Make it smaller.",
    "photo_too_costly": "Save it again, as a plain JPEG or PNG.",
}
"""Cures, by the reason why a photograph cannot be used."""


@dataclass(frozen=True)
class Answered:
    """An answered photograph, as large as it was decoded.

    Attributes:
        photo, answer, decoded: of two photographs of one pill, the first one's.
        second: the other one, where the answer is a `SamePillAnswer`.
        look_ups: what a catalogue has that looks like pills without a name, by their place from 0.
    """

    photo: Photo
    answer: Answer
    decoded: ScaledPhoto
    second: tuple[Photo, ScaledPhoto] | None = None
    look_ups: Mapping[int, Found] = field(default_factory=dict)
    problem: None = None

    @property
    def picture(self) -> np.ndarray:
        """All pixels, uint8 (H, W, 3); decoded again where the answer needed less."""
        return self.decoded.whole()

    @property
    def shown(self) -> str:
        """The names of its photographs."""
        return f"{self.photo.shown} + {self.second[0].shown}" if self.second else self.photo.shown

    def by_photo(self) -> Iterator[tuple[Photo, np.ndarray, Answer]]:
        """Each photograph with all its pixels, uint8 (H, W, 3), and what the answer says of it."""
        yield self.photo, self.picture, self.answer
        if self.second and isinstance(self.answer, SamePillAnswer):
            view = self.answer.photos[1]
            pill = replace(self.answer.pills[0], box=view.box, score=view.score)
            photo, decoded = self.second
            yield photo, decoded.whole(), Answer(self.answer.mode, view.width, view.height, (pill,))


@dataclass(frozen=True)
class Unusable:
    """A photograph that cannot be used."""

    photo: Photo
    problem: Problem

    @property
    def shown(self) -> str:
        """The photograph's name."""
        return self.photo.shown


Outcome = Answered | Unusable


def predict(snap: PillSnap, photos: Iterable[Photo], mode: Mode) -> Iterator[Outcome]:
    """Answer photographs in their order; one that cannot be used gives a problem and does not stop the others.

    Args:
        snap: the model.
        photos: the requested photographs.
        mode: what each photograph shows.
    """
    workers = usable_threads(DECODERS)
    with ThreadPoolExecutor(workers) as pool:
        pending: deque[tuple[Photo, Future[ScaledPhoto | Problem]]] = deque()
        try:
            for photo in photos:
                pending.append((photo, _submit(pool, photo, snap)))
                if len(pending) == 2 * workers:
                    yield _answered(snap, *pending.popleft(), mode)
            while pending:
                yield _answered(snap, *pending.popleft(), mode)
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _submit(pool: ThreadPoolExecutor, photo: Photo, snap: PillSnap) -> "Future[ScaledPhoto | Problem]":
    if photo.may_block:
        # Ctrl-C could not stop a thread that waits for another program
        data = _read(photo)
        return pool.submit(lambda: _decoded(data, snap))
    return pool.submit(lambda: _decoded(_read(photo), snap))


def _read(photo: Photo) -> bytes | Problem:
    try:
        return photo.problem or read_photo(photo)
    except PictureError as error:
        return _problem(error)


def _decoded(data: bytes | Problem, snap: PillSnap) -> ScaledPhoto | Problem:
    try:
        return data if isinstance(data, Problem) else open_photo(data, snap.facts)
    except PictureError as error:
        return _problem(error)


def _problem(error: PictureError) -> Problem:
    message = error.detail if error.reason == "photo_missing" else f"no usable photograph ({error})"
    return Problem(error.reason, f"{message}. {CURES[error.reason]}")


def _answered(snap: PillSnap, photo: Photo, decoding: "Future[ScaledPhoto | Problem]", mode: Mode) -> Outcome:
    decoded = decoding.result()
    if isinstance(decoded, Problem):
        return Unusable(photo, decoded)
    return Answered(photo, snap.identify(decoded, mode), decoded)


def predict_same_pill(snap: PillSnap, first: Photo, second: Photo) -> list[Outcome]:
    """Answer two photographs of one pill together: one outcome, or the problem of each that cannot be used."""
    photos = (first, second)
    decoded = [_decoded(_read(photo), snap) for photo in photos]
    each = zip(photos, decoded, strict=True)
    problems: list[Outcome] = [Unusable(photo, one) for photo, one in each if isinstance(one, Problem)]
    usable = [one for one in decoded if not isinstance(one, Problem)]
    if problems:
        return problems
    try:
        answer = snap.identify(usable)
    except SamePillError as error:
        return [Unusable(photos[(error.place or 1) - 1], Problem(error.reason, error.detail))]
    return [Answered(first, answer, usable[0], (second, usable[1]))]
