"""Build, save and load the detector: ultralytics kept offline, checkpoints never unpickled unchecked."""

import json
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import nn

from pillsnap.files import replacing
from pillsnap.hardware import use_threads

NAMES = {0: "pill"}
PREPROCESSING = {"letterbox": {"fill": 114, "centred": True}, "channels": "RGB", "divided_by": 255}
"""Preprocessing of a photograph: `pillsnap.predict.letterbox`, then scaled to 0 to 1."""

KNOWN_PREFIXES = ("ultralytics.", "torch.nn.", "numpy.", "pathlib.")
"""Allowed modules of the classes in an ultralytics checkpoint."""


class WeightsError(ValueError):
    """Weights that do not exist, cannot be read, or are not a detector's."""


def prepare_ultralytics(folder: Path) -> None:
    """Keep ultralytics offline, away from unchecked pickles, and its settings inside `folder`; call it before the first
    import of ultralytics."""
    folder.mkdir(parents=True, exist_ok=True)
    os.environ |= {
        "YOLO_CONFIG_DIR": str(folder.absolute()),
        "YOLO_OFFLINE": "true",
        "YOLO_AUTOINSTALL": "false",
        "YOLO_VERBOSE": "false",
        # models are built from their description without `eval`, checkpoints loaded with `weights_only`
        "ULTRALYTICS_SAFE_LOAD": "true",
    }
    from ultralytics import settings

    settings.update({"sync": False, "dvc": False, "tensorboard": False, "wandb": False, "mlflow": False})


def set_threads_on(model: Any, event: str, threads: int) -> None:
    """Set torch's threads in a callback of `event`: ultralytics leaves one core idle, half of a two-core machine."""
    model.add_callback(event, lambda _: use_threads(threads))


def build_detector(description: str | Mapping[str, Any], classes: int = len(NAMES)) -> nn.Module:
    """An ultralytics `DetectionModel` with random weights.

    Args:
        description: name of a `.yaml` that ultralytics brings, or its content.
        classes: number of classes.
    """
    from ultralytics.nn.tasks import DetectionModel

    model = DetectionModel(dict(description) if isinstance(description, Mapping) else description, nc=classes)
    model.names = dict(NAMES) if classes == len(NAMES) else model.names
    return model


def save_detector(path: Path, model: nn.Module, *, image_size: int, half: bool = False) -> None:
    """Write weights as safetensors; the metadata's entry `pillsnap` holds model and preprocessing as JSON.

    Args:
        path: written.
        model: an ultralytics detection model.
        image_size: side of its input in pixels.
        half: in FP16 instead of FP32.
    """
    facts = {"model": model.yaml, "image_size": image_size, "names": list(NAMES.values())}
    # safetensors writes several entries in a random order: one entry keeps the bytes the same
    metadata = {"pillsnap": json.dumps(facts | {"preprocessing": PREPROCESSING})}
    weights = {
        name: _plain(value, torch.float16 if half else torch.float32) for name, value in model.state_dict().items()
    }
    with replacing(path) as temporary:
        save_file(weights, temporary, metadata=metadata)


def load_detector(path: Path) -> nn.Module:
    """Load the detection model of `save_detector`: on the CPU, FP32, in evaluation mode.

    Raises:
        WeightsError: the file does not exist, or is not one of `save_detector`.
    """
    try:
        with safe_open(path, framework="pt") as stored:
            facts = json.loads((stored.metadata() or {})["pillsnap"])
            state = {key: stored.get_tensor(key) for key in stored.keys()}  # noqa: SIM118 (not a mapping)
    except (OSError, SafetensorError, KeyError, json.JSONDecodeError) as error:
        raise WeightsError(
            f"{path}: no weights of a detector ({type(error).__name__}: {error}). Name a best.safetensors of "
            "train_detector."
        ) from error
    model = build_detector(facts["model"], len(facts["names"]))
    model.load_state_dict(state)
    return model.eval()


def save_ultralytics_checkpoint(
    path: Path, model: nn.Module, *, image_size: int, train_args: Mapping[str, Any]
) -> None:
    """Write an ultralytics checkpoint, FP16, for `YOLO(path)`, reproducibly: it has no date, path or host.

    Args:
        path: written.
        model: an ultralytics detection model; it is changed to FP16.
        image_size: side of its input in pixels.
        train_args: more training arguments, for information.
    """
    import ultralytics

    model.args = {"task": "detect", "imgsz": image_size}
    for parameter in model.parameters():
        parameter.requires_grad = False
    unknown = dict.fromkeys(("ema", "updates", "optimizer", "train_results", "date", "git"))
    content = {"epoch": -1, "model": model.half().eval(), "version": ultralytics.__version__, **unknown}
    content["train_args"] = _interned({**train_args, "task": "detect", "imgsz": image_size, "single_cls": True})
    for module in model.modules():
        vars(module).update(
            {name: _interned(value) for name, value in vars(module).items() if name in _TEXT_ATTRIBUTES}
        )
    with replacing(path) as temporary, temporary.open("wb") as stream:
        torch.save(content, stream)


_TEXT_ATTRIBUTES = ("yaml", "args", "names", "type", "mode")
"""Attributes of a detector's modules that hold texts."""


def _interned(value: Any) -> Any:
    """The value with one object for equal texts: otherwise its pickle depends on the process that made it."""
    if isinstance(value, str):
        return sys.intern(value)
    if isinstance(value, Mapping):
        return {_interned(key): _interned(each) for key, each in value.items()}
    return [_interned(each) for each in value] if isinstance(value, list) else value


def start_model(model: str) -> nn.Module:
    """The one-class detection model that a training starts from.

    Args:
        model: name of an ultralytics `.yaml`: random weights; path of a `.pt` (ultralytics) or `.safetensors` (of
            `save_detector`) file: its weights, as far as they fit one class.

    Raises:
        WeightsError: the file does not exist, or has no detector's weights.
    """
    if model.endswith(".yaml"):
        return build_detector(model)
    source = load_weights(Path(model))
    started = build_detector(source.yaml)
    started.load(source, verbose=False)
    return started


def load_weights(path: Path) -> nn.Module:
    """The detection model, with its own classes, of safetensors of `save_detector` or of an ultralytics `.pt`: on the
    CPU, FP32, in evaluation mode.

    Raises:
        WeightsError: the file does not exist, or has no detector's weights.
    """
    return (load_detector if path.suffix == ".safetensors" else _foreign_detector)(path).eval()


class _Placeholder:
    """Placeholder for every class that a checkpoint names: it keeps the stored attributes and runs no code."""

    def __new__(cls, *_: object) -> "_Placeholder":
        return super().__new__(cls)

    def __init__(self, *_: object) -> None:
        pass

    def __setstate__(self, state: object) -> None:
        self.__dict__.update(state if isinstance(state, dict) else {})


def _foreign_detector(path: Path) -> nn.Module:
    """The detection model in an ultralytics checkpoint, from its description and its tensors alone."""
    content = _load_without_code(path)
    stored = content.get("ema") or content.get("model") if isinstance(content, dict) else None
    description = getattr(stored, "yaml", None)
    if not isinstance(description, dict):
        raise WeightsError(
            f"detector.model = {path}: holds no ultralytics model. Name a .pt that ultralytics saved, or a "
            "best.safetensors of train_detector."
        )
    model = build_detector(description, description["nc"])
    state = {name: value.float() if value.is_floating_point() else value for name, value in _tensors(stored, "")}
    try:
        model.load_state_dict(state)
    except RuntimeError as error:
        raise WeightsError(f"detector.model = {path}: its tensors do not fit its own description: {error}") from error
    return model


def _load_without_code(path: Path) -> Any:
    try:
        names = torch.serialization.get_unsafe_globals_in_checkpoint(path)
    except (OSError, ValueError, RuntimeError) as error:
        raise WeightsError(
            f"detector.model = {path}: cannot be read ({error}). Name a .yaml that ultralytics brings, or the path of "
            "a .pt or .safetensors file."
        ) from error
    if foreign := sorted(name for name in names if not name.startswith(KNOWN_PREFIXES)):
        raise WeightsError(
            f"detector.model = {path}: would run {', '.join(foreign)}, which no detector's weights need. "
            "It was not loaded; do not use this file."
        )
    placeholders: list[Callable | tuple[Callable, str]] = [(_Placeholder, name) for name in names]
    with torch.serialization.safe_globals(placeholders):
        return torch.load(path, map_location="cpu", weights_only=True)


def _tensors(module: Any, prefix: str) -> list[tuple[str, torch.Tensor]]:
    """Names and tensors of a stored module, as in its `state_dict`."""
    unsaved: set[str] = getattr(module, "_non_persistent_buffers_set", set())
    own = {**module._parameters, **{key: value for key, value in module._buffers.items() if key not in unsaved}}
    tensors = [(prefix + name, value.detach()) for name, value in own.items() if value is not None]
    for name, child in module._modules.items():
        if child is not None:
            tensors += _tensors(child, f"{prefix}{name}.")
    return tensors


def _plain(value: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    value = value.detach().cpu()
    return (value.to(dtype) if value.is_floating_point() else value).contiguous().clone()
