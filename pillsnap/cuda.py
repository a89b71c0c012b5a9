"""NVIDIA's CUDA driver, asked directly: its version, and the devices that this process may use.

The driver itself reads CUDA_VISIBLE_DEVICES (indices, UUIDs, MIG instances, nothing), in CUDA's own order of devices,
which is not NVML's. It also answers where torch's CUDA is too new for it, and where there is no torch.
"""

import ctypes
import uuid
from dataclasses import dataclass
from typing import Any

LIBRARY = "libcuda.so.1"
NO_DEVICE = 100
"""CUDA_ERROR_NO_DEVICE: no GPU, or CUDA_VISIBLE_DEVICES names none."""
CAPABILITY = 75, 76
"""Major and minor number of the compute capability, among a device's attributes in cuda.h."""


@dataclass(frozen=True)
class CudaDevice:
    """A device that CUDA computes on: a GPU or a MIG instance.

    Attributes:
        name: of the GPU.
        uuid: as NVML gives it, without `GPU-` or `MIG-`.
        capability: compute capability, (8, 9) for instance.
        memory_total: bytes.
    """

    name: str
    uuid: str
    capability: tuple[int, int]
    memory_total: int


@dataclass(frozen=True)
class CudaDriver:
    """The installed driver.

    Attributes:
        version: newest CUDA version that it supports, (13, 0) for instance.
        devices: that this process may use, in CUDA's order.
        error: the driver's own reason why it cannot be used; empty where it can.
    """

    version: tuple[int, int]
    devices: tuple[CudaDevice, ...] = ()
    error: str = ""


class _CallError(Exception):
    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


def cuda_driver() -> CudaDriver | None:
    """Ask the driver, without creating a context on a device; `None` where it is not installed."""
    try:
        library = ctypes.CDLL(LIBRARY)
    except OSError:
        return None
    version = (0, 0)
    try:
        version = divmod(_number(library, "cuDriverGetVersion") // 10, 100)
        _call(library, "cuInit", 0)
        count = _number(library, "cuDeviceGetCount")
        return CudaDriver(version, tuple(_device(library, index) for index in range(count)))
    except _CallError as error:
        return CudaDriver(version, error="" if error.status == NO_DEVICE else _reason(library, error.status))


def _device(library: ctypes.CDLL, index: int) -> CudaDevice:
    device = _number(library, "cuDeviceGet", index)
    name, identity, memory = ctypes.create_string_buffer(256), ctypes.create_string_buffer(16), ctypes.c_size_t()
    _call(library, "cuDeviceGetName", name, len(name), device)
    # of a MIG instance, the first version gives the GPU's
    version = "_v2" if hasattr(library, "cuDeviceGetUuid_v2") else ""
    _call(library, f"cuDeviceGetUuid{version}", identity, device)
    _call(library, "cuDeviceTotalMem_v2", ctypes.byref(memory), device)
    major, minor = (_number(library, "cuDeviceGetAttribute", each, device) for each in CAPABILITY)
    return CudaDevice(
        name.value.decode(errors="replace"), str(uuid.UUID(bytes=identity.raw)), (major, minor), memory.value
    )


def _number(library: ctypes.CDLL, function: str, *arguments: Any) -> int:
    """The int that a function writes through its first parameter."""
    value = ctypes.c_int()
    _call(library, function, ctypes.byref(value), *arguments)
    return value.value


def _call(library: ctypes.CDLL, function: str, *arguments: Any) -> None:
    if status := getattr(library, function)(*arguments):
        raise _CallError(status)


def _reason(library: ctypes.CDLL, status: int) -> str:
    """Name and description of an error, as the driver gives them."""
    texts = []
    for function in ("cuGetErrorName", "cuGetErrorString"):
        text = ctypes.c_char_p()
        if not getattr(library, function)(status, ctypes.byref(text)) and text.value:
            texts.append(text.value.decode(errors="replace"))
    return ": ".join(texts) or f"CUDA error {status}"
