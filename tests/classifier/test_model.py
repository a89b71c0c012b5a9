"""The classifier's model: starting weights, groups of parameters, the moving average."""

import copy
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from safetensors.torch import load_file, save_file

from pillsnap.classifier.model import Ema, WeightsError, count_correct, create_classifier, parameter_groups
from tests.support.models import CLASSIFIER, DRUGS, recipe, trained_classifier


@pytest.fixture(scope="module")
def weights(base: Path) -> Path:
    """Delivered weights of three drugs."""
    return trained_classifier(base)["best"]


@pytest.mark.parametrize(
    ("names", "fits"),
    [
        (lambda name: True, True),
        (lambda name: not name.startswith("head."), True),
        (lambda name: "head" in name, False),
    ],
    ids=["all", "another head", "head alone"],
)
def test_starting_weights(weights: Path, tmp_path: Path, names: Any, fits: bool) -> None:
    state = {name: value for name, value in load_file(weights).items() if names(name)}
    save_file(state, tmp_path / "start.safetensors")
    settings = recipe(weights=str(tmp_path / "start.safetensors"))
    if not fits:
        with pytest.raises(WeightsError, match=r"classifier\.weights = .*Name weights of the same timm model"):
            create_classifier(settings, len(DRUGS))
        return
    own = create_classifier(settings, len(DRUGS)).state_dict()
    assert all(torch.equal(own[name], value) for name, value in state.items())


def test_weights_of_another_number_of_drugs_keep_their_trunk(weights: Path) -> None:
    own, given = create_classifier(recipe(weights=str(weights)), 7).state_dict(), load_file(weights)
    same = {name for name, value in given.items() if value.shape == own[name].shape and torch.equal(own[name], value)}
    assert {name.split(".")[0] for name in given if name not in same} == {"fc"}


def test_pretrained_asks_the_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    monkeypatch.setattr(timm, "create_model", lambda name, **words: asked.append((name, words)))
    create_classifier(recipe(model="hf-hub:timm/resnet18.a1_in1k", weights="pretrained"), 5)
    assert asked == [("hf-hub:timm/resnet18.a1_in1k", {"pretrained": True, "num_classes": 5})]


@pytest.mark.parametrize("name", ["test_resnet", "test_vit", "test_convnext", "resnet10t"])
def test_layers_nearer_to_the_input_learn_more_slowly(name: str) -> None:
    model = timm.create_model(name, num_classes=3)
    scales, groups = {}, parameter_groups(model, 0.5)
    assert len({(group["lr_scale"], group["decay_scale"]) for group in groups}) == len(groups), "none can be merged"
    for group in groups:
        scales |= {id(parameter): (group["lr_scale"], group["decay_scale"]) for parameter in group["params"]}
    named = {key: scales[id(value)] for key, value in model.named_parameters()}
    assert len(scales) == len(named), "each parameter is in one group"
    head = model.pretrained_cfg["classifier"]
    assert named[f"{head}.weight"] == (1.0, 1.0)
    assert named[f"{head}.bias"] == (1.0, 0.0)
    first = model.pretrained_cfg["first_conv"]
    first = first[0] if isinstance(first, tuple) else first
    assert named[f"{first}.weight"][0] == min(scale for scale, _ in named.values()) < 0.5
    powers = {scale for scale, _ in named.values()}
    assert powers == {0.5**n for n in range(len(powers))}, "each layer half of the next one's"
    assert all(decay == 0 for (key, (_, decay)) in named.items() if key.endswith(".bias"))


def test_without_layer_decay_there_are_two_groups() -> None:
    model = timm.create_model("test_vit", num_classes=3)
    groups = parameter_groups(model, 1.0)
    assert [(group["lr_scale"], group["decay_scale"]) for group in groups] == [(1.0, 0.0), (1.0, 1.0)]
    assert sum(len(group["params"]) for group in groups) == len(list(model.parameters()))
    undecayed = {id(parameter) for parameter in groups[0]["params"]}
    assert id(model.pos_embed) in undecayed, "the model itself says so"


def test_moving_average_is_short_at_first() -> None:
    model = create_classifier(CLASSIFIER, 3)
    averaged = copy.deepcopy(model)
    with torch.no_grad():
        for value in model.state_dict().values():
            value.add_(1)
    expected = 0.0
    for step in range(30):
        Ema(averaged, model).update(decay=0.7, step=step)
        expected += (1 - min(0.7, (1 + step) / (10 + step))) * (1 - expected)
    start, now = averaged.state_dict()["fc.weight"], model.state_dict()["fc.weight"]
    assert torch.allclose(now - start, torch.full_like(now, 1 - expected), atol=1e-5)
    assert averaged.state_dict()["bn1.num_batches_tracked"] == 1, "counters are no means"


def test_moving_average_is_one_call_over_lists_that_are_made_once(monkeypatch: pytest.MonkeyPatch) -> None:
    model = create_classifier(CLASSIFIER, 3)
    averaging = Ema(copy.deepcopy(model), model)
    floats = sum(value.is_floating_point() for value in model.state_dict().values())
    calls, lerp = [], torch._foreach_lerp_
    monkeypatch.setattr(
        torch, "_foreach_lerp_", lambda own, other, weight: calls.append(len(own)) or lerp(own, other, weight)
    )
    monkeypatch.setattr(torch.nn.Module, "state_dict", lambda self: pytest.fail("the lists are made anew"))
    for step in range(2):
        averaging.update(decay=0.9, step=step)
    assert calls == [floats, floats]


@pytest.mark.parametrize(("k", "right"), [(1, 1), (2, 2), (3, 3), (5, 3)])
def test_count_correct(k: int, right: int) -> None:
    logits = torch.tensor([[3.0, 2.0, 1.0], [3.0, 2.0, 1.0], [3.0, 2.0, 1.0]])
    assert count_correct(logits, torch.tensor([0, 1, 2]), k) == right
