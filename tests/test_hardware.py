"""What the machine really has, and what is asked of it."""

import os
import shutil
from pathlib import Path

import pytest
import torch

from pillsnap.hardware import (
    HardwareError,
    cores,
    cpu_name,
    disk_free,
    gpus,
    memory,
    quota_cores,
    torch_device,
    usable_threads,
)


@pytest.mark.parametrize(
    ("quotas", "expected"),
    [
        ([], None),
        ([""], None),
        (["max 100000"], None),
        (["max 100000\n", " "], None),
        (["200000 100000\n"], 2),
        (["-1 100000"], None),
        (["400000\n 100000\n"], 4),
        (["250000 50000"], 5),
        (["20000 100000"], 1),
        (["180000 100000"], 2),
        (["max 100000", "300000 100000", ""], 3),
        (["800000 100000", "200000 100000", "-1 100000"], 2),
    ],
)
def test_quota_cores(quotas: list[str], expected: int | None) -> None:
    assert quota_cores(quotas) == expected


def test_cores_are_at_most_the_affinity_mask() -> None:
    assert 1 <= cores() <= len(os.sched_getaffinity(0))


@pytest.mark.parametrize(("asked", "expected"), [(1, 1), (0, 1), (-3, 1), (10_000, None)])
def test_usable_threads(asked: int, expected: int | None) -> None:
    assert usable_threads(asked) == (expected or cores())


def test_memory_and_disk_are_plausible(tmp_path: Path) -> None:
    total, available = memory()
    assert 0 < available <= total
    assert disk_free(tmp_path / "not" / "there" / "yet") > 0
    assert cpu_name()


@pytest.mark.parametrize(("asked", "expected"), [("cpu", "cpu"), ("auto", None), ("cuda", None)])
def test_torch_device(asked: str, expected: str | None) -> None:
    works = torch.cuda.is_available()
    if asked == "cuda" and not works:
        with pytest.raises(HardwareError, match=r"device = cuda: no CUDA device works .* Set device to auto or cpu"):
            torch_device(asked)
        return
    assert torch_device(asked) == (expected or ("cuda" if works else "cpu"))


def test_gpus_are_those_of_the_driver() -> None:
    found = gpus()
    assert all(0 <= gpu.memory_free <= gpu.memory_total and gpu.name for gpu in found)
    if torch.cuda.is_available():
        assert len(found) >= torch.cuda.device_count()
    elif shutil.which("nvidia-smi") is None:
        assert found == []
