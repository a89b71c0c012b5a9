"""Arithmetic that every x86-64 processor with AVX2 has: the variables act, and weights are the same bytes."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
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

MADE = {
    "pictures": "04f1ae7d8988456c38f5892b8d8e4ac874d6c3aa37a4693b4f013dab37a0405c",
    "classifier": "ac547c769db78d5e93bd8e73c7433c01f400153828ac6dce7704d42a6b27e94b",
    "calibration": "b888d269809c961d03897d3a478c01a4c392feb66ca98feff6e1beeafd8885ee",
    "detector": "29cfc6f0cba27ccd6b106195d60b50aa684a9b75bf3d447cb0bc2c050dbd515d",
}
"""SHA-256 of what is drawn and prepared, of the tiny trainings' weights, and of a calibration and what it rests on, on
every processor with AVX2."""
MADE_ON = {
    ("AuthenticAMD", "25", "17"): {"classifier", "detector"},
    ("GenuineIntel", "6", "167"): set(MADE),
    ("GenuineIntel", "6", "207"): set(MADE),
}
"""What processors have made, by vendor, family and model. Where one makes other bytes that was not seen to make these,
the test ends as an expected failure that says so."""
EMULATED = ["Haswell", "Broadwell", "Skylake-Client", "EPYC", "EPYC-Rome"]
"""Processors with AVX2 as QEMU names them, none with AVX-512."""
OTHERWISE = {"ATEN_CPU_CAPABILITY": "default", "MKL_CBWR": "AVX2", "OPENBLAS_NUM_THREADS": "3", "OMP_NUM_THREADS": "3"}
"""Another environment to start a job in."""
DRAWS = """
import hashlib, sys
from pathlib import Path
from pillsnap.workflow.command_line import logged_job
with logged_job("", sys.argv[2:]):
    from pillsnap.config.data import Prepare, Scenes
    from pillsnap.scenes.compose_scenes import compose_scenes
    from pillsnap.scenes.cut_pills import cut_pills
    from pillsnap.sources.settings import SyntheticSource
    from tests.support.archives import draw_source, prepare_source
    folder = Path(sys.argv[1])
    few = {"drugs": 3, "photos_per_drug": 6, "validation_photos_per_drug": 1, "combos": 1, "validation_combos": 1}
    source = draw_source(folder / "raw", SyntheticSource(**few, single_archives=1, combo_archives=1, defects=0))
    prepared = prepare_source(source, folder / "results", prepare=Prepare(photo_size=416))
    prepared.build_manifest()
    cut_outs = [folder / "cut_outs" / path.name for path in prepared.prepared]
    for path, cut in zip(prepared.prepared, cut_outs):
        cut_pills(train=prepared.manifest()["train"], prepared=path, cut_outs=cut, per_drug=3, seed=1)
    compose_scenes(
        cut_outs=cut_outs, prepared=[], scenes=folder / "scenes", shard=0, side=416, settings=Scenes(photos=8), seed=1
    )
    whole = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.suffix in (".zip", ".bin", ".csv", ".parquet")):
        whole.update(path.read_bytes())
    print(whole.hexdigest())
"""
CALIBRATES = """
import hashlib, sys
from pathlib import Path
from pillsnap.workflow.command_line import logged_job
with logged_job("", sys.argv[2:]):
    from tests.support.models import calibrate
    made = calibrate(Path(sys.argv[1]), device="cpu", folder=Path(sys.argv[1]))
    print(hashlib.sha256(b"".join(path.read_bytes() for path in made.values())).hexdigest())
"""
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


def run(*words: str, python: Sequence[str] = (sys.executable,), **variables: str) -> str:
    """Run `python` in the project with some variables of the environment changed; gives its standard output."""
    kept = {name: value for name, value in os.environ.items() if name not in PORTABLE}
    environment = {**kept, "PYTHONPATH": str(PROJECT), **variables}
    done = subprocess.run([*python, *words], cwd=PROJECT, env=environment, capture_output=True, text=True)
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


def make(name: str, base: Path, folder: Path, **how: Any) -> str:
    """Draw and prepare pictures, train a model, or calibrate, as rules do with `portable`; gives the SHA-256. `how` is
    as of `run`."""
    if name in ("pictures", "calibration"):
        code = DRAWS if name == "pictures" else CALIBRATES
        folder.mkdir(exist_ok=True)
        return run("-c", code, str(folder), "--portable", "true", **how).splitlines()[-1]
    job = classifier_job(tiny_stage(base), folder) if name == "classifier" else detector_job(base, folder)
    words = [f"scripts/train_{name}.py", "--portable", "true", "--record", str(folder / "record.json")]
    for option, value in job.items():
        words += [f"--{option}", value.model_dump_json() if hasattr(value, "model_dump_json") else str(value)]
    run(*words, **how)
    assert read_json(folder / "record.json")["settings"]["portable"] is True
    return sha256_of(folder / "best.safetensors")


@needs_avx2
@pytest.mark.parametrize(
    "name", ["pictures", "classifier", "calibration", pytest.param("detector", marks=pytest.mark.campaign)]
)
def test_bytes_are_those_of_every_processor(base: Path, tmp_path: Path, name: str) -> None:
    made = make(name, base, tmp_path / "one")
    assert make(name, base, tmp_path / "other", **OTHERWISE) == made
    if made != MADE[name] and name not in MADE_ON.get(kind_of_processor(), ()):
        pytest.xfail(f"{kind_of_processor()} makes other {name} than {MADE_ON}: {made}")
    assert made == MADE[name]


@pytest.fixture(scope="session")
def qemu() -> str:
    """Find QEMU's emulator of processors; the test is skipped where it is absent, or too old: version 7 ends with
    a segmentation fault at the instructions that gather."""
    path = os.environ.get("PILLSNAP_QEMU") or shutil.which("qemu-x86_64")
    said = subprocess.run([path, "--version"], capture_output=True, text=True).stdout if path else ""
    if not path or int(re.search(r"version (\d+)", said)[1]) < 10:
        pytest.skip("needs qemu-x86_64 of version 10 or later, as in Debian 13 (PILLSNAP_QEMU names its path)")
    return path


@pytest.mark.campaign
@pytest.mark.parametrize("processor", EMULATED)
@pytest.mark.parametrize("name", MADE)
def test_an_emulated_processor_makes_the_same_bytes(
    base: Path, tmp_path: Path, qemu: str, name: str, processor: str
) -> None:
    assert make(name, base, tmp_path, python=(qemu, "-cpu", processor, sys.executable)) == MADE[name]


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
