"""Create, group, average, describe and load the classifier's timm model."""

import json
from pathlib import Path
from typing import Any

import timm
import torch
from safetensors import safe_open
from safetensors.torch import load_file
from timm.optim import param_groups_layer_decay, param_groups_weight_decay
from torch import nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from pillsnap.config.training import Classifier


class WeightsError(ValueError):
    """Weights that do not fit the model."""


def create_classifier(settings: Classifier, n_classes: int) -> nn.Module:
    """The timm model of the settings with `n_classes` logits and its starting weights; raises `WeightsError`."""
    hub = settings.weights == "pretrained"
    model = timm.create_model(settings.model, pretrained=hub, num_classes=n_classes, **(settings.model_args or {}))
    if settings.weights and not hub:
        state = load_file(settings.weights)
        own = model.state_dict()
        fitting = {key: value for key, value in state.items() if key in own and own[key].shape == value.shape}
        if len(fitting) < len(own) // 2:
            raise WeightsError(
                f"classifier.weights = {settings.weights}: only {len(fitting)} of {len(own)} tensors fit "
                f"{settings.model}. Name weights of the same timm model."
            )
        model.load_state_dict(fitting, strict=False)
    return model


def parameter_groups(model: nn.Module, layer_decay: float) -> list[dict[str, Any]]:
    """Groups of parameters for an optimizer, by layer and by whether they are decayed; norms and biases are not.

    Args:
        model: timm model.
        layer_decay: factor from one layer's learning rate to that of the layer before it.

    Returns:
        groups with `params`, `lr_scale` (factor on the output layer's learning rate) and `decay_scale` (1 or 0).
    """
    undecayed = model.no_weight_decay() if hasattr(model, "no_weight_decay") else set()
    options = {"weight_decay": 1.0, "no_weight_decay_list": undecayed}
    if layer_decay < 1:
        groups = param_groups_layer_decay(model, layer_decay=layer_decay, **options)
    else:
        groups = param_groups_weight_decay(model, **options)
    return [
        {"params": group["params"], "lr_scale": group.get("lr_scale", 1.0), "decay_scale": group["weight_decay"]}
        for group in groups
    ]


class Ema:
    """Exponential moving average (EMA) of a model's weights and batch norm's statistics.

    The lists of tensors are made once: two `state_dict()` calls a step cost milliseconds.

    Args:
        average: changed; a model of the same architecture.
        model: model that is trained; its tensors may change, and not be replaced.
    """

    def __init__(self, average: nn.Module, model: nn.Module) -> None:
        pairs = list(zip(average.state_dict().values(), model.state_dict().values(), strict=True))
        self._floats = tuple(zip(*[pair for pair in pairs if pair[0].is_floating_point()], strict=True))
        self._counts = tuple(zip(*[pair for pair in pairs if not pair[0].is_floating_point()], strict=True))

    @torch.no_grad()
    def update(self, *, decay: float, step: int) -> None:
        """Average the model's weights in, and copy its counts of batches.

        Args:
            decay: decay of the average; less in the first steps.
            step: earlier updates.
        """
        get_ema_multi_avg_fn(min(decay, (1 + step) / (10 + step)))(*self._floats, None)
        if self._counts:
            torch._foreach_copy_(*self._counts)


def preprocessing_of(model: nn.Module) -> dict[str, Any]:
    """Preprocessing of a crop's pixels, as `pillsnap.classifier.transforms` does it: resized, scaled to the value
    range, mean subtracted, divided by std (both by channel: red, green, blue)."""
    statistics = {name: [float(value) for value in model.pretrained_cfg[name]] for name in ("mean", "std")}
    return {"interpolation": "bilinear", "antialias": True, "value_range": [0.0, 1.0]} | statistics


def count_correct(logits: torch.Tensor, targets: torch.Tensor, k: int) -> torch.Tensor:
    """Rows whose target is among the k largest logits, int64 without dimensions."""
    top = logits.topk(min(k, logits.shape[1]), dim=1).indices
    return (top == targets[:, None]).any(dim=1).sum()


def load_classifier(weights: Path, n_classes: int) -> tuple[nn.Module, int]:
    """The model of `train_classifier`, in evaluation mode on the CPU, and the side of its pictures in pixels."""
    with safe_open(weights, framework="pt") as stored:
        facts = json.loads(stored.metadata()["pillsnap"])
        state = {key: stored.get_tensor(key) for key in stored.keys()}  # noqa: SIM118 (not a mapping)
    model = timm.create_model(facts["model"], num_classes=n_classes, **(facts["model_args"] or {}))
    model.load_state_dict(state)
    return model.eval(), facts["image_size"]
