"""Reader processes of the detector: as many as the shared memory has room for."""

import logging

import pytest

from pillsnap.detector import loader
from pillsnap.detector.loader import PREFETCHED, workers_that_fit

BATCH = 3 * 672**2 * 8


@pytest.mark.parametrize(
    ("free", "share", "workers"),
    [
        (None, 0.5, 8),
        (64 * 2**30, 0.5, 8),
        (2 * 8 * PREFETCHED * BATCH, 0.5, 8),
        (2 * 8 * PREFETCHED * BATCH - 2, 0.5, 7),
        (2 * 8 * PREFETCHED * BATCH, 0.25, 4),
        (512 * 2**20, 0.5, 4),
        (64 * 2**20, 0.5, 0),
    ],
)
def test_workers(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, free: int | None, share: float, workers: int
) -> None:
    monkeypatch.setattr(loader, "shared_memory_free", lambda: free)
    with caplog.at_level(logging.WARNING):
        assert workers_that_fit(8, BATCH, share=share) == workers
    assert len(caplog.messages) == (workers < 8)
