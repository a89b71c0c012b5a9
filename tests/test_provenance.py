"""Where an artifact comes from."""

import hashlib
import json
import platform
import re
import subprocess
from importlib.metadata import version
from pathlib import Path

import pytest
from conftest import PROJECT

from pillsnap.provenance import PACKAGES, describe_device, git_commit, package_versions, provenance


def test_record_tells_inputs_settings_and_machine(tmp_path: Path) -> None:
    (tmp_path / "data.bin").write_bytes(b"pills")
    record = provenance(inputs={"data": tmp_path / "data.bin"}, settings={"epochs": 3}, seed=7, device="cpu")
    assert record["inputs"] == {"data": hashlib.sha256(b"pills").hexdigest()}
    assert (record["settings"], record["seed"]) == ({"epochs": 3}, 7)
    assert record["device"] == describe_device("cpu")
    assert json.loads(json.dumps(record, allow_nan=False)) == record


def test_missing_input_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        provenance(inputs={"data": tmp_path / "none.bin"}, settings={}, seed=0, device="cpu")


def test_versions_are_the_installed_ones() -> None:
    found = package_versions()
    assert found.pop("python") == platform.python_version()
    assert set(found) == set(PACKAGES)
    assert all(found[package] == version(package) for package in PACKAGES), "the lock file has them all"


def test_commit_is_gits() -> None:
    done = subprocess.run(["git", "rev-parse", "HEAD"], cwd=PROJECT, capture_output=True, text=True, check=False)
    commit = git_commit()
    assert commit["hash"] == done.stdout.strip()
    assert isinstance(commit["dirty"], bool)
    if not commit["hash"]:
        assert not commit["dirty"]


def test_device_names_processor_and_cores() -> None:
    assert re.fullmatch(r"CPU: .+, \d+ cores", describe_device("cpu"))
