"""ONNX Runtime sessions for the project's models."""

import json
from pathlib import Path
from typing import Any

import onnxruntime

from pillsnap.hardware import HardwareError, gpus, usable_threads


class ModelError(ValueError):
    """A models folder, or a file of it, that cannot be used."""


def open_session(path: Path, *, threads: int, device: str) -> onnxruntime.InferenceSession:
    """Open a model.

    Args:
        path: ONNX file.
        threads: threads of arithmetic, at most the cores that are there.
        device: `auto` (a GPU where one works), `cpu` or `cuda`.

    Raises:
        ModelError: there is no such file, or it is no ONNX graph.
        HardwareError: `cuda` is asked for and does not work.
    """
    if not path.is_file():
        raise ModelError(f"{path}: there is no such model. Name a folder that export_onnx wrote (results/stage4/onnx).")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = usable_threads(threads)
    options.log_severity_level = 3
    # threads that wait by spinning would take the cores from decoding and from other work
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    providers = ["CPUExecutionProvider"]
    if device == "cuda" or (device == "auto" and gpus()):
        providers.insert(0, "CUDAExecutionProvider")
    try:
        session = onnxruntime.InferenceSession(path, options, providers=providers)
    except Exception as error:  # ONNX Runtime's errors have no common class
        raise ModelError(f"{path}: ONNX Runtime cannot load it ({error}). Make it again with export_onnx.") from error
    if device == "cuda" and "CUDAExecutionProvider" not in session.get_providers():
        raise HardwareError("device = cuda: ONNX Runtime finds no CUDA device that works. Set device to auto or cpu.")
    return session


def facts_of(session: onnxruntime.InferenceSession, path: Path, inputs: str) -> dict[str, Any]:
    """What `export_onnx` wrote into a model; raises `ModelError` where it is none of its models with this input."""
    stored = session.get_modelmeta().custom_metadata_map.get("pillsnap")
    if stored is None or session.get_inputs()[0].name != inputs:
        raise ModelError(f"{path}: is no {path.stem} of PillSnap. Make it with export_onnx.")
    return json.loads(stored)


def device_of(session: onnxruntime.InferenceSession) -> str:
    """`cuda` or `cpu`, by what ONNX Runtime really uses."""
    return "cuda" if "CUDAExecutionProvider" in session.get_providers() else "cpu"
