"""One step of the classifier's training: parts of a batch, precisions, compiled graphs."""

import contextlib
import shutil
from collections.abc import Iterator
from typing import Any

import pytest
import torch

from pillsnap.classifier.trainer import ClassifierTrainer, validation_batch
from pillsnap.training.processes import Processes
from tests.support.models import recipe

PICTURES = torch.randint(0, 256, (8, 3, 72, 72), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
TARGETS = torch.tensor([0, 1, 2, 0, 1, 2, 0, 1])


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Threads cost more than they bring with pictures as small as these."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def started(**changes: Any) -> ClassifierTrainer:
    settings = recipe(**{"model": "test_convnext", "image_size": 64, "learning_rate": 1e-3} | changes)
    return ClassifierTrainer(settings, 3, seed=1, device="cpu", processes=Processes())


def learn(
    training: ClassifierTrainer, steps: int = 1, *, accumulation_steps: int = 1, max_grad_norm: float = 1e9
) -> float:
    """Some steps; returns their mean loss."""
    for _ in range(steps):
        training.set_rates(learning_rate=1e-3, weight_decay=0.05)
        views = training.views(PICTURES, 64, global_batch_size=8)
        limits = {"accumulation_steps": accumulation_steps, "max_grad_norm": max_grad_norm}
        training.step(views, TARGETS, global_batch_size=8, **limits)
        training.end_step(100)
    training.sync_loss()
    return training.progress.mean_loss


def gradients(training: ClassifierTrainer) -> torch.Tensor:
    return torch.cat([parameter.grad.flatten() for parameter in training.model.parameters()])


@pytest.mark.parametrize("mixing", [{}, {"mixup": 0.4}, {"cutmix": 1.0}], ids=str)
@pytest.mark.parametrize("model", ["test_convnext", "test_vit"])
@pytest.mark.parametrize("parts", [2, 3, 8, 64])
def test_parts_give_the_whole_batchs_gradients(model: str, parts: int, mixing: dict[str, float]) -> None:
    """Also where they are not equally large; more parts than pictures are as many as pictures."""
    whole, split = started(model=model, **mixing), started(model=model, **mixing)
    losses = learn(whole), learn(split, accumulation_steps=parts)
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)
    assert torch.allclose(gradients(whole), gradients(split), atol=1e-6, rtol=1e-3)
    assert whole.progress.correct == split.progress.correct
    assert whole.progress.seen == split.progress.seen == 8


def test_gradients_are_clipped() -> None:
    training = started()
    learn(training, max_grad_norm=1e-3)
    assert float(gradients(training).norm()) == pytest.approx(1e-3, rel=1e-3)


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_half_precisions_learn_as_fp32_does(precision: str) -> None:
    full, half = started(), started()
    half.use_precision(precision)
    losses = [learn(training, 5) for training in (full, half)]
    assert losses[0] == pytest.approx(losses[1], rel=0.05)
    assert losses[0] != losses[1]
    assert all(value.dtype == torch.float32 for value in half.model.parameters())
    assert bool(half.state_dict()["scaler"]) == (precision == "fp16")


def test_fp16_scale_falls_where_gradients_overflow_and_resumed_from_a_checkpoint() -> None:
    training = started()
    training.use_precision("fp16")
    scale = training.state_dict()["scaler"]["scale"]
    before = {name: value.clone() for name, value in training.model.state_dict().items()}
    with torch.no_grad():
        training.model.head.fc.weight.mul_(1e6)
    learn(training)
    assert training.state_dict()["scaler"]["scale"] == scale / 2
    stem = "stem.0.weight"
    assert torch.equal(training.model.state_dict()[stem], before[stem]), "the step was left out"
    other = started()
    other.load_state_dict(training.state_dict())
    assert other.state_dict()["scaler"]["scale"] == scale / 2


def test_precision_can_be_left() -> None:
    training = started()
    training.use_precision("fp16")
    learn(training)
    training.use_precision("fp32")
    learn(training)
    assert training.state_dict()["scaler"] == {}


@pytest.mark.parametrize(
    ("device", "precision", "dtype"),
    [
        ("cuda", "bf16", torch.bfloat16),
        ("cuda:1", "fp16", torch.float16),
        ("cuda", "fp32", None),
        ("cpu", "bf16", None),
    ],
)
def test_validation_has_the_trainings_precision_on_a_gpu_alone(
    monkeypatch: pytest.MonkeyPatch, device: str, precision: str, dtype: torch.dtype | None
) -> None:
    training, asked = started(), []
    training.use_precision(precision)
    expected = training.validate([(PICTURES, TARGETS)])
    zeros = torch.zeros
    monkeypatch.setattr(torch, "zeros", lambda *size, **more: zeros(*size, **more | {"device": "cpu"}))
    monkeypatch.setattr(training, "_device", device)

    def autocast(kind: str, half: torch.dtype | None, *, enabled: bool) -> contextlib.AbstractContextManager:
        asked.append((kind, half if enabled else None))
        return contextlib.nullcontext()

    monkeypatch.setattr(torch, "autocast", autocast)
    assert training.validate([(PICTURES[:5], TARGETS[:5]), (PICTURES[5:], TARGETS[5:])]) == expected
    assert asked == [(device.split(":")[0], dtype)] * 2


@pytest.mark.parametrize(
    ("micro_batch", "kind", "size"), [(8, "cpu", 16), (8, "cuda", 64), (2, "cuda", 16), (64, "cuda", 128)]
)
def test_validation_takes_larger_batches(micro_batch: int, kind: str, size: int) -> None:
    assert validation_batch(micro_batch, kind) == size


class Replayed:
    """Stand-in for a model compiled with CUDA graphs: it counts its calls, and a call before the last one is given up
    is an error, as a replay would overwrite what the last one wrote."""

    def __init__(self, network: torch.nn.Module) -> None:
        self.network, self.calls, self.given_up = network, 0, True

    def __call__(self, views: torch.Tensor) -> torch.Tensor:
        assert self.given_up
        self.calls, self.given_up = self.calls + 1, False
        return self.network(views)

    def give_up(self) -> None:
        self.given_up = True


@pytest.fixture
def modes(monkeypatch: pytest.MonkeyPatch) -> dict[object, Replayed]:
    """Models by the mode that `torch.compile` was called with."""
    made: dict[object, Replayed] = {}

    def stand_in(network: torch.nn.Module, *, dynamic: bool, mode: object) -> Replayed:
        assert dynamic is False
        made[mode] = Replayed(network)
        return made[mode]

    monkeypatch.setattr(torch, "compile", stand_in)
    monkeypatch.setattr(torch.compiler, "cudagraph_mark_step_begin", lambda: [one.give_up() for one in made.values()])
    return made


@pytest.mark.parametrize("parts", [1, 2, 8])
def test_replayed_graphs_learn_the_same_from_gradients_that_stay(modes: dict[object, Replayed], parts: int) -> None:
    plain, graphs = started(), started(compile="reduce-overhead")
    losses = [learn(training, accumulation_steps=parts) for training in (plain, graphs)]
    places = [parameter.grad.data_ptr() for parameter in graphs.model.parameters()]
    losses += [learn(training, 2, accumulation_steps=parts) for training in (plain, graphs)]
    assert losses[0] == losses[1] and losses[2] == losses[3]
    assert torch.equal(gradients(plain), gradients(graphs))
    assert places == [parameter.grad.data_ptr() for parameter in graphs.model.parameters()]
    assert modes["reduce-overhead"].calls == 3 * parts


def test_short_last_batch_is_not_recorded_as_a_graph(modes: dict[object, Replayed]) -> None:
    training = started(compile="reduce-overhead", batch=16)
    learn(training)
    assert modes["reduce-overhead"].calls == 0


def test_compiled_without_graphs_asks_for_no_mode(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    monkeypatch.setattr(torch, "compile", lambda network, **options: asked.append(options) or network)
    started(compile=True)
    assert asked == [{"dynamic": False, "mode": None}]


@pytest.mark.campaign
@pytest.mark.skipif(not (shutil.which("g++") or shutil.which("clang++")), reason="torch.compile needs a C++ compiler")
def test_compiled_model_learns_the_same_and_is_saved_under_its_own_names() -> None:
    plain, compiled = started(model="test_resnet"), started(model="test_resnet", compile=True)
    losses = [learn(training, 3) for training in (plain, compiled)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-3)
    for name in ("model", "ema"):
        assert list(plain.state_dict()[name]) == list(compiled.state_dict()[name])
    resumed = started(model="test_resnet", compile=True)
    resumed.load_state_dict(compiled.state_dict())
    assert learn(resumed) == learn(compiled)
