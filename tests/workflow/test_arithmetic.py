"""Arithmetic that every x86-64 processor with AVX2 has: the variables act, and weights are the same bytes."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pillsnap.files import read_json, sha256_of
from pillsnap.workflow import arithmetic
from pillsnap.workflow.arithmetic import PORTABLE, LoadedError, has_avx2, is_portable, keep_portable
from tests.support.detectors import detector_job
from tests.support.models import classifier_job, tiny_stage
from tests.support.workflow import PROJECT

needs_avx2 = pytest.mark.skipif(not has_avx2(), reason="the processor has no AVX2, so nothing is kept to it")

WEIGHTS = {
    ("AuthenticAMD", "25", "17"): {
        "classifier": "ac547c769db78d5e93bd8e73c7433c01f400153828ac6dce7704d42a6b27e94b",
        "detector": "ca09eba7d9a2b47780b5709d04441b0f6871fbe8ea0026ab6c54dd92ddb1fb2c",
    },
}
"""SHA-256 of the tiny trainings' weights by vendor, family and model of the processor that made them; what is promised
is that all rows are alike. A processor of another kind prints its own, to be written down here."""
OTHERWISE = {"ATEN_CPU_CAPABILITY": "default", "MKL_CBWR": "AVX2", "OPENBLAS_NUM_THREADS": "3", "OMP_NUM_THREADS": "3"}
"""Another environment to start a job in."""
LOOKS = """
import json, sys
from pillsnap.workflow.command_line import logged_job
with logged_job("", sys.argv[1:]):
    import numpy, scipy.linalg, torch
    from numpy._core._multiarray_umath import __cpu_features__
    from threadpoolctl import threadpool_info
    torch.nn.functional.conv2d(torch.ones(4, 16, 32, 32), torch.ones(16, 16, 3, 3))
    blas = [(one["architecture"], one["num_threads"]) for one in threadpool_info() if one["user_api"] == "blas"]
    found = {"blas": blas, "numpy": __cpu_features__["X86_V4"]}
    print(json.dumps(found | {"torch": torch.backends.cpu.get_cpu_capability()}))
"""


def run(*words: str, **variables: str) -> str:
    """Run Python in the project with some variables of the environment changed; gives its standard output."""
    kept = {name: value for name, value in os.environ.items() if name not in PORTABLE}
    environment = {**kept, "PYTHONPATH": str(PROJECT), **variables}
    done = subprocess.run([sys.executable, *words], cwd=PROJECT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-4000:]
    return done.stdout


def kind_of_processor() -> tuple[str, str, str]:
    """Vendor, family and model."""
    facts = dict(
        re.findall(r"^(vendor_id|cpu family|model)\s*: (.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    )
    return facts["vendor_id"], facts["cpu family"], facts["model"]


@needs_avx2
def test_libraries_of_a_job_are_kept_to_avx2() -> None:
    said = run("-c", LOOKS, "--portable", "True", ONEDNN_VERBOSE="1", **OTHERWISE)
    found = json.loads(said.splitlines()[-1])
    assert found["torch"] == "AVX2" and not found["numpy"]
    assert found["blas"] and all(one == ["Haswell", 1] for one in found["blas"])
    assert re.search(r"isa:Intel AVX2\n", said)


def test_libraries_of_other_jobs_are_as_the_processor_has_them() -> None:
    code = "import torch; print(torch.backends.cpu.get_cpu_capability())"
    assert json.loads(run("-c", LOOKS).splitlines()[-1])["torch"] == run("-c", code).strip()


def train(model: str, job: dict[str, Any], folder: Path, **variables: str) -> str:
    """Train as a rule does, with `portable`; gives the weights' SHA-256."""
    words = [f"scripts/train_{model}.py", "--portable", "true", "--record", str(folder / "record.json")]
    for name, value in job.items():
        words += [f"--{name}", value.model_dump_json() if hasattr(value, "model_dump_json") else str(value)]
    run(*words, **variables)
    assert read_json(folder / "record.json")["settings"]["portable"] is True
    return sha256_of(folder / "best.safetensors")


@needs_avx2
@pytest.mark.parametrize(
    ("model", "job_in"),
    [
        ("classifier", lambda base, folder: classifier_job(tiny_stage(base), folder)),
        pytest.param("detector", detector_job, marks=pytest.mark.campaign),
    ],
)
def test_weights_are_those_of_every_processor(
    base: Path, tmp_path: Path, model: str, job_in: Callable[[Path, Path], dict[str, Any]]
) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    made = train(model, job_in(base, one), one)
    assert train(model, job_in(base, other), other, **OTHERWISE) == made
    print(f"{kind_of_processor()} {model}: {made}")
    assert WEIGHTS.get(kind_of_processor(), {}).get(model, made) == made


def test_a_processor_without_avx2_is_warned_of(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "cpuinfo").write_text("flags\t\t: fpu sse2 avx\nprocessor : 1\n")
    monkeypatch.setattr(arithmetic, "CPUINFO", tmp_path / "cpuinfo")
    monkeypatch.delenv("ATEN_CPU_CAPABILITY", raising=False)
    keep_portable()
    assert not is_portable() and "no AVX2" in caplog.text


def test_arithmetic_is_not_changed_behind_a_loaded_library(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "cpuinfo").write_text("flags\t\t: fpu sse2 avx avx2 bmi1\n")
    monkeypatch.setattr(arithmetic, "CPUINFO", tmp_path / "cpuinfo")
    monkeypatch.delenv("ATEN_CPU_CAPABILITY", raising=False)
    monkeypatch.setitem(sys.modules, "torch", sys.modules.get("torch", sys))
    with pytest.raises(LoadedError, match="torch"):
        keep_portable()
    for name, value in PORTABLE.items():
        monkeypatch.setenv(name, value)
    keep_portable()
    assert is_portable()
