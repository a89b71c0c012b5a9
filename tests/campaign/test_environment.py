"""The lock file is the environment: built from nothing, it is what the pins say, and it runs."""

import json
import os
import re
import shutil
import subprocess
import venv
from importlib.metadata import distributions
from pathlib import Path

import pytest
import yaml
from packaging.markers import Marker

from tests.support.workflow import PROJECT, Workflow

NEEDED = 12 * 2**30
"""Bytes of disk: the environment takes 6.6 GB, and pip unpacks wheels beside it."""


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def pins() -> dict[str, str]:
    """Version by package of what the lock has for this machine."""
    lines = re.findall(r"^([\w.-]+)==([^\s;\\]+)(?: ; (.*?))? \\$", lock(), re.MULTILINE)
    return {canonical(name): version for name, version, marker in lines if not marker or Marker(marker).evaluate()}


def lock() -> str:
    return (PROJECT / "requirements.lock").read_text(encoding="utf-8")


def test_what_is_installed_here_is_what_the_lock_says() -> None:
    installed = {canonical(found.name): found.version for found in distributions()}
    wrong = {name: (version, installed.get(name)) for name, version in pins().items() if installed.get(name) != version}
    assert not wrong
    assert len(pins()) > 200


def test_conda_environment_installs_the_same_lock() -> None:
    """Conda brings Python and tools only; every package comes from the lock, with its hash."""
    described = yaml.safe_load((PROJECT / "envs/pillsnap.yaml").read_text(encoding="utf-8"))
    brought = {re.split("[=<>]", word)[0] for word in described["dependencies"]}
    assert brought <= {"python", "pip", "setuptools", "git", "make"}
    script = (PROJECT / "envs/pillsnap.post-deploy.sh").read_text(encoding="utf-8")
    assert "python envs/install.py" in script and "pip install" not in script


PIP_STAND_IN = """
import os, sys
with open(os.environ["CALLS"], "a") as file:
    print(*sys.argv[1:], sep="\\t", file=file)
if sys.argv[-2:] == ["config", "list"]:
    print("global.index-url='https://index.example/packages'")
    print("global.extra-index-url='https://more.example/packages\\\\nhttps://third.example/packages'")
    print(":env:.cert='/certificates.pem'")
"""
UV_STAND_IN = "import os, sys; os.execv(os.environ['REAL_UV'], ['uv', *sys.argv[1:]])"


def install(folder: Path, uv: str, **variables: str) -> tuple[list[list[str]], str]:
    """Run envs/install.py in an empty environment; returns what pip was told, and what was said.

    Args:
        folder: for the environment.
        uv: code of the module `uv`; pip is a stand-in that installs nothing.
        variables: of the environment.
    """
    venv.create(folder / "environment", with_pip=False)
    (folder / "pip.py").write_text(PIP_STAND_IN, encoding="utf-8")
    (folder / "uv.py").write_text(uv, encoding="utf-8")
    calls = folder / "calls.txt"
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("PIP_", "UV_", "SSL_"))}
    done = subprocess.run(
        (folder / "environment/bin/python", PROJECT / "envs/install.py"),
        env=kept | {"PYTHONPATH": str(folder), "CALLS": str(calls)} | variables,
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return [line.split("\t") for line in calls.read_text(encoding="utf-8").splitlines()], done.stdout + done.stderr


def test_pip_takes_over_where_uv_does_not_reach_its_index(tmp_path: Path) -> None:
    real = {"REAL_UV": shutil.which("uv"), "UV_DEFAULT_INDEX": "http://127.0.0.1:9/packages", "UV_NO_CONFIG": "1"}
    nowhere = {"UV_INDEX": "http://127.0.0.1:9/more", "UV_FIND_LINKS": "", "UV_CACHE_DIR": str(tmp_path / "cache")}
    calls, said = install(tmp_path, UV_STAND_IN, UV_HTTP_RETRIES="0", **real, **nowhere)
    assert "127.0.0.1:9" in said and "pip does it now" in said
    (first, _, *others) = calls
    assert first[-6:-1] == ["install", "--no-compile", "--no-deps", "--require-hashes", "--requirement"]
    assert [call[2:] for call in others] == [
        [
            "install",
            "--no-compile",
            "--no-deps",
            "--require-hashes",
            "--requirement",
            str(PROJECT / "requirements.lock"),
        ],
        ["install", "--no-compile", "--no-deps", "--no-build-isolation", "--editable", str(PROJECT)],
    ]


def test_uv_looks_where_pip_is_told_to_look(tmp_path: Path) -> None:
    code = "import json, os, sys; print(json.dumps([sys.argv[1:], dict(os.environ)]))"
    calls, said = install(tmp_path, code, SSL_CERT_FILE="/own.pem")
    assert len(calls) == 2  # pip installs uv and tells its settings, no more
    (lock, variables), (project, _) = (json.loads(line) for line in said.splitlines())
    assert lock[-3:] == ["--require-hashes", "--requirement", str(PROJECT / "requirements.lock")]
    assert project[-2:] == ["--editable", str(PROJECT)]
    assert "--compile-bytecode" not in lock
    assert variables["UV_DEFAULT_INDEX"] == "https://index.example/packages"
    assert variables["UV_INDEX"] == "https://more.example/packages https://third.example/packages"
    assert variables["SSL_CERT_FILE"] == "/own.pem"  # what uv is told itself counts


def test_one_onnx_runtime_is_locked() -> None:
    assert "onnxruntime-gpu" in pins() and "onnxruntime" not in pins()


def test_an_empty_environment_becomes_the_locked_one(tmp_path: Path) -> None:
    """As conda does it: by `envs/pillsnap.post-deploy.sh`, in an environment that has pip and setuptools."""
    free = shutil.disk_usage(tmp_path).free
    if free < NEEDED and os.environ.get("PILLSNAP_CI") != "1":
        pytest.skip(f"needs {NEEDED >> 30} GiB of disk, and {free >> 30} GiB are free")
    project = Workflow.copy_to(tmp_path / "project")
    empty = tmp_path / "environment"
    venv.create(empty, with_pip=True)
    pinned = re.search(r"^setuptools==(\S+)", lock(), re.MULTILINE)[1]
    environment = os.environ | {"PATH": f"{empty / 'bin'}:{os.environ['PATH']}", "VIRTUAL_ENV": str(empty)}
    environment.pop("PYTHONPATH", None)

    def run(*words: str) -> str:
        done = subprocess.run(words, cwd=project.folder, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    try:
        run("python", "-m", "pip", "install", "--quiet", f"setuptools=={pinned}")
        run("bash", "envs/pillsnap.post-deploy.sh")
        listed = json.loads(run("python", "-m", "pip", "list", "--format=json", "--disable-pip-version-check"))
        installed = {canonical(found["name"]): found["version"] for found in listed}
        assert {name: version for name, version in installed.items() if name not in ("pip", "pillsnap")} == pins()
        run("python", "-c", "import torch, torchvision, ultralytics, timm, onnxruntime, cv2, pandera, dvc, snakemake")
        plan = run("snakemake", "--dry-run", "--cores", "2", "--", "results/stage4/report.html")
        assert "train_classifier" in plan
        assert run("pillsnap", "--help").strip()
    finally:
        shutil.rmtree(empty)
