"""Roots and arc tangents that do not depend on the processor's maker."""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

from pillsnap.workflow.arithmetic import is_portable

_ROOTS: set[Callable[..., Any]] = {
    *(torch.sqrt, torch.Tensor.sqrt),
    *(torch.atan, torch.Tensor.atan, torch.arctan, torch.Tensor.arctan),
}
_POWERS: set[Callable[..., Any]] = {torch.pow, torch.Tensor.pow, torch.Tensor.__pow__}


@contextlib.contextmanager
def exact_roots() -> Iterator[None]:
    """Compute float32 square roots and arc tangents on the CPU in double precision, where arithmetic is kept portable.

    In single precision they are MKL's, which begins with the instructions `rcpps` and `rsqrtps`, whatever its settings
    say: their results are approximate, and other ones on an AMD processor than where they are exact (in QEMU 10.0).
    What Python asks for by `sqrt`, `atan`, `arctan`, `pow(0.5)` and `** 0.5` is changed; in place, with `out`, and in
    torch's own C++ code nothing is. Serves as a decorator, too.
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
        if not kwargs and _is_root(func, args) and args[0].dtype is torch.float32 and args[0].device.type == "cpu":
            return func(args[0].double(), *args[1:]).float()
        return func(*args, **(kwargs or {}))


def _is_root(func: Callable[..., Any], args: tuple[Any, ...]) -> bool:
    if func in _POWERS:
        return isinstance(args[0], torch.Tensor) and isinstance(args[1], float) and args[1] == 0.5
    return func in _ROOTS
