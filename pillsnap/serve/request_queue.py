"""Bounded queue of requests in front of a few worker threads, with a time limit for each request."""

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from pillsnap.answers.answer import Answer
from pillsnap.pictures.decode import PictureError
from pillsnap.pictures.scaled_photo import ScaledPhoto
from pillsnap.predict.model import PillSnap, SamePillError
from pillsnap.predict.open_photo import open_photo
from pillsnap.serve.errors import RETRY_SECONDS, ServiceError, picture_error, same_pill_error, upload_slow
from pillsnap.serve.form import Form
from pillsnap.serve.kept import Kept
from pillsnap.serve.limits import Limits
from pillsnap.serve.metrics import Metrics

Given = TypeVar("Given")
Result = TypeVar("Result")

_RETRY = {"Retry-After": str(RETRY_SECONDS)}


class RequestQueue:
    """Admits as many photographs at a time as the limits allow, and answers them in worker threads."""

    def __init__(self, snap: PillSnap, limits: Limits, metrics: Metrics, kept: Kept | None) -> None:
        self.snap, self._limits, self._metrics, self._kept = snap, limits, metrics, kept
        self._pool = ThreadPoolExecutor(limits.workers, thread_name_prefix="answer")
        self._lock = threading.Lock()
        self._admitted, self._running = 0, 0
        self.stopping = False
        self._stopped = 0.0
        metrics.waiting.set_function(lambda: self._admitted - self._running)
        metrics.running.set_function(lambda: self._running)

    async def answer(self, read: Callable[[], Awaitable[Form]]) -> tuple[Answer, str, str | None]:
        """Read a form and answer its photograph, or its two of one pill.

        Returns:
            the answer, the model that gave it, and the ID under which photograph and answer are kept; raises as `run`.
        """
        return await self.run(read, self._answer)

    async def run(self, read: Callable[[], Awaitable[Given]], work: Callable[[Given], Result]) -> Result:
        """Read a form and have a thread work on it.

        A photograph that times out before a thread takes it is dropped. One that a thread has taken keeps its place
        until the thread is done, so that the bound holds even after its client was sent a timeout.

        Raises:
            ServiceError: 400, 413 or 422 (the photograph), 408 or 504 (time limit), 429 (queue full), 503 (stopping,
                also in the midst of it), and what `read` raises.
        """
        self._admit()
        begun: Future[Result] | None = None
        try:
            async with asyncio.timeout(self._limits.seconds):
                form = await read()
                begun = self._pool.submit(self._counted, work, form)
                return await asyncio.wrap_future(begun)
        except TimeoutError:
            raise self._timeout_error(uploaded=begun is not None) from None
        except asyncio.CancelledError:
            if not self.stopping:
                raise
            raise self._stopping_error() from None
        except PictureError as error:
            raise picture_error(error) from error
        except SamePillError as error:
            raise same_pill_error(error) from error
        finally:
            if begun is None or begun.cancel() or begun.done():
                self._release()
            else:
                begun.add_done_callback(lambda _: self._release())

    def stop(self) -> None:
        """Refuse new photographs; those under way have `stop_seconds` from now on."""
        if not self.stopping:
            self._stopped = time.monotonic()
        self.stopping = True

    def close(self) -> int:
        """End the threads, once their current photographs are answered or their time is over.

        Returns:
            the number of photographs that are still worked on, which no thread can be told to leave.
        """
        self._pool.shutdown(wait=False, cancel_futures=True)
        while self._running and time.monotonic() < self._stopped + self._limits.stop_seconds:
            time.sleep(0.02)
        return self._running

    def _admit(self) -> None:
        if self.stopping:
            raise self._stopping_error()
        with self._lock:
            if self._admitted >= self._limits.workers + self._limits.waiting:
                cure = f"Try again in {RETRY_SECONDS} s."
                raise ServiceError(429, "busy", "Too many photographs are waiting.", cure, _RETRY)
            self._admitted += 1

    def _release(self) -> None:
        with self._lock:
            self._admitted -= 1

    def _answer(self, form: Form) -> tuple[Answer, str, str | None]:
        snap = self.snap
        model = snap.info.sha256[:12]
        with self._metrics.answer_seconds.time():
            photos = [self._decoded(form, place) for place in range(len(form.photos))]
            answer = snap.identify(photos if len(photos) > 1 else photos[0], form.mode)
        # a correction is one of a photograph, so two that were answered together are not kept
        kept = self._kept.keep(photos[0].whole(), answer, model) if self._kept and len(photos) == 1 else None
        return answer, model, kept

    def _decoded(self, form: Form, place: int) -> ScaledPhoto:
        """A photograph of the form; raises `PictureError`, which says which of two it is."""
        try:
            return open_photo(form.photos[place], self.snap.facts, max_pixels=self._limits.max_pixels)
        except PictureError as error:
            if len(form.photos) == 1:
                raise
            raise PictureError(error.reason, f"photograph {place + 1}: {error.detail}") from error

    def _counted(self, work: Callable[[Given], Result], given: Given) -> Result:
        with self._lock:
            self._running += 1
        try:
            return work(given)
        finally:
            with self._lock:
                self._running -= 1

    def _stopping_error(self) -> ServiceError:
        return ServiceError(503, "stopping", "The service is stopping.", "Try again in a while.", _RETRY)

    def _timeout_error(self, *, uploaded: bool) -> ServiceError:
        seconds = self._limits.seconds
        if not uploaded:
            return upload_slow(seconds)
        return ServiceError(
            504, "time_limit", f"No answer within {seconds:g} s.", "Try again, or send a smaller picture."
        )
