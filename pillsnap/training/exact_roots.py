"""Roots and arc tangents that do not depend on the processor's maker."""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

from pillsnap.workflow.arithmetic import is_portable

_ROOTS: set[Callable[..., Any]] = {torch.sqrt, torch.Tensor.sqrt, torch.atan, torch.Tensor.atan}
_POWERS: set[Callable[..., Any]] = {torch.pow, torch.Tensor.pow, torch.Tensor.__pow__}


@contextlib.contextmanager
def exact_roots() -> Iterator[None]:
    """Compute float32 square roots and arc tangents on the CPU in double precision, where arithmetic is kept portable.

    In single precision they are MKL's, which begins with the instructions `rcpps` and `rsqrtps`, whatever its settings
    say: their results are approximate, and other ones on an AMD processor than where they are exact (in QEMU 10.0).
    Serves as a decorator, too.
    """
    with _InDouble() if is_portable() else contextlib.nullcontext():
        yield


class _InDouble(TorchFunctionMode):
    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        root = func in _ROOTS or (func in _POWERS and args[1:] == (0.5,))
        if root and not kwargs and args[0].dtype is torch.float32 and args[0].device.type == "cpu":
            return func(args[0].double(), *args[1:]).float()
        return func(*args, **(kwargs or {}))
