"""What the machine really has, and what is asked of it."""

import os
import platform
import shutil
from pathlib import Path

import pytest
import torch

from pillsnap.hardware import (
    HardwareError,
    _cgroup_memory,
    _cgroup_quotas,
    cores,
    cpu_in,
    cpu_name,
    disk_free,
    gpus,
    memory,
    memory_within,
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


@pytest.mark.parametrize(
    ("cpuinfo", "named"),
    [
        (
            "cpu family\t: 25\nmodel\t\t: 17\nmodel name\t: AMD EPYC\nflags\t: fpu avx avx2 avx512f\n\nmodel\t: 1\n",
            "AMD EPYC (family 25, model 17, AVX-512)",
        ),
        (
            "cpu family : 25\nmodel : 1\nmodel name : AMD EPYC\nflags : fpu avx avx2",
            "AMD EPYC (family 25, model 1, AVX2)",
        ),
        ("processor : 0\nFeatures : fp asimd\nCPU part : 0xd0c", "machine (NEON)"),
        ("", "machine"),
    ],
)
def test_processors_of_one_name_are_told_apart(monkeypatch: pytest.MonkeyPatch, cpuinfo: str, named: str) -> None:
    monkeypatch.setattr(platform, "processor", lambda: "")
    monkeypatch.setattr(platform, "machine", lambda: "machine")
    assert cpu_in(cpuinfo) == named


@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        ([], (1000, 700)),
        ([("", "", "")], (1000, 700)),
        ([("max\n", "400\n", "inactive_file 9\n")], (1000, 700)),
        ([("9223372036854771712\n", "400", "")], (1000, 700)),
        ([("500\n", "400\n", "")], (500, 100)),
        ([("500", "400", "anon 1\ninactive_file 250\n")], (500, 350)),
        ([("500", "400", "inactive_file 10\ntotal_inactive_file 250\n")], (500, 350)),
        ([("500", "600", "")], (500, 0)),
        ([("900", "100", "")], (900, 700)),
        ([("max", "1", ""), ("800", "500", ""), ("600", "100", "")], (600, 300)),
        ([("600", "100", ""), ("800", "750", "inactive_file 30")], (600, 500)),
    ],
)
def test_memory_within_cgroups(limits: list[tuple[str, str, str]], expected: tuple[int, int]) -> None:
    assert memory_within(1000, 700, limits) == expected


@pytest.mark.parametrize(
    ("cgroups", "files", "expected"),
    [
        ("0::/a/b\n", {"a/memory.max": "9", "a/memory.current": "4", "a/memory.stat": "x 1"}, [("9", "4", "x 1")]),
        ("0::/\n", {"memory.max": "7"}, [("7", "", "")]),
        ("4:memory:/a\n2:cpu:/b\n", {"memory/a/memory.limit_in_bytes": "9", "b/memory.max": "1"}, [("9", "", "")]),
        ("4:cpu,memory:/not/seen\n0::/\n", {"memory/memory.limit_in_bytes": "5"}, [("5", "", "")]),
        ("", {"memory.max": "9"}, []),
    ],
    ids=["version 2", "container's root", "version 1", "host's path", "no cgroup"],
)
def test_cgroups_above_a_process_are_read(tmp_path: Path, cgroups: str, files: dict, expected: list) -> None:
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    assert [found for found in _cgroup_memory(tmp_path, cgroups) if any(found)] == expected


@pytest.mark.parametrize(
    ("cgroups", "files", "expected"),
    [
        ("0::/a/b\n", {"a/cpu.max": "150000 100000\n", "cpu.max": "max 100000\n"}, 2),
        ("0::/not/seen\n", {"cpu.max": "400000 100000"}, 4),
        ("4:cpu,cpuacct:/a/b\n", {"cpu/a/cpu.cfs_quota_us": "100000\n", "cpu/a/cpu.cfs_period_us": "100000\n"}, 1),
        ("4:cpu:/a\n", {"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, None),
        ("", {"cpu.max": "100000 100000"}, None),
    ],
    ids=["version 2", "container's root", "version 1", "no limit", "no cgroup"],
)
def test_quotas_above_a_process_are_read(tmp_path: Path, cgroups: str, files: dict, expected: int | None) -> None:
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    assert quota_cores(_cgroup_quotas(tmp_path, cgroups)) == expected


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
