"""Where ONNX Runtime computes: by CUDA where it works, else an error or a warning with the library's reason."""

import json
import logging
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from PIL import Image

from pillsnap import cuda
from pillsnap.hardware import HardwareError, cores
from pillsnap.predict import sessions
from pillsnap.predict.sessions import CUDA_OPTIONS, ModelError, device_of, open_session, run_batch, why_no_cuda
from tests.support.models import draw_photo, onnx_models
from tests.support.nvidia import install_cuda, old_driver


@pytest.fixture(scope="module")
def models(base: Path) -> Path:
    return onnx_models(base)


@pytest.fixture(autouse=True)
def each_process_anew(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Without a driver, and as in a new process, which has warned of nothing."""
    monkeypatch.setattr(cuda, "LIBRARY", str(tmp_path / "none.so"))
    for cached in (sessions._preload_cuda, sessions._warn_once):
        cached.cache_clear()


class Runtime:
    """ONNX Runtime on a machine with CUDA, whose sessions compute here: it notes what it is asked."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, error: str | None = None) -> None:
        self.calls: list[Any] = []
        self._session, self._error = onnxruntime.InferenceSession, error
        monkeypatch.setattr(onnxruntime, "preload_dlls", self._preload)
        monkeypatch.setattr(onnxruntime, "InferenceSession", self._open)
        monkeypatch.setattr(sessions, "device_of", lambda session: self.calls[-1][0])

    def _preload(self) -> None:
        print("Failed to load libcudnn.so.9")
        self.calls.append("preload")

    def _open(self, path: Path, options: Any, *, providers: list[Any], **more: Any) -> onnxruntime.InferenceSession:
        on_cuda = providers != ["CPUExecutionProvider"]
        self.calls.append(("cuda" if on_cuda else "cpu", providers, more))
        if on_cuda and self._error:
            raise RuntimeError(self._error)
        return self._session(path, options, providers=["CPUExecutionProvider"])


@pytest.mark.parametrize("device", ["cuda", "auto"])
def test_cuda_is_loaded_from_the_wheels_before_it_is_used(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, models: Path, capsys: pytest.CaptureFixture[str], device: str
) -> None:
    install_cuda(monkeypatch, tmp_path)
    runtime = Runtime(monkeypatch)
    open_session(models / "detector.onnx", threads=1, device=device)
    providers = [("CUDAExecutionProvider", CUDA_OPTIONS), "CPUExecutionProvider"]
    assert runtime.calls == ["preload", ("cuda", providers, {"enable_fallback": 0})]
    assert capsys.readouterr().out == "", "answers go to standard output, and nothing else"


@pytest.mark.skipif(cores() < 2, reason="needs two cores")
def test_no_thread_spins_after_an_answer(models: Path) -> None:
    """Threads may take the cores while they wait for each other, not from other work afterwards."""
    session = open_session(models / "classifier.onnx", threads=2, device="cpu")
    (asked,) = session.get_inputs()
    crops = np.zeros((8, *asked.shape[1:]), np.uint8)
    after = 0.0
    for _ in range(10):
        session.run(None, {asked.name: crops})
        began = time.process_time()
        time.sleep(0.05)
        after += time.process_time() - began
    assert after < 0.25 * 0.5, "ten pauses of 50 ms"


def test_one_that_was_asked_for_is_an_error_with_its_reason(monkeypatch: pytest.MonkeyPatch, models: Path) -> None:
    wrapped = "cuda_call.cc:154 void CudaCall() CUDA failure 35: driver is too old ; GPU=-1 ; hostname=here ; line=1"
    Runtime(monkeypatch, wrapped)
    with pytest.raises(HardwareError) as raised:
        open_session(models / "detector.onnx", threads=1, device="cuda")
    said = (
        "device = cuda: ONNX Runtime cannot use CUDA (CUDA failure 35: driver is too old). Set device to auto or cpu."
    )
    assert str(raised.value) == said


@pytest.mark.parametrize(
    ("providers", "words"),
    [
        (["CPUExecutionProvider"], "this build has no CUDA: install onnxruntime-gpu"),
        (["CUDAExecutionProvider", "CPUExecutionProvider"], "no-such-library.so"),
    ],
)
def test_why_cuda_does_not_load_is_known_without_a_model(
    monkeypatch: pytest.MonkeyPatch, providers: list[str], words: str
) -> None:
    def missing(path: str) -> None:
        raise OSError("no-such-library.so: cannot open shared object file")

    monkeypatch.setattr(onnxruntime, "preload_dlls", lambda: None)
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: providers)
    monkeypatch.setattr(sessions.ctypes, "CDLL", missing)
    assert words in why_no_cuda()


def test_no_model_is_no_fault_of_cuda(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    Runtime(monkeypatch, "[ONNXRuntimeError] : 7 : INVALID_PROTOBUF")
    (tmp_path / "detector.onnx").write_bytes(b"no model")
    with pytest.raises(ModelError, match="ONNX Runtime cannot load it"):
        open_session(tmp_path / "detector.onnx", threads=1, device="cuda")


@pytest.mark.parametrize(
    ("driver", "error", "words"),
    [
        (
            {},
            "[ONNXRuntimeError] : 1 : FAIL : no kernel",
            "ONNX Runtime cannot use CUDA ([ONNXRuntimeError] : 1 : FAIL",
        ),
        ({"init": 803}, None, "CUDA's driver cannot be used (CUDA_ERROR_SYSTEM_DRIVER_MISMATCH: "),
        ({"init": 100}, None, ""),
    ],
    ids=["it does not work", "driver", "no GPU or none visible"],
)
def test_auto_says_once_why_it_fell_back(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, models: Path, caplog: pytest.LogCaptureFixture,
    driver: dict[str, int], error: str | None, words: str,
) -> None:  # fmt: skip
    install_cuda(monkeypatch, tmp_path, **driver)
    runtime = Runtime(monkeypatch, error)
    for name in ("detector", "classifier"):
        open_session(models / f"{name}.onnx", threads=1, device="auto")
        assert runtime.calls[-1][0] == "cpu"
    told = [record.message for record in caplog.records if record.levelno == logging.WARNING]
    assert len(told) == (1 if words else 0)
    assert all(text.startswith(f"NO GPU IS USED, answers are computed on the CPU: {words}") for text in told)


def test_without_a_driver_auto_is_the_cpu(models: Path, caplog: pytest.LogCaptureFixture) -> None:
    session = open_session(models / "detector.onnx", threads=1, device="auto")
    assert (device_of(session), caplog.messages) == ("cpu", [])


@pytest.mark.parametrize(("device", "status"), [("auto", 0), ("cuda", 2)])
def test_the_real_library_and_an_old_driver(tmp_path: Path, models: Path, device: str, status: int) -> None:
    """ONNX Runtime's own CUDA library, loaded as on a machine whose driver is too old for it, in a process without
    torch: it has read our options, and its reason is told once."""
    Image.fromarray(draw_photo([0])[0]).save(tmp_path / "photo.png")
    words = ["predict", tmp_path / "photo.png", "--models", models, "--json", "--device", device]
    done = subprocess.run(
        [sys.executable, "-m", "pillsnap.cli", *map(str, words)],
        capture_output=True, text=True, check=False, env=old_driver(tmp_path),
    )  # fmt: skip
    assert done.returncode == status, done.stderr
    assert done.stderr.count("CUDA failure 35: CUDA driver version is insufficient for CUDA runtime version") == 1
    assert ("NO GPU IS USED" in done.stderr) == (status == 0)
    assert "hostname" not in done.stderr
    assert json.loads(done.stdout)["photo"].endswith("photo.png") if status == 0 else done.stdout == ""


class Small:
    """A network on a card whose memory ends, by some library's words, for more than two pictures."""

    def __init__(self, words: str) -> None:
        self._words, self.batches = words, []

    def run(self, outputs: list[str] | None, given: dict[str, np.ndarray]) -> list[np.ndarray]:
        self.batches.append(len(given["pictures"]))
        if self.batches[-1] > 2:
            raise RuntimeError(self._words)
        return [given["pictures"].sum(axis=1), -given["pictures"]]


@pytest.mark.parametrize(
    "words",
    [
        "[ONNXRuntimeError] : 6 : RUNTIME_EXCEPTION : Failed to allocate memory for requested buffer of size 1",
        "CUDA failure 2: out of memory",
        "CUDNN failure 4002: CUDNN_STATUS_ALLOC_FAILED",
        "CUBLAS failure 3: CUBLAS_STATUS_ALLOC_FAILED",
    ],
)
def test_a_batch_that_memory_ends_for_is_computed_in_halves(words: str) -> None:
    pictures, card = np.arange(14.0).reshape(7, 2), Small(words)
    summed, negative = run_batch(card, None, "pictures", pictures)
    assert np.array_equal(summed, pictures.sum(axis=1)) and np.array_equal(negative, -pictures)
    assert card.batches == [7, 4, 2, 2, 3, 2, 1]


def test_another_error_is_raised_and_so_is_that_of_a_single_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(RuntimeError, match="an illegal memory access"):
        run_batch(
            Small("CUDA failure 700: an illegal memory access was encountered"), None, "pictures", np.ones((4, 2))
        )
    card = Small("out of memory")
    monkeypatch.setattr(card, "run", lambda *_: (_ for _ in ()).throw(RuntimeError("out of memory")))
    with pytest.raises(RuntimeError, match="out of memory"):
        run_batch(card, None, "pictures", np.ones((4, 2)))
