"""How threads of arithmetic best wait for work, for benchmarks/answers.py."""

import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from pillsnap.identify import question, read_picture
from pillsnap.latency import side_by_side
from pillsnap.sessions import PROVIDERS, WAITING, facts_of

WAYS: dict[str, Mapping[str, str]] = {
    "spins_shortly": WAITING,
    "sleeps": {"session.intra_op.allow_spinning": "0"},
    "spins": {"session.intra_op.allow_spinning": "1"},
}
"""Options of ONNX Runtime; PillSnap's own first, ONNX Runtime's last."""
MACHINES = ("idle", "one_core_busy")


def measure_waiting(models: Path, photos: Sequence[bytes], *, threads: int, count: int, warmup: int) -> dict[str, Any]:
    """`side_by_side` of the fused graph on combos, by the machine's state: nothing else runs, or one core is busy."""
    path = models / "pipeline.onnx"
    ways = {name: _asking(path, options, threads) for name, options in WAYS.items()}
    found = {}
    for machine in MACHINES:
        with _busy() if machine == "one_core_busy" else nullcontext():
            found[machine] = side_by_side(ways, photos, count=count, warmup=warmup)
    return found


def _asking(path: Path, waiting: Mapping[str, str], threads: int) -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    for name, value in waiting.items():
        options.add_session_config_entry(name, value)
    session = onnxruntime.InferenceSession(path, options, providers=[PROVIDERS["cpu"]])
    asked: dict[str, np.ndarray] = question("combo", facts_of(session, path, "photo"))
    return lambda photo: session.run(None, {"photo": read_picture(photo), **asked})


@contextmanager
def _busy() -> Iterator[None]:
    """A process computes until the block ends."""
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as process:
        try:
            yield
        finally:
            process.kill()
