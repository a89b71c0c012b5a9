"""Square roots and arc tangents of a portable job: in double precision, in Python's ways of asking for them."""

from collections.abc import Callable

import pytest
import torch
from torch.overrides import _get_current_function_mode_stack

from pillsnap.training import exact_roots as module
from pillsnap.training.exact_roots import exact_roots

VALUES = torch.rand(1000, generator=torch.Generator().manual_seed(1)) * 50


@pytest.fixture
def portable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "is_portable", lambda: True)


@pytest.mark.parametrize(
    ("asked", "in_double"),
    [
        (torch.sqrt, torch.sqrt),
        (lambda values: values.sqrt(), torch.sqrt),
        (lambda values: values**0.5, torch.sqrt),
        (lambda values: values.pow(0.5), torch.sqrt),
        (lambda values: torch.pow(values, 0.5), torch.sqrt),
        (torch.atan, torch.atan),
        (lambda values: values.atan(), torch.atan),
        (lambda values: values.arctan(), torch.atan),
    ],
)
def test_single_precision_is_computed_in_double(
    portable: None, asked: Callable[[torch.Tensor], torch.Tensor], in_double: Callable[[torch.Tensor], torch.Tensor]
) -> None:
    values = VALUES.clone().requires_grad_()
    with exact_roots():
        found = asked(values)
    found.sum().backward()
    assert found.dtype is torch.float32 and torch.equal(found, in_double(VALUES.double()).float())
    assert values.grad is not None and values.grad.dtype is torch.float32


def test_other_powers_and_precisions_stay(portable: None) -> None:
    with exact_roots():
        assert torch.equal(VALUES.pow(2), VALUES * VALUES)
        assert VALUES.double().sqrt().dtype is torch.float64
        assert VALUES.bfloat16().sqrt().dtype is torch.bfloat16
        halves = torch.full_like(VALUES, 0.5)
        assert torch.equal(VALUES**halves, VALUES.pow(halves))
        assert torch.equal(torch.pow(2.0, halves), 2.0**halves)
        assert VALUES.pow(exponent=2).dtype is torch.float32


@pytest.mark.parametrize("is_portable", [True, False])
def test_only_a_portable_job_is_changed_and_only_while_it_runs(
    monkeypatch: pytest.MonkeyPatch, is_portable: bool
) -> None:
    monkeypatch.setattr(module, "is_portable", lambda: is_portable)

    @exact_roots()
    def modes() -> int:
        return len(_get_current_function_mode_stack())

    assert (modes(), len(_get_current_function_mode_stack())) == (int(is_portable), 0)
