"""Hardware that this process may use: cores and memory (cgroup limits included), disk, GPUs."""

import os
import platform
import shutil
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from pillsnap.cuda import cuda_driver

_VECTORS = {"avx512f": "AVX-512", "avx2": "AVX2", "avx": "AVX", "sve": "SVE", "asimd": "NEON"}
"""Vector instructions by their flag, widest first."""
CGROUPS, OWN_CGROUPS = Path("/sys/fs/cgroup"), Path("/proc/self/cgroup")
"""Where cgroups are mounted, and which are this process's."""
SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 (measured, never written to)


class HardwareError(RuntimeError):
    """A requested device is not available."""


@dataclass(frozen=True)
class Gpu:
    """One NVIDIA GPU, or an instance of one that MIG divides, as far as the driver reports it.

    Attributes:
        name: of the GPU.
        memory_total, memory_free: bytes; `None` where they are not reported (memory shared with the machine).
        holders: (process id, bytes) of processes that hold some of the memory; 0 bytes where that is not reported.
        uuid: without `GPU-` or `MIG-`; empty where it is not reported.
    """

    name: str
    memory_total: int | None
    memory_free: int | None
    holders: tuple[tuple[int, int], ...]
    uuid: str = ""


def cores() -> int:
    """Cores this process may use: the affinity mask, cut by the cgroup's CPU quota.

    joblib.cpu_count reads the quota of the topmost cgroup only, which a service's or a batch job's is below.
    """
    quota = quota_cores(_cgroup_quotas(CGROUPS, _read(OWN_CGROUPS)))
    return max(1, min(schedulable_cores(), quota) if quota else schedulable_cores())


def schedulable_cores() -> int:
    """Cores this process may be scheduled on, which is what `snakemake --cores all` takes: a quota does not count."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def usable_threads(requested: int) -> int:
    """Number of threads a job should start: `requested`, at most as many as `cores`."""
    return max(1, min(requested, cores()))


def quota_cores(quotas: Iterable[str]) -> int | None:
    """Cores that the tightest of CPU quotas grants; `None` where none limits.

    Args:
        quotas: `<quota> <period>` in microseconds, as cgroups say it: quota `max` (version 2) or `-1` (version 1)
            is no limit, and neither is an empty text.
    """
    limits = [text.split() for text in quotas]
    granted = [int(limit[0]) / int(limit[1]) for limit in limits if len(limit) == 2 and limit[0] not in ("max", "-1")]
    return max(1, round(min(granted))) if granted else None


def _cgroup_quotas(root: Path, cgroups: str) -> Iterator[str]:
    """CPU quotas of this process's cgroup and of all above it, version 2 and 1; arguments as of `_cgroup_folders`."""
    for folder, unified in _cgroup_folders(root, cgroups, "cpu"):
        names = ("cpu.max",) if unified else ("cpu.cfs_quota_us", "cpu.cfs_period_us")
        yield " ".join(_read(folder / name) for name in names)


def _read(path: str | Path) -> str:
    """A system file's text; empty where there is none."""
    try:
        return Path(path).read_text(encoding="utf-8")
    except OSError:
        return ""


def cpu_name() -> str:
    """The processor's name and kind, see `cpu_in`."""
    return cpu_in(_read("/proc/cpuinfo"))


def cpu_in(cpuinfo: str) -> str:
    """Name, family, model and widest vector instructions of the first processor in `/proc/cpuinfo`, where it has them.

    Virtual machines often leave the number out of the name; what libraries choose their arithmetic by, and so how
    trainings round, is in the rest.
    """
    lines = (line.partition(":") for line in cpuinfo.partition("\n\n")[0].splitlines())
    facts = {key.strip(): value.strip() for key, _, value in lines}
    able = facts.get("flags", facts.get("Features", "")).split()
    kind = [f"{word} {facts[key]}" for word, key in (("family", "cpu family"), ("model", "model")) if key in facts]
    kind += [name for flag, name in _VECTORS.items() if flag in able][:1]
    name = facts.get("model name") or platform.processor() or platform.machine()
    return f"{name} ({', '.join(kind)})" if kind else name


def memory() -> tuple[int, int]:
    """Memory in bytes that this process may use: (total, available), cut by the cgroup's limits."""
    ram = psutil.virtual_memory()
    return memory_within(ram.total, ram.available, _cgroup_memory(CGROUPS, _read(OWN_CGROUPS)))


def memory_within(total: int, available: int, limits: Iterable[tuple[str, str, str]]) -> tuple[int, int]:
    """Memory that cgroups leave of a machine's.

    Args:
        total, available: of the machine, bytes.
        limits: (limit, usage, statistics) as the cgroups' files say them: a limit of `max` (version 2), of more than
            the machine has (version 1) or an empty text is none. Of the usage, files in the page cache that are not
            in use do not count: the kernel gives them up first.
    """
    for limit, usage, statistics in limits:
        if limit.strip().isdigit() and int(limit) < total:
            rows = dict(line.split() for line in statistics.splitlines() if len(line.split()) == 2)
            cached = int(rows.get("total_inactive_file", rows.get("inactive_file", 0)))
            used = max(0, int(usage.strip() or 0) - cached)
            total, available = int(limit), min(available, max(0, int(limit) - used))
    return total, min(total, available)


def _cgroup_memory(root: Path, cgroups: str) -> Iterator[tuple[str, str, str]]:
    """Limit, usage and statistics of this process's memory cgroup and of all above it, version 2 and 1; arguments as of
    `_cgroup_folders`."""
    for folder, unified in _cgroup_folders(root, cgroups, "memory"):
        names = ("memory.max", "memory.current") if unified else ("memory.limit_in_bytes", "memory.usage_in_bytes")
        limit, usage = (_read(folder / name) for name in names)
        yield limit, usage, _read(folder / "memory.stat")


def _cgroup_folders(root: Path, cgroups: str, controller: str) -> Iterator[tuple[Path, bool]]:
    """Folders of this process's cgroup and of all above it, each with whether it is of version 2.

    Args:
        root: where cgroups are mounted.
        cgroups: content of `/proc/self/cgroup`. Its path may be one of the machine that a container does not see; then
            the container's own cgroup is the root.
        controller: `cpu` or `memory`.
    """
    for line in cgroups.splitlines():
        _, controllers, path = line.split(":", 2)
        if not controllers or controller in controllers.split(","):
            mount = root / controller if controllers else root
            own = mount / path.lstrip("/")
            yield from ((folder, not controllers) for folder in (own, *own.parents) if folder.is_relative_to(mount))


def disk_free(folder: str | Path) -> int:
    """Free bytes where `folder` lies, or would lie."""
    return shutil.disk_usage(existing_folder(folder)).free


def shared_memory_free() -> int | None:
    """Free bytes of the shared memory between processes; `None` where the system has none with a limit of its own."""
    return disk_free(SHARED_MEMORY) if SHARED_MEMORY.is_dir() else None


def file_system(folder: str | Path) -> int:
    """A number for the file system where `folder` lies, or would lie."""
    return existing_folder(folder).stat().st_dev


def existing_folder(folder: str | Path) -> Path:
    """Return the folder, or the one nearest above it that there is."""
    folder = Path(folder).absolute()
    while not folder.exists():
        folder = folder.parent
    return folder


def gpus() -> list[Gpu]:
    """NVIDIA GPUs that the driver reports; empty where there is no driver. Any of its answers may be missing, as in
    WSL, on virtual GPUs and with unified memory."""
    import pynvml

    try:
        pynvml.nvmlInit()
        count = pynvml.nvmlDeviceGetCount()
    except pynvml.NVMLError:
        return []
    found = [ask_nvml(pynvml.nvmlDeviceGetHandleByIndex, index) for index in range(count)]
    return [_gpu(each) for handle in found if handle for each in _instances(handle) or [handle]]


def ask_nvml(query: Callable[..., Any], *arguments: Any) -> Any:
    """The answer of a function of pynvml; `None` where the driver does not give one."""
    from pynvml import NVMLError, NVMLLibraryMismatchError

    try:
        return query(*arguments)
    except (NVMLError, NVMLLibraryMismatchError):  # the latter: a function that an old driver lacks
        return None


def _instances(handle: Any) -> list[Any]:
    """MIG instances of a GPU; empty where it is not divided."""
    import pynvml

    current, _ = ask_nvml(pynvml.nvmlDeviceGetMigMode, handle) or (0, 0)
    most = ask_nvml(pynvml.nvmlDeviceGetMaxMigDeviceCount, handle) or 0 if current else 0
    found = [ask_nvml(pynvml.nvmlDeviceGetMigDeviceHandleByIndex, handle, index) for index in range(most)]
    return [instance for instance in found if instance]


def _gpu(handle: Any) -> Gpu:
    import pynvml

    info = ask_nvml(pynvml.nvmlDeviceGetMemoryInfo, handle)
    running = ask_nvml(pynvml.nvmlDeviceGetComputeRunningProcesses, handle) or []
    running += ask_nvml(pynvml.nvmlDeviceGetGraphicsRunningProcesses, handle) or []
    return Gpu(
        name=ask_nvml(pynvml.nvmlDeviceGetName, handle) or "GPU without a reported name",
        memory_total=info and info.total,
        memory_free=info and info.free,
        holders=tuple(sorted({process.pid: process.usedGpuMemory or 0 for process in running}.items())),
        uuid=str(ask_nvml(pynvml.nvmlDeviceGetUUID, handle) or "").partition("-")[2],
    )


def use_threads(threads: int) -> None:
    """Have torch split its sums among `threads` threads, however many cores there are: the same bits everywhere."""
    os.environ |= {"MKL_DYNAMIC": "FALSE", "OMP_DYNAMIC": "FALSE"}
    import torch

    torch.set_num_threads(threads)


def torch_device(requested: str) -> str:
    """Choose the training device.

    Args:
        requested: `auto`, `cpu` or `cuda`.

    Returns:
        `cpu` or `cuda`.

    Raises:
        HardwareError: `cuda` was requested and no CUDA device works.
    """
    if requested == "cpu":  # most jobs are of this kind, and torch takes seconds and half a gigabyte
        return "cpu"
    import torch

    works = torch.cuda.is_available()
    if requested == "cuda" and not works:
        raise HardwareError(
            f"device = cuda: no CUDA device works on this machine{_driver_error()} (see `pillsnap doctor`). "
            "Set device to auto or cpu, or run where there is a GPU with its driver."
        )
    return "cuda" if works else "cpu"


def _driver_error() -> str:
    driver = cuda_driver()
    return f": {driver.error}" if driver and driver.error else ""
