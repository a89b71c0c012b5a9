"""ONNX Runtime sessions of exported models."""

import json
from pathlib import Path
from typing import Any

import onnxruntime

from pillsnap.hardware import HardwareError, gpus, usable_threads

PROVIDERS = {
    "cpu": "CPUExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "tensorrt": "TensorrtExecutionProvider",
}
"""Execution providers by device, the fastest last; each falls back on those before it."""


class ModelError(ValueError):
    """A model file or folder that cannot be used."""


def open_session(path: Path, *, threads: int, device: str) -> onnxruntime.InferenceSession:
    """Open a model.

    Args:
        path: the ONNX file.
        threads: intra-op threads, at most the available cores.
        device: `auto` (a GPU where one works), `cpu`, `cuda` or `tensorrt`.

    Raises:
        ModelError: the file is missing, or is not an ONNX graph.
        HardwareError: `cuda` or `tensorrt` was requested and does not work.
    """
    if not path.is_file():
        raise ModelError(f"{path}: there is no such model. Name a folder that export_onnx wrote (results/stage4/onnx).")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = usable_threads(threads)
    options.log_severity_level = 3
    # spinning threads would take the cores from decoding and other work
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    chosen = ("cuda" if gpus() else "cpu") if device == "auto" else device
    names = list(PROVIDERS)
    providers = [PROVIDERS[name] for name in names[names.index(chosen) :: -1]]
    try:
        session = onnxruntime.InferenceSession(path, options, providers=providers)
    except Exception as error:  # ONNX Runtime's errors have no common class
        raise ModelError(f"{path}: ONNX Runtime cannot load it ({error}). Make it again with export_onnx.") from error
    if device in ("cuda", "tensorrt") and device_of(session) != device:
        what = {"cuda": "CUDA device", "tensorrt": "TensorRT"}[device]
        raise HardwareError(f"device = {device}: ONNX Runtime finds no {what} that works. Set device to auto or cpu.")
    return session


def read_metadata(session: onnxruntime.InferenceSession, path: Path, inputs: str) -> dict[str, Any]:
    """Read the metadata that `export_onnx` wrote; raises `ModelError` for another model, or one without this input."""
    stored = session.get_modelmeta().custom_metadata_map.get("pillsnap")
    if stored is None or session.get_inputs()[0].name != inputs:
        raise ModelError(f"{path}: is not a {path.stem} model of PillSnap. Make it with export_onnx.")
    return json.loads(stored)


def device_of(session: onnxruntime.InferenceSession) -> str:
    """The device that ONNX Runtime uses: `tensorrt`, `cuda` or `cpu`."""
    return next(name for name in reversed(PROVIDERS) if PROVIDERS[name] in session.get_providers())
