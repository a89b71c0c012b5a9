"""Check ONNX Runtime with CUDA in a process of its own, which does not import torch, as `pillsnap predict` runs."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from pillsnap.preflight.gpu_check.rows import NotCheckedError, Row, Verdict

PILLS = range(1, 9)
STEADY = 20
ERRORS = {"fp32": 0.01, "fp16": 0.02}
"""Largest errors of logits on a GPU, on noise: in FP32 by `logit_error`, for sums of another order, and no TF32; in
FP16 in parts of the largest logit, ten times what it is on the CPU (0.002, built-in data)."""
CURES = {
    "fp32": "The GPU answers otherwise than the CPU: set device to cpu, and report it",
    "fp16": "Name pipeline.onnx, not pipeline.fp16.onnx, with --models: this GPU answers otherwise in FP16",
}
SECONDS = 180


def check_onnx_runtime(models: Path, device: str) -> Iterator[Row]:
    """Classify noise with the exported classifier in FP32 and FP16.

    Args:
        models: folder of `export_onnx`.
        device: `cuda` or `cpu`.
    """
    import onnxruntime  # noqa: F401 (whether it is there)

    if not (models / "classifier.onnx").is_file():
        raise NotCheckedError(f"there are no models in {models}: name a folder of export_onnx with --models")
    command = [sys.executable, "-m", "pillsnap.preflight.gpu_check.onnx_runtime", str(models), device]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=SECONDS)
    if done.returncode:
        said = (done.stderr.strip().splitlines() or ["no message"])[-1]
        yield Row("ONNX Runtime", said, device, Verdict.failed, "Run pillsnap doctor; see its finding CUDA")
        return
    for precision, found in json.loads(done.stdout).items():
        limit = ERRORS[precision]
        wrong = not found["max_logit_error"] <= limit  # of NaN, too
        times = ", ".join(f"{pills}: {one['steady_ms']:.1f}" for pills, one in found["pills"].items())
        text = f"logits off by {found['max_logit_error']:.4f}; ms by number of pills {times}"
        text += f"; the first call {found['pills']['1']['first_ms']:.0f} ms"
        needed = f"logits off by <= {limit}"
        cure = CURES[precision] if wrong else ""
        verdict = Verdict.failed if wrong else Verdict.ok
        yield Row(f"ONNX Runtime {precision}", text, needed, verdict, cure, found)


def measure(models: Path, device: str) -> dict[str, Any]:
    """By precision: `max_logit_error` against the CPU in FP32 (see `ERRORS`), and milliseconds of the `first` call with
    so many pills and of the `steady` ones after it (median)."""
    from pillsnap.onnx.logit_error import logit_error
    from pillsnap.predict.sessions import open_session

    plain = open_session(models / "classifier.onnx", threads=1, device="cpu")
    side = plain.get_inputs()[0].shape[1]
    crops = np.random.default_rng(0).integers(0, 256, (PILLS[-1], side, side, 3), np.uint8)
    expected = plain.run(["logits"], {"crops": crops})[0]
    found = {}
    for precision, file in (("fp32", "classifier.onnx"), ("fp16", "classifier.fp16.onnx")):
        session = open_session(models / file, threads=1, device=device)
        times = {}
        for pills in PILLS:
            seconds = []
            for _ in range(1 + STEADY):
                start = time.perf_counter()
                session.run(["logits"], {"crops": crops[:pills]})
                seconds.append(time.perf_counter() - start)
            times[pills] = {"first_ms": seconds[0] * 1000, "steady_ms": float(np.median(seconds[1:])) * 1000}
        logits = session.run(["logits"], {"crops": crops})[0]
        share = float(np.abs(logits - expected).max() / np.abs(expected).max())
        error = logit_error(expected, logits) if precision == "fp32" else share
        found[precision] = {"max_logit_error": error, "pills": times}
    return found


if __name__ == "__main__":
    measured = measure(Path(sys.argv[1]), sys.argv[2])
    if "torch" in sys.modules:
        sys.exit("torch was imported, which loads CUDA's libraries for ONNX Runtime")
    print(json.dumps(measured))
