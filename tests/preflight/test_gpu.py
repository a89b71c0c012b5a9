"""What CUDA and NVML say of the machine's GPUs, by tables, and the verdict."""

import getpass
import os
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from pillsnap.config.training import Trainings
from pillsnap.cuda import CudaDevice, CudaDriver
from pillsnap.hardware import Gpu
from pillsnap.preflight import gpu
from pillsnap.preflight.cuda import check_compiler, check_cuda, check_onnx_runtime, runs_on
from pillsnap.preflight.findings import GIB
from pillsnap.preflight.gpu import check_batches, check_gpus, choose_batches, with_batches
from pillsnap.preflight.stage import check_hardware
from tests.support.nvidia import install_cuda, install_nvml
from tests.support.preflight import AMOUNTS, PRODUCTION, config, ends


def card(free: float | None, *holders: tuple[int, int], total: float | None = 16, uuid: str = "a") -> Gpu:
    return Gpu("Test card", *(None if size is None else int(size * GIB) for size in (total, free)), holders, uuid)


def driver(*uuids: str, capability: tuple[int, int] = (8, 0), version: tuple[int, int] = (13, 0)) -> CudaDriver:
    return CudaDriver(version, tuple(CudaDevice("Test card", uuid, capability, 16 * GIB) for uuid in uuids))


@pytest.mark.parametrize(
    ("found", "device", "verdicts", "words"),
    [
        ([], "auto", ["ok"], "none; trainings run on the CPU"),
        ([], "cuda", ["refused"], "none, but device = cuda"),
        ([card(15.5)], "cuda", ["ok"], "15.5 GiB of 16.0 GiB free; the trainings need about 11.7 GiB"),
        ([card(4)], "cuda", ["warning"], "4.0 GiB of 16.0 GiB free"),
        ([card(7.9, total=8)], "cuda", ["warning"], "the trainings need about 11.7 GiB"),
        ([card(4)], "cpu", ["ok"], "not used"),
        ([card(15.5), card(1, uuid="b")], "cuda", ["ok", "ok"], "the trainings need"),
        ([card(14, (os.getpid(), GIB))], "cuda", ["ok"], f"user {getpass.getuser()}, 1.0 GiB"),
        ([card(3, (os.getpid(), 0))], "cuda", ["warning"], "memory unknown"),
        ([card(3, (2**22 + 1, GIB))], "cuda", ["warning"], "not visible from here, perhaps in another container"),
        ([card(None, total=None)], "cuda", ["ok"], "16.0 GiB, free memory not reported; the trainings need"),
        ([card(None, total=None)], "cpu", ["ok"], "memory not reported; not used"),
        ([card(4, uuid="")], "cuda", ["warning"], "4.0 GiB of 16.0 GiB free; the trainings need"),
    ],
)
def test_gpus(found: list[Gpu], device: str, verdicts: list[str], words: str) -> None:
    one = PRODUCTION.model_copy(update={"device": device})
    findings = check_gpus(found, driver("a") if found else None, one)
    assert [ends(each) for each in findings] == verdicts
    assert words in findings[0].found


def test_hidden_holder_is_named_by_its_number(monkeypatch: pytest.MonkeyPatch) -> None:
    def hidden(pid: int) -> None:
        raise psutil.AccessDenied(pid)

    monkeypatch.setattr(gpu.psutil, "Process", hidden)
    found = check_gpus([card(3, (7, GIB))], driver("a"), PRODUCTION)[0].found
    assert "process 7 (1.0 GiB; name and user are hidden)" in found


@pytest.mark.parametrize(
    ("visible", "short"),
    [("ab", ["a"]), ("ba", ["b"]), ("b", ["b"]), ("", []), ("m", ["m"])],
    ids=["the first", "CUDA's order", "by index or UUID", "none", "a MIG instance that NVML does not list"],
)
def test_only_the_gpu_that_is_used_can_be_short(visible: str, short: list[str]) -> None:
    """The driver says which GPUs it leaves, whatever CUDA_VISIBLE_DEVICES looks like."""
    small = CudaDriver((13, 0), tuple(CudaDevice("Test card", uuid, (8, 0), GIB) for uuid in visible))
    findings = check_gpus([card(1, uuid="a"), card(1, uuid="b")], small, PRODUCTION)
    uuids = ["a", "b", "m"]
    assert [uuid for uuid, found in zip(uuids, findings, strict=False) if ends(found) == "warning"] == short


def test_a_gpu_for_each_process_is_looked_at() -> None:
    two = PRODUCTION.model_copy(update={"training": Trainings(processes=2)})
    findings = check_gpus([card(15), card(1, uuid="b"), card(1, uuid="c")], driver("a", "b", "c"), two)
    assert [ends(found) for found in findings] == ["ok", "warning", "ok"]


@pytest.mark.parametrize(
    ("settings", "driven", "words"),
    [
        ({"batch": 8}, driver("a"), ""),
        ({"batch": "auto"}, driver("a"), "auto: batch 8 by Test card, 16 GiB (reference batch 8)"),
        ({"batch": "auto", "reference_batch": 2}, driver("a"), "auto: batch 8 by Test card, 16 GiB"),
        ({"batch": "auto", "reference_batch": 2}, None, "auto: batch 2 by the CPU"),
    ],
)
def test_batch_that_auto_becomes_is_told(settings: dict, driven: CudaDriver | None, words: str) -> None:
    for part in ("classifier", "detector"):
        recipe = getattr(PRODUCTION, part).model_copy(update=settings)
        one = PRODUCTION.model_copy(update={part: recipe})
        choices = choose_batches(driven, replace(AMOUNTS, trained_pills=1e6, detector_photos=1e6), one)
        told = {each.what: each.found[: len(words)] for each in check_batches(choices)}
        assert told == ({f"{part}.batch": words} if words else {})
        assert getattr(with_batches(one, choices), part).batch == (choices[part].batch if words else 8)


FP32 = {"classifier": {"precision": "fp32"}, "detector": {"precision": "fp32"}}
BF16 = {"classifier": {"precision": "bf16"}}
PHASE = {"steering": {"phases": [{"name": "fine-tuning", "from_epoch": 9, "detector": {"precision": "bf16"}}]}}


@pytest.mark.parametrize(
    ("driven", "settings", "refused", "words"),
    [
        (driver("a"), BF16, [], "the driver supports CUDA 13.0, torch was built with 13.0"),
        (driver("a", version=(13, 1)), {}, [], "13.1"),
        (driver("a", version=(14, 0)), {}, [], "14.0"),
        (driver("a", version=(12, 9)), {}, ["CUDA"], "Update NVIDIA's driver to 580 or newer, or set device: cpu"),
        (driver("a", version=(12, 9)), {"device": "cpu"}, [], ""),
        (driver("a", capability=(6, 1)), FP32, ["architecture"], "capability 6.1; torch was built for sm_75"),
        (driver("a", capability=(7, 5)), FP32, [], ""),
        (driver("a", capability=(8, 9)), BF16, [], ""),
        (driver("a", capability=(7, 5)), BF16, ["bf16"], "classifier.precision = bf16; Test card (compute capability"),
        (driver("a", capability=(7, 5)), FP32 | PHASE, ["bf16"], "phase fine-tuning: detector = bf16"),
        (driver("a"), {"training": {"processes": 2}}, ["GPUs"], "training.processes = 2, and 1 visible to CUDA"),
        (driver("a", "b"), {"training": {"processes": 2}}, [], ""),
        (driver("a", "b"), {"training": {"processes": 2}, "detector": {"batch": 9}}, ["GPUs"], "detector.batch = 9"),
        (None, {}, ["CUDA"], "there are GPUs, and no libcuda.so.1"),
        (CudaDriver((13, 0), error="CUDA_ERROR_X: broken"), {}, ["CUDA"], "cannot be used: CUDA_ERROR_X: broken"),
        (None, {"device": "cpu"}, [], ""),
    ],
)  # fmt: skip
def test_cuda_is_asked_before_anything_is_decoded(
    monkeypatch: pytest.MonkeyPatch, driven: CudaDriver | None, settings: dict, refused: list[str], words: str
) -> None:
    monkeypatch.setattr("torch.version.cuda", "13.0")
    monkeypatch.setattr("torch.cuda.get_arch_list", lambda: ["sm_75", "sm_80", "sm_86", "sm_90", "sm_120"])
    findings = check_cuda([card(15)], driven, config(**settings))
    assert [found.what for found in findings if ends(found) == "refused"] == refused
    assert words in "; ".join(f"{found.found}. {found.cure}" for found in findings)


@pytest.mark.parametrize(
    ("visible", "device", "verdict"),
    [("", "auto", "ok"), ("-1", "auto", "ok"), ("7", "auto", "warning"), ("GPU-12", "auto", "warning"),
     ("MIG-12", "cuda", "refused"), ("", "cuda", "refused")],
)  # fmt: skip
def test_gpus_that_are_hidden(monkeypatch: pytest.MonkeyPatch, visible: str, device: str, verdict: str) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    (found,) = check_cuda([card(15)], driver(), config(device=device))
    assert ends(found) == verdict and f"CUDA_VISIBLE_DEVICES={visible} leaves no GPU" in found.found


@pytest.mark.parametrize(
    ("driven", "device", "reason", "verdicts"),
    [
        (None, "cuda", "libcublasLt.so.13: cannot open", []),
        (driver("a"), "cpu", "libcublasLt.so.13: cannot open", []),
        (driver("a"), "auto", "", ["ok"]),
        (driver("a"), "auto", "libcublasLt.so.13: cannot open", ["warning"]),
        (driver("a"), "cuda", "libcublasLt.so.13: cannot open", ["refused"]),
    ],
)
def test_onnx_runtime_without_cuda_is_found_before_the_trainings(
    monkeypatch: pytest.MonkeyPatch, driven: CudaDriver | None, device: str, reason: str, verdicts: list[str]
) -> None:
    monkeypatch.setattr("pillsnap.predict.sessions.why_no_cuda", lambda: reason)
    findings = check_onnx_runtime(driven, config(device=device))
    assert [ends(found) for found in findings] == verdicts
    assert all(reason in found.found for found in findings)


@pytest.mark.parametrize(
    ("compiled", "driven", "there", "header", "words"),
    [
        (False, driver("a"), "", "no.h", None),
        ("reduce-overhead", driver("a"), "clang", "Python.h", ""),
        ("reduce-overhead", driver("a"), "g++", "Python.h", "a C compiler (gcc or clang)"),
        (True, None, "g++", "Python.h", ""),
        (True, None, "gcc", "Python.h", "a C++ compiler (g++)"),
        (True, driver("a"), "gcc", "no.h", "Python's headers (Python.h)"),
        (True, driver("a"), "", "no.h", "a C compiler (gcc or clang) and Python's headers (Python.h)"),
    ],
)
def test_what_compiles_is_looked_for(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    compiled: bool | str,
    driven: CudaDriver | None,
    there: str,
    header: str,
    words: str | None,
) -> None:
    (tmp_path / header).touch()
    for name in ("CC", "CXX"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("sysconfig.get_paths", lambda: {"include": str(tmp_path)})
    monkeypatch.setattr("shutil.which", lambda name: name if name == there else None)
    findings = check_compiler(driven, config(classifier={"compile": compiled}))
    assert [ends(found) for found in findings] == ([] if words is None else ["refused" if words else "ok"])
    assert all(words in found.found for found in findings if words)


def test_compiler_of_the_surroundings_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CC", "no-such-compiler -O2")
    (found,) = check_compiler(driver("a"), config(classifier={"compile": True}))
    assert "a C compiler (no-such-compiler)" in found.found


@pytest.mark.parametrize(
    ("capability", "built", "runs"),
    [
        ((8, 9), ["sm_80"], True),
        ((8, 0), ["sm_86"], False),
        ((9, 0), ["sm_80"], False),
        ((9, 0), ["sm_80", "compute_80"], True),
        ((7, 0), ["compute_80"], False),
        ((9, 0), ["sm_90a"], True),
        ((12, 1), ["sm_120"], True),
        ((10, 3), ["sm_100f"], True),
    ],
)
def test_architectures(capability: tuple[int, int], built: list[str], runs: bool) -> None:
    assert runs_on(capability, built) is runs


def test_an_old_driver_is_refused_on_the_real_way(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Through the libraries that the machine would have, to the finding of `check_hardware`."""
    install_cuda(monkeypatch, tmp_path, version=12040, capability=75)
    install_nvml(monkeypatch, tmp_path, fails="memory")
    found = check_hardware(AMOUNTS, config(**BF16), "stage4", jobs=1).findings
    told = {one.what: (ends(one), one.found) for one in found if one.what in ("CUDA", "bf16", "GPU")}
    assert {what: verdict for what, (verdict, _) in told.items()} == {"CUDA": "refused", "bf16": "refused", "GPU": "ok"}
    assert told["GPU"][1].startswith("Test card: 16.0 GiB, free memory not reported; the trainings need about")
