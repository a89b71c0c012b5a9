"""ONNX Runtime sessions of exported models."""

import contextlib
import ctypes
import functools
import io
import json
import logging
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from pillsnap.cuda import cuda_driver
from pillsnap.hardware import HardwareError, usable_threads

log = logging.getLogger(__name__)

PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}
"""Execution providers by device."""
CUDA_OPTIONS = {
    # exhaustive search, the default, times every algorithm anew for each number of pills
    "cudnn_conv_algo_search": "HEURISTIC",
    # FP32 is computed as FP32: who wants speed takes the FP16 graph
    "use_tf32": "0",
    # by default the arena doubles, and several sessions share one GPU
    "arena_extend_strategy": "kSameAsRequested",
}
MEMORY_ENDS = re.compile(r"failed to allocate|out of memory|ALLOC_FAILED", re.IGNORECASE)
"""In an error of ONNX Runtime, CUDA, cuBLAS or cuDNN where the device's memory ends."""
RELATIVE = "relative_distances"
"""Output of a graph: how unlike every trained drug a pill is, less how odd a pill it is."""


class ModelError(ValueError):
    """A model file or folder that cannot be used."""


def open_session(path: Path, *, threads: int, device: str) -> onnxruntime.InferenceSession:
    """Open a model.

    Args:
        path: the ONNX file.
        threads: intra-op threads, at most the available cores.
        device: `auto` (a GPU where one works; a warning says why one that is there does not), `cpu` or `cuda`.

    Raises:
        ModelError: the file is missing, or is not an ONNX graph.
        HardwareError: `cuda` was requested and does not work.
    """
    if not path.is_file():
        raise ModelError(f"{path}: there is no such model. Name a folder that export_onnx wrote (results/stage4/onnx).")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = usable_threads(threads)
    options.log_severity_level = 3
    # threads that sleep between operators wake too late to be of use; those that spin on after an answer would take the
    # cores from decoding and other work
    options.add_session_config_entry("session.intra_op.allow_spinning", "1")
    options.add_session_config_entry("session.force_spinning_stop", "1")
    if device == "cuda" or (device == "auto" and _has_gpu()):
        try:
            return _open_on_cuda(path, options)
        except HardwareError as error:
            if device == "cuda":
                raise HardwareError(f"device = cuda: {error} Set device to auto or cpu.") from error
            _warn_once(str(error))
    return _open_on_cpu(path, options)


def _open_on_cpu(path: Path, options: onnxruntime.SessionOptions) -> onnxruntime.InferenceSession:
    try:
        return onnxruntime.InferenceSession(path, options, providers=[PROVIDERS["cpu"]])
    except Exception as error:  # ONNX Runtime's errors have no common class
        raise ModelError(f"{path}: ONNX Runtime cannot load it ({error}). Make it again with export_onnx.") from error


def _open_on_cuda(path: Path, options: onnxruntime.SessionOptions) -> onnxruntime.InferenceSession:
    """Open a model on the first GPU that is visible; raises `HardwareError` with the library's own reason."""
    _preload_cuda()
    providers = [(PROVIDERS["cuda"], CUDA_OPTIONS), PROVIDERS["cpu"]]
    try:
        # the fallback prints to standard output, and answers on the CPU
        session = onnxruntime.InferenceSession(path, options, providers=providers, enable_fallback=0)
    except Exception as error:  # ONNX Runtime's errors have no common class
        _open_on_cpu(path, options)  # a file that is no model is no fault of CUDA
        raise HardwareError(f"ONNX Runtime cannot use CUDA ({_shortened(str(error))}).") from error
    if device_of(session) != "cuda":
        reason = why_no_cuda() or "its CUDA provider loads, and finds no device that works"
        raise HardwareError(f"ONNX Runtime cannot use CUDA ({reason}).")
    return session


@functools.cache
def _preload_cuda() -> None:
    """Load CUDA's libraries from the wheels beside ONNX Runtime, which does not look for them there."""
    said = io.StringIO()
    with contextlib.redirect_stdout(said):  # answers go to standard output
        onnxruntime.preload_dlls()
    if said.getvalue():
        log.debug("%s", said.getvalue().strip())


def why_no_cuda() -> str:
    """Why ONNX Runtime's CUDA provider does not load, empty where it does: a session only writes it to standard error,
    and goes on without."""
    _preload_cuda()
    if PROVIDERS["cuda"] not in onnxruntime.get_available_providers():
        return "this build has no CUDA: install onnxruntime-gpu in place of onnxruntime"
    library = Path(onnxruntime.__file__).parent / "capi" / "libonnxruntime_providers_cuda.so"
    try:
        ctypes.CDLL(str(library))
    except OSError as error:
        return str(error)
    return ""


def _shortened(error: str) -> str:
    """CUDA's own words in an error of ONNX Runtime, which wraps them in C++ signatures and the host's name."""
    found = re.search(r"\b[A-Z]+ failure \d+: [^;]*", error) or re.search(r"\[ONNXRuntimeError\].*", error)
    return (found[0] if found else error).strip()


def _has_gpu() -> bool:
    driver = cuda_driver()
    if driver and driver.error:
        _warn_once(f"CUDA's driver cannot be used ({driver.error}).")
    return bool(driver and driver.devices)


@functools.cache
def _warn_once(reason: str) -> None:
    log.warning(
        "NO GPU IS USED, answers are computed on the CPU: %s See `pillsnap doctor`, or set device to cpu.", reason
    )


def run_batch(
    session: onnxruntime.InferenceSession, outputs: Sequence[str] | None, inputs: str, pictures: np.ndarray
) -> list[np.ndarray]:
    """Compute outputs, by name or all, for pictures, (N, ...), in one batch; in two halves where memory ends for it."""
    try:
        return session.run(outputs, {inputs: pictures})
    except Exception as error:  # ONNX Runtime's errors have no common class
        if len(pictures) == 1 or not MEMORY_ENDS.search(str(error)):
            raise
    halves = (run_batch(session, outputs, inputs, half) for half in np.array_split(pictures, 2))
    return [np.concatenate(both) for both in zip(*halves, strict=True)]


def read_metadata(session: onnxruntime.InferenceSession, path: Path, inputs: str) -> dict[str, Any]:
    """Read the metadata that `export_onnx` wrote; raises `ModelError` for another model, or one without this input."""
    stored = session.get_modelmeta().custom_metadata_map.get("pillsnap")
    if stored is None:
        raise ModelError(f"{path}: is not a model of PillSnap. Make it with export_onnx.")
    if (given := session.get_inputs()[0].name) != inputs:
        raise ModelError(
            f"{path}: is another of export_onnx's models, which takes {given} and not {inputs}. Name their folder; if "
            "that was named, make them again with export_onnx."
        )
    return json.loads(stored)


def distances_of_verdicts(session: onnxruntime.InferenceSession) -> str:
    """Name of the output that verdicts rest on: models of older versions give the Mahalanobis distance alone."""
    return RELATIVE if RELATIVE in {output.name for output in session.get_outputs()} else "distances"


def device_of(session: onnxruntime.InferenceSession) -> str:
    """The device that ONNX Runtime uses: `cuda` or `cpu`."""
    return "cuda" if PROVIDERS["cuda"] in session.get_providers() else "cpu"
