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
    assert "pip install --no-deps --require-hashes --requirement requirements.lock" in script


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
