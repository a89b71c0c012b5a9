"""What NVIDIA's driver libraries answer, played by ones that are compiled here."""

from pathlib import Path

import pytest

from pillsnap import cuda
from pillsnap.cuda import CudaDevice, CudaDriver, cuda_driver
from pillsnap.hardware import Gpu, HardwareError, gpus, torch_device
from tests.support.nvidia import MIG, NVML, QUERIES, install_cuda, install_nvml, load_nvml

GIB = 2**30
CARD = Gpu("Test card", 16 * GIB, 12 * GIB, ((4194305, 4 * GIB),), "11111111-1111-1111-1111-111111111111")


def test_without_a_driver_there_is_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(cuda, "LIBRARY", str(tmp_path / "none.so"))
    assert cuda_driver() is None


@pytest.mark.parametrize("uuid", ["cuDeviceGetUuid_v2", "cuDeviceGetUuid"])
def test_driver_and_devices(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, uuid: str) -> None:
    install_cuda(monkeypatch, tmp_path, version=12040, count=2, name="Card X", capability=89, gib=24, uuid=uuid)
    names = ("11111111-1111-1111-1111-111111111111", "22222222-2222-2222-2222-222222222222")
    assert cuda_driver() == CudaDriver((12, 4), tuple(CudaDevice("Card X", each, (8, 9), 24 * GIB) for each in names))


@pytest.mark.parametrize(
    ("status", "error"),
    [(100, ""), (803, "CUDA_ERROR_SYSTEM_DRIVER_MISMATCH: driver and library do not fit")],
)
def test_why_there_is_no_device(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, status: int, error: str) -> None:
    install_cuda(monkeypatch, tmp_path, init=status)
    assert cuda_driver() == CudaDriver((13, 0), (), error)


def test_a_device_that_was_asked_for_is_missed_with_the_drivers_reason(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    install_cuda(monkeypatch, tmp_path, init=803)
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(HardwareError, match=r"no CUDA device works on this machine: CUDA_ERROR_SYSTEM_DRIVER_MISMATCH"):
        torch_device("cuda")


@pytest.mark.parametrize("status", [3, 999, 0])
@pytest.mark.parametrize("query", [None, *QUERIES])
def test_every_query_of_the_driver_may_fail(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, query: str | None, status: int
) -> None:
    """Not supported, an unknown error, and a driver that has no such function."""
    install_nvml(monkeypatch, tmp_path, fails=query, status=status)
    unknown = {
        "name": {"name": "GPU without a reported name"},
        "memory": {"memory_total": None, "memory_free": None},
        "uuid": {"uuid": ""},
        "compute": {"holders": ()},
    }
    expected = [] if query in ("count", "handle") else [Gpu(**vars(CARD) | unknown.get(query, {}))]
    assert gpus() == expected


def test_a_divided_gpu_is_its_instances(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    functions = "\n".join(text for name, text in QUERIES.items() if name != "uuid")
    load_nvml(monkeypatch, NVML + functions + MIG, tmp_path)
    assert [gpu.uuid[:8] for gpu in gpus()] == ["22222222", "32222222"]
