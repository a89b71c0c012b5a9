"""A GPU that ONNX Runtime uses, played by the CPU: sessions that say they are on one, and keep what they are asked."""

import threading
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest

from pillsnap.predict.sessions import PROVIDERS, open_session


class PlayedCard:
    """Opens sessions as `open_session` does; those that are asked for on CUDA are on this card.

    Attributes:
        batches: number of pictures of each run on the card, by the name of the graph's file.
        on_cpu: names of the files that were opened on the CPU.
        most_pictures: a batch of more runs out of memory.
        busy: held by the run that computes: two at a time are an error.
    """

    def __init__(self, most_pictures: int = 1024) -> None:
        self.batches: dict[str, list[int]] = {}
        self.on_cpu: set[str] = set()
        self.most_pictures = most_pictures
        self.busy = threading.Lock()

    def open(self, path: Path, *, threads: int, device: str) -> Any:
        session = open_session(path, threads=threads, device="cpu")
        if device == "cpu":
            self.on_cpu.add(path.name)
            return session
        return _Session(session, self, path.name)

    def plug_in(self, monkeypatch: pytest.MonkeyPatch, *modules: str) -> "PlayedCard":
        """Have these modules open their sessions here."""
        for module in modules:
            monkeypatch.setattr(f"{module}.open_session", self.open)
        return self


class _Session:
    def __init__(self, session: onnxruntime.InferenceSession, card: PlayedCard, name: str) -> None:
        self._session, self._card, self._name = session, card, name

    def get_providers(self) -> list[str]:
        return [PROVIDERS["cuda"], PROVIDERS["cpu"]]

    def run(self, outputs: list[str] | None, given: dict[str, np.ndarray]) -> list[np.ndarray]:
        assert self._card.busy.acquire(blocking=False), "two runs at a time take memory for two batches"
        try:
            pictures = next(iter(given.values()))
            count = len(pictures) if pictures.ndim == 4 else 1
            if count > self._card.most_pictures:
                raise RuntimeError("[ONNXRuntimeError] : Failed to allocate memory for requested buffer of size 1")
            self._card.batches.setdefault(self._name, []).append(count)
            return self._session.run(outputs, given)
        finally:
            self._card.busy.release()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._session, name)
