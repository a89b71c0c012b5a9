"""Memory that runs out, and losses that are no numbers: what is tried again, and where it ends."""

import re
from pathlib import Path

import pytest
import torch

from pillsnap.config.training import Classifier
from pillsnap.files import read_json
from pillsnap.training.recovery import BatchError, Recovery, Rollback, is_out_of_memory, train_with_recovery
from pillsnap.training.steering import Event


class Card:
    """A training on a card that takes so many pictures at once."""

    def __init__(self, fits: int, batch: int = 8) -> None:
        self.fits, self.batch, self.tried = fits, batch, []

    def train(self, recovery: Recovery) -> None:
        recovery.epoch = 3
        at_once = -(-self.batch // recovery.accumulation_steps)
        self.tried.append(at_once)
        if at_once > self.fits:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")


@pytest.mark.parametrize(
    ("batch", "smallest", "fits", "tried"),
    [(8, 1, 8, [8]), (8, 1, 4, [8, 4]), (8, 1, 1, [8, 4, 2, 1]), (6, 2, 2, [6, 3, 2]), (8, 4, 4, [8, 4])],
)
def test_batches_are_halved_until_they_fit(
    tmp_path: Path, batch: int, smallest: int, fits: int, tried: list[int]
) -> None:
    card = Card(fits, batch)
    recipe = Classifier(batch=batch, smallest_batch=smallest)
    train_with_recovery(card.train, tmp_path, model="classifier", recipe=recipe)
    assert card.tried == tried
    assert [event.changes["pictures_at_once"] for event in Recovery(tmp_path).events] == tried[1:]


def test_a_new_start_remembers(tmp_path: Path) -> None:
    recipe = Classifier(batch=8)
    train_with_recovery(Card(4).train, tmp_path, model="classifier", recipe=recipe)
    again = Card(4)
    train_with_recovery(again.train, tmp_path, model="classifier", recipe=recipe)
    assert again.tried == [4], "what did not fit is not tried again"
    (event,) = Recovery(tmp_path).events
    assert (event.epoch, event.kind, event.applied) == (3, "out_of_memory", True)
    assert event.said == "out of memory with a micro-batch of 8: now 4, 2 accumulation steps"
    assert read_json(tmp_path / "recovery.json")["accumulation_steps"] == 2


@pytest.mark.parametrize(("smallest", "fits", "tried"), [(4, 2, [8, 4]), (1, 0, [8, 4, 2, 1])])
def test_the_descent_ends_with_a_cure(tmp_path: Path, smallest: int, fits: int, tried: list[int]) -> None:
    card = Card(fits)
    with pytest.raises(BatchError, match=r"classifier\.batch = 8: out of memory with \d pictures .*pillsnap doctor"):
        train_with_recovery(
            card.train, tmp_path, model="classifier", recipe=Classifier(batch=8, smallest_batch=smallest)
        )
    assert card.tried == tried


def test_going_back_keeps_its_event(tmp_path: Path) -> None:
    event = Event(4, "intervention", "unstable", "loss is not finite", True, {"clip": 1.0}, True)

    def train(recovery: Recovery) -> None:
        if not recovery.events:
            raise Rollback(event)

    train_with_recovery(train, tmp_path, model="detector", recipe=Classifier())
    assert Recovery(tmp_path).events == [event]


def test_other_errors_pass(tmp_path: Path) -> None:
    def train(_: Recovery) -> None:
        raise RuntimeError("shapes do not match")

    with pytest.raises(RuntimeError, match="shapes do not match"):
        train_with_recovery(train, tmp_path, model="detector", recipe=Classifier())
    assert not (tmp_path / "recovery.json").exists()


@pytest.mark.parametrize(
    ("error", "so"),
    [
        (torch.OutOfMemoryError("any"), True),
        (RuntimeError("CUDA error: out of memory"), True),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"), True),
        (RuntimeError("[enforce fail at alloc_cpu.cpp:117] . DefaultCPUAllocator: can't allocate memory"), True),
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), False),
    ],
)
def test_out_of_memory_is_recognised(error: RuntimeError, so: bool) -> None:
    assert is_out_of_memory(error) is so


def test_real_out_of_memory_of_the_cpu_is_recognised() -> None:
    with pytest.raises(RuntimeError) as caught:
        torch.empty(1 << 60, dtype=torch.uint8)
    assert is_out_of_memory(caught.value)


@pytest.mark.parametrize(
    ("text", "is_lack"),
    [
        ("CUDA error: out of memory", True),
        ("DefaultCPUAllocator: can't allocate memory: you tried to allocate 8 bytes", True),
        ("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`", True),
        ("CUDA error: CUBLAS_STATUS_NOT_INITIALIZED when calling `cublasCreate(handle)`", True),
        ("cuDNN error: CUDNN_STATUS_ALLOC_FAILED", True),
        ("cuDNN error: CUDNN_STATUS_INTERNAL_ERROR", True),
        ("GET was unable to find an engine to execute this computation", True),
        ("cuDNN error: CUDNN_STATUS_BAD_PARAM", False),
        ("CUDA error: device-side assert triggered", False),
        ("mat1 and mat2 shapes cannot be multiplied", False),
    ],
)
def test_names_of_a_lack_of_memory(tmp_path: Path, text: str, is_lack: bool) -> None:
    """What may be another fault ends with the library's own words."""
    assert is_out_of_memory(RuntimeError(text)) is is_lack

    def train(_: Recovery) -> None:
        raise RuntimeError(f"{text}\nmore lines")

    with pytest.raises(BatchError if is_lack else RuntimeError, match=re.escape(text)):
        train_with_recovery(train, tmp_path, model="classifier", recipe=Classifier(batch=2))
