"""Measure the resources of a training, memory, GPU and disk, every few seconds in a thread of its own."""

import itertools
import logging
import os
import statistics
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import psutil

from pillsnap.hardware import ask_nvml, disk_free
from pillsnap.training.tolerant_read import Row, read_mapping, read_rows

log = logging.getLogger(__name__)

FILE = "resources.csv"
SHORTEST_RATE = 0.5
"""Seconds that a rate is measured over at least."""


@dataclass(frozen=True)
class Sample:
    """One measurement; `None` where there is nothing to measure, such as a GPU.

    Attributes:
        time: seconds since 1970.
        ram: bytes of the processes' resident memory; pages that they share count in each.
        gpu_process: bytes that these processes hold on the fullest of their GPUs, where the driver reports it (in
            a container it often does not).
        gpu_device: bytes in use there, whoever holds them.
        gpu_allocated: bytes of this process's tensors at their peak so far, as torch counts them.
        gpu_busy: share of the time in which the GPU computed, 0 to 1.
        disk_read, disk_write: bytes a second from and to disks since the last measurement; reads from the page cache
            do not count.
        disk_free: bytes.
    """

    time: float
    ram: int
    gpu_process: int | None
    gpu_device: int | None
    gpu_allocated: int | None
    gpu_busy: float | None
    disk_read: float | None
    disk_write: float | None
    disk_free: int


COLUMNS = tuple(field.name for field in fields(Sample))


class ResourceSampler:
    """Append a row to `resources.csv` of `folder` every `seconds`, from the start of the block to its end.

    It measures this process and its children; under torchrun all processes of the training. No error of it reaches the
    training.

    Attributes:
        gpu: name of the first GPU that is used; `None` where none is.
    """

    def __init__(self, folder: Path, *, seconds: float) -> None:
        self._folder, self._seconds = folder, seconds
        self._tree = _ProcessTree()
        self._gpus = Gpus()
        self._failed = False
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="resources", daemon=True)

    @property
    def gpu(self) -> str | None:
        """See the class."""
        return self._gpus.name

    def __enter__(self) -> "ResourceSampler":
        self.sample()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(timeout=5)

    def _run(self) -> None:
        while not self._stop.wait(self._seconds):
            self.sample()
        self.sample()

    def sample(self) -> None:
        """Measure now, and append a row."""
        with self._lock:
            try:
                self._append(self._measure())
            except Exception as error:  # whatever it is, the training must not stop
                if not self._failed:
                    log.warning("resources cannot be measured: %s", error)
                self._failed = True

    def _measure(self) -> Sample:
        ram, read, written = self._tree.measure()
        gpu = self._gpus.measure(self._tree.pids)
        return Sample(time.time(), ram, *gpu, read, written, disk_free(self._folder))

    def _append(self, sample: Sample) -> None:
        """Append a row; one that a killed run left half written is terminated first."""
        path = self._folder / FILE
        line = ",".join(_cell(value) for value in asdict(sample).values()) + "\n"
        with path.open("ab+") as stream:
            if stream.tell() == 0:
                line = ",".join(COLUMNS) + "\n" + line
            else:
                stream.seek(-1, os.SEEK_END)
                line = line if stream.read() == b"\n" else "\n" + line
            stream.write(line.encode())


def _cell(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)


class _ProcessTree:
    """This process with its children, or all processes of torchrun."""

    def __init__(self) -> None:
        own = psutil.Process()
        self._root = own if _local_world_size() == 1 else own.parent() or own
        self._transferred: dict[int, tuple[int, int]] = {}
        self._at: float | None = None
        self.pids: set[int] = set()

    def measure(self) -> tuple[int, float | None, float | None]:
        """Resident bytes, and bytes read and written a second since the last call, `None` in the first one."""
        ram, transferred = 0, {}
        for process in [self._root, *self._root.children(recursive=True)]:
            try:
                ram += process.memory_info().rss
                counters = process.io_counters()
                transferred[process.pid] = (counters.read_bytes, counters.write_bytes)
            except psutil.Error:  # it has ended meanwhile
                continue
        self.pids = set(transferred)
        return ram, *self._rates(transferred)

    def _rates(self, transferred: dict[int, tuple[int, int]]) -> tuple[float | None, float | None]:
        now, before = time.monotonic(), self._at
        if before is not None and now - before < SHORTEST_RATE:
            return None, None
        added = [
            sum(max(0, one[way] - self._transferred.get(pid, (0, 0))[way]) for pid, one in transferred.items())
            for way in (0, 1)
        ]
        self._transferred, self._at = transferred, now
        return (None, None) if before is None else (added[0] / (now - before), added[1] / (now - before))


class Gpus:
    """The GPUs that torch has initialised in this process, as torch and the driver see them."""

    def __init__(self) -> None:
        self.name: str | None = None
        self._handles: Sequence[Any] | None = None

    def measure(self, pids: set[int]) -> tuple[int | None, int | None, int | None, float | None]:
        """Values of `Sample`: gpu_process, gpu_device, gpu_allocated, gpu_busy."""
        torch: Any = sys.modules.get("torch")
        initialized = getattr(getattr(torch, "cuda", None), "is_initialized", None)  # torch may be half imported
        if initialized is None or not initialized():
            return None, None, None, None
        import pynvml

        handles = self._found(torch)
        held = [_used_memory(handle, pids) for handle in handles]
        memory = [ask_nvml(pynvml.nvmlDeviceGetMemoryInfo, handle) for handle in handles]
        return (
            max(filter(None, held), default=None),
            max((info.used for info in memory if info), default=None),
            torch.cuda.max_memory_allocated(0),
            self.busy(torch),
        )

    def busy(self, torch: Any) -> float | None:
        """Share of the last moment (1/6 to 1 s, by the driver) in which the GPUs computed; `None` where it is not
        reported, as of a MIG instance."""
        import pynvml

        rates = [ask_nvml(pynvml.nvmlDeviceGetUtilizationRates, handle) for handle in self._found(torch)]
        shares = [rate.gpu / 100 for rate in rates if rate]
        return sum(shares) / len(shares) if shares else None

    def _found(self, torch: Any) -> Sequence[Any]:
        self._handles = self._find(torch) if self._handles is None else self._handles
        return self._handles

    def _find(self, torch: Any) -> list[Any]:
        """The driver's handles: by their unique names, since CUDA_VISIBLE_DEVICES counts otherwise. Empty where there
        is no driver that reports anything."""
        import pynvml

        properties = [torch.cuda.get_device_properties(index) for index in range(_local_world_size())]
        self.name = properties[0].name
        try:
            pynvml.nvmlInit()
        except pynvml.NVMLError:
            return []
        names = [[f"{kind}-{device.uuid}" for kind in ("GPU", "MIG")] for device in properties]
        found = [[ask_nvml(pynvml.nvmlDeviceGetHandleByUUID, name) for name in either] for either in names]
        return [handle for either in found for handle in either if handle]


def _local_world_size() -> int:
    """Processes of this training on this machine, each with a GPU of its own, as torchrun counts them."""
    return int(os.environ.get("LOCAL_WORLD_SIZE", "1"))


def _used_memory(handle: Any, pids: set[int]) -> int:
    """Bytes that these processes use on a GPU; 0 where the driver does not report it."""
    import pynvml

    processes = ask_nvml(pynvml.nvmlDeviceGetComputeRunningProcesses, handle) or []
    return sum(process.usedGpuMemory or 0 for process in processes if process.pid in pids)


def resources_of(folder: Path, *, pictures: int) -> dict[str, Any]:
    """Resources of a training, measured over all its runs; `None` where nothing was measured.

    Args:
        folder: of the training's state.
        pictures: pictures of an epoch.

    Returns:
        samples and sample_seconds (their median distance); peak_ram_bytes; gpu (its name), peak_gpu_bytes on the
        fullest GPU with gpu_bytes_of (`process`, or `device` where the driver reports only what all processes hold),
        peak_gpu_allocated_bytes (tensors), mean_gpu_busy; mean and peak disk_read_bytes_per_second and
        disk_write_bytes_per_second; least_disk_free_bytes; epochs, seconds_per_epoch (median), pictures (of an epoch),
        pictures_per_second (of whole epochs, validations included); checkpoint_bytes.
    """
    samples, history = read_samples(folder), read_rows(folder / "history.csv")
    seconds, checkpoint = epoch_seconds(history), folder / "last.pt"
    process, device = peak(samples, "gpu_process"), peak(samples, "gpu_device")
    times = list(values_of(samples, "time"))
    distances = [after - before for before, after in itertools.pairwise(times)]
    return {
        "samples": len(samples),
        "sample_seconds": statistics.median(distances) if distances else None,
        "peak_ram_bytes": peak(samples, "ram"),
        "gpu": read_mapping(folder / "progress.json").get("gpu"),
        "peak_gpu_bytes": device if process is None else process,
        "gpu_bytes_of": "process" if process is not None else "device" if device is not None else None,
        "peak_gpu_allocated_bytes": peak(samples, "gpu_allocated"),
        "mean_gpu_busy": mean(samples, "gpu_busy"),
        "mean_disk_read_bytes_per_second": mean(samples, "disk_read"),
        "peak_disk_read_bytes_per_second": peak(samples, "disk_read"),
        "mean_disk_write_bytes_per_second": mean(samples, "disk_write"),
        "peak_disk_write_bytes_per_second": peak(samples, "disk_write"),
        "least_disk_free_bytes": min(values_of(samples, "disk_free"), default=None),
        "epochs": len(history),
        "seconds_per_epoch": statistics.median(seconds) if seconds else None,
        "pictures": pictures,
        "pictures_per_second": pictures * len(seconds) / sum(seconds) if seconds and sum(seconds) else None,
        "checkpoint_bytes": checkpoint.stat().st_size if checkpoint.is_file() else None,
    }


def read_samples(folder: Path) -> list[Row]:
    """Complete rows of `resources.csv`; empty where there is none."""
    return read_rows(folder / FILE)


def peak(samples: Sequence[Row], column: str) -> float | None:
    """The largest value of a column."""
    return max(values_of(samples, column), default=None)


def mean(samples: Sequence[Row], column: str) -> float | None:
    """The mean of a column's values."""
    values = list(values_of(samples, column))
    return sum(values) / len(values) if values else None


def values_of(samples: Sequence[Row], column: str) -> Iterator[float]:
    """A column's values where there are some."""
    return (value for row in samples if (value := row.get(column)) is not None)


def epoch_seconds(history: Sequence[Row]) -> list[float]:
    """Seconds of each epoch of a history, where they are known."""
    return list(values_of(history, "seconds"))
