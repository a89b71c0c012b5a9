"""What this machine really has: cores (cgroup limits included), memory, disk, GPUs."""

import os
import platform
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil


class HardwareError(RuntimeError):
    """A device was asked for that is not there."""


@dataclass(frozen=True)
class Gpu:
    """One NVIDIA GPU: memory in bytes, and (process id, bytes) of those that hold some of it."""

    name: str
    memory_total: int
    memory_free: int
    holders: tuple[tuple[int, int], ...]


def cores() -> int:
    """Cores this process may use: the affinity mask, cut by the cgroup's CPU quota."""
    available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = quota_cores(_cgroup_quotas())
    return max(1, min(available, quota) if quota else available)


def usable_threads(asked: int) -> int:
    """Threads a job should start: what it was given, at most the cores that are there."""
    return max(1, min(asked, cores()))


def quota_cores(quotas: Iterable[str]) -> int | None:
    """The cores that the tightest of CPU quotas grants; `None` where none limits.

    Args:
        quotas: `<quota> <period>` in microseconds, as cgroups say it: quota `max` (version 2) or `-1` (version 1)
            is no limit, and neither is an empty text.
    """
    limits = [text.split() for text in quotas]
    granted = [int(limit[0]) / int(limit[1]) for limit in limits if len(limit) == 2 and limit[0] not in ("max", "-1")]
    return max(1, round(min(granted))) if granted else None


def _cgroup_quotas() -> Iterator[str]:
    """CPU quotas of this process's cgroup and of all above it, version 2 and 1."""
    root = Path("/sys/fs/cgroup")
    lines = _read("/proc/self/cgroup").splitlines()
    own = root / next((line.removeprefix("0::/") for line in lines if line.startswith("0::/")), "")
    for folder in (own, *own.parents):
        if folder.is_relative_to(root):
            yield _read(folder / "cpu.max")
    yield " ".join(_read(root / "cpu" / name) for name in ("cpu.cfs_quota_us", "cpu.cfs_period_us"))


def _read(path: str | Path) -> str:
    """A system file's text; empty where there is none."""
    try:
        return Path(path).read_text(encoding="utf-8")
    except OSError:
        return ""


def cpu_name() -> str:
    """The processor's name, as the system gives it."""
    for line in _read("/proc/cpuinfo").splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def memory() -> tuple[int, int]:
    """Memory in bytes: (total, available)."""
    ram = psutil.virtual_memory()
    return ram.total, ram.available


def disk_free(folder: str | Path) -> int:
    """Free bytes where `folder` lies, or would lie."""
    folder = Path(folder).absolute()
    while not folder.exists():
        folder = folder.parent
    return shutil.disk_usage(folder).free


def gpus() -> list[Gpu]:
    """NVIDIA GPUs that the driver reports; empty where there is no driver."""
    import pynvml

    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return []
    found = []
    for index in range(pynvml.nvmlDeviceGetCount()):
        handle = pynvml.nvmlDeviceGetHandleByIndex(index)
        info = pynvml.nvmlDeviceGetMemoryInfo(handle)
        holders = pynvml.nvmlDeviceGetComputeRunningProcesses(handle)
        found.append(
            Gpu(
                name=pynvml.nvmlDeviceGetName(handle),
                memory_total=info.total,
                memory_free=info.free,
                holders=tuple((process.pid, process.usedGpuMemory or 0) for process in holders),
            )
        )
    return found


def use_threads(threads: int) -> None:
    """Have torch split its sums among `threads` threads, however many cores there are: the same bits everywhere."""
    os.environ |= {"MKL_DYNAMIC": "FALSE", "OMP_DYNAMIC": "FALSE"}
    import torch

    torch.set_num_threads(threads)


def torch_device(asked: str) -> str:
    """Choose the training device.

    Args:
        asked: `auto`, `cpu` or `cuda`.

    Returns:
        `cpu` or `cuda`.

    Raises:
        HardwareError: `cuda` was asked for and no CUDA device works.
    """
    import torch

    works = torch.cuda.is_available()
    if asked == "cuda" and not works:
        raise HardwareError(
            "device = cuda: no CUDA device works on this machine (see `pillsnap doctor`). "
            "Set device to auto or cpu, or run where there is a GPU with its driver."
        )
    return "cuda" if works and asked != "cpu" else "cpu"
