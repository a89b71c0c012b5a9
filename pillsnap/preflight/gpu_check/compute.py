"""Measure arithmetic and copies: a product in half precision in TFLOP/s, memory in GB/s."""

import contextlib
import gc
import time
from collections.abc import Callable, Iterator

import torch

from pillsnap.config.training import Recipe
from pillsnap.preflight.cuda import BF16_FROM
from pillsnap.preflight.gpu_check.rows import NotCheckedError, Row, Verdict

SIDE = {"cuda": 8192, "cpu": 256}
"""Of the square matrices that are multiplied."""
BYTES = {"cuda": 2**28, "cpu": 2**20}
"""Of the block that is copied."""
HALF_ERROR = 0.02
"""Largest relative error of a product in bf16 (8 bits of precision), or in fp16 (11), that is right."""


def check_compute(device: str) -> Iterator[Row]:
    """Multiply in bf16, or in fp16 where the device computes no bf16, and copy to the device and on it.

    Args:
        device: `cuda` or `cpu`.
    """
    side = SIDE[device]
    generator = torch.Generator(device).manual_seed(0)
    name, dtype = ("bf16", torch.bfloat16) if computes_bf16(device) else ("fp16", torch.float16)
    left, right = (torch.randn(side, side, device=device, generator=generator).to(dtype) for _ in range(2))
    seconds = seconds_of(lambda: left @ right, device, repeats=10)
    exact = left[:64].double() @ right.double()
    error = float(((left @ right)[:64].double() - exact).abs().max() / exact.abs().max())
    rate = 2 * side**3 / seconds / 1e12
    cure = "" if error <= HALF_ERROR else "The GPU computes wrongly: look at nvidia-smi -q for ECC errors"
    verdict = Verdict.failed if cure else Verdict.ok
    text = f"{rate:,.1f} TFLOP/s, error {error:.4f}"
    yield Row(f"{name} product", text, f"error <= {HALF_ERROR}", verdict, cure, {"tflops": rate, "error": error})
    size = BYTES[device]
    host = torch.empty(size, dtype=torch.uint8, pin_memory=device == "cuda")
    there = torch.empty(size, dtype=torch.uint8, device=device)
    there_again = torch.empty_like(there)
    copies = {
        "host to device": lambda: there.copy_(host, non_blocking=True),
        "on the device": lambda: there_again.copy_(there),
    }
    for name, copy in copies.items():
        rate = size / seconds_of(copy, device, repeats=10) / 1e9
        yield Row(f"copy {name}", f"{rate:,.1f} GB/s", "", Verdict.ok, figures={"gb_per_second": rate})


def computes_bf16(device: str) -> bool:
    """Whether the device computes bf16, and does not emulate it, which takes longer than FP32."""
    return device != "cuda" or torch.cuda.get_device_capability() >= BF16_FROM


def need_precision(recipe: Recipe, device: str) -> None:
    """Raise `NotCheckedError` where the recipe asks for bf16 and the device computes none, as preflight refuses it."""
    if recipe.precision == "bf16" and not computes_bf16(device):
        part = type(recipe).__name__.lower()
        raise NotCheckedError(f"{part}.precision = bf16, which this GPU does not compute: set it to fp32, or to fp16")


def seconds_of(work: Callable[[], object], device: str, *, repeats: int) -> float:
    """Mean seconds of a piece of work after one that does not count; waits for the device at both ends."""
    work()
    synchronize(device)
    start = time.perf_counter()
    for _ in range(repeats):
        work()
    synchronize(device)
    return (time.perf_counter() - start) / repeats


def synchronize(device: str) -> None:
    """Wait until the device has done all that it was asked."""
    if device == "cuda":
        torch.cuda.synchronize()


def release_memory(device: str) -> None:
    """Give back the device's memory that nothing uses any more, that of compiled models and their CUDA graphs too."""
    if device == "cuda":
        torch.compiler.reset()
        gc.collect()
        torch.cuda.empty_cache()


@contextlib.contextmanager
def trying_convolutions(tried: bool) -> Iterator[None]:
    """Have cuDNN try its convolutions on each new shape, as the trainings do, or take one by rules; then as before."""
    before = torch.backends.cudnn.benchmark
    torch.backends.cudnn.benchmark = tried
    try:
        yield
    finally:
        torch.backends.cudnn.benchmark = before
