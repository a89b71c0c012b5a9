"""Limits of the service."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """Limits of requests and of the queue.

    Attributes:
        max_bytes: of a photograph's file.
        max_pixels: of a photograph, by its header, before it is decoded.
        seconds: from a request's headers to its answer, upload and waiting included.
        waiting: requests that may wait besides those in progress.
        workers: photographs processed at a time, each by one thread.
        stop_seconds: that photographs under way may take once the service is told to stop.
    """

    max_bytes: int = 20_000_000
    max_pixels: int = 50_000_000
    seconds: float = 30.0
    waiting: int = 16
    workers: int = 2
    stop_seconds: float = 8.0
