"""Check the GPUs: their free memory, and the processes that use the rest. No process is touched."""

import os
from collections.abc import Sequence

import psutil

from pillsnap.config.config import Config
from pillsnap.hardware import Gpu
from pillsnap.preflight.findings import Finding, finding, gib
from pillsnap.preflight.models import CUDA_BYTES, training_bytes


def gpu_need(config: Config) -> int:
    """Estimate the memory of the larger training in bytes, by a rule of thumb: model, batch and input size, in FP32."""
    return CUDA_BYTES + max(training_bytes(config, part) for part in ("detector", "classifier"))


def check_gpus(found: Sequence[Gpu], config: Config) -> list[Finding]:
    """Check each GPU; trainings take the first visible to CUDA, so only that one can be too small."""
    if not found:
        cure = "Set device to auto or cpu, or run where there is a GPU with its driver"
        text = "none, but device = cuda" if config.device == "cuda" else "none; trainings run on the CPU"
        return [finding("GPU", text, refused=config.device == "cuda", cure=cure)]
    used = None if config.device == "cpu" else _first_visible(len(found))
    return [_check_gpu(gpu, gpu_need(config) if index == used else 0) for index, gpu in enumerate(found)]


def _first_visible(count: int) -> int:
    first = os.environ.get("CUDA_VISIBLE_DEVICES", "0").split(",")[0].strip()
    return int(first) if first.isdigit() and int(first) < count else 0


def _check_gpu(gpu: Gpu, need: int) -> Finding:
    text = f"{gpu.name}: {gib(gpu.memory_free)} of {gib(gpu.memory_total)} free"
    text += f"; the trainings need about {gib(need)}" if need else "; not used"
    text += f"; used by {', '.join(_holder(*holder) for holder in gpu.holders)}" if gpu.holders else ""
    if gpu.memory_total < need:
        cure = "Lower classifier.batch, detector.batch or the image sizes, or take a larger GPU"
    elif gpu.holders:
        cure = "Wait for those processes, or ask their owners"
    else:
        cure = "See nvidia-smi for the processes that use it: those of other containers are not listed here"
    return finding("GPU", text, warning=gpu.memory_free < need, cure=cure)


def _holder(pid: int, used: int) -> str:
    """Describe a process: id, name, user and memory; the driver may hide the memory, and a container the process."""
    size = gib(used) if used else "memory unknown"
    try:
        process = psutil.Process(pid)
        return f"process {pid} ({process.name()}, user {process.username()}, {size})"
    except psutil.NoSuchProcess:
        return f"process {pid} ({size}; not visible from here, perhaps in another container)"
    except psutil.AccessDenied:
        return f"process {pid} ({size}; name and user are hidden)"
