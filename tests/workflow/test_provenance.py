"""Where an artifact comes from."""

import datetime
import hashlib
import json
import os
import platform
import re
import shutil
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pillsnap.files import read_json, sha256_of
from pillsnap.sources.containers.fingerprint import fingerprint_of
from pillsnap.workflow.job import job
from pillsnap.workflow.provenance import (
    PACKAGES,
    describe_device,
    git_commit,
    identities,
    package_versions,
    write_record,
)
from tests.support.aihub_files import write_zip
from tests.support.workflow import PROJECT


def record_of(folder: Path, **changes: Any) -> dict[str, Any]:
    """A record of a job that read `data.bin` and wrote `out.bin`."""
    (folder / "data.bin").write_bytes(b"pills")
    (folder / "out.bin").write_bytes(b"crops")
    facts: dict[str, Any] = {
        "rule": "cut_crops",
        "inputs": {"data": folder / "data.bin"},
        "outputs": {"crops": folder / "out.bin", "record": folder / "record.json"},
        "code": ["pillsnap/files.py"],
        "settings": {"seed": 7, "device": "cpu", "margin": 0.1, "steering": {"mode": "advise"}},
        "seconds": 1.23456,
    }
    write_record(folder / "record.json", **facts | changes)
    return read_json(folder / "record.json")


def test_record_tells_files_settings_code_and_machine(tmp_path: Path) -> None:
    record = record_of(tmp_path)
    assert record["rule"] == "cut_crops"
    assert record["inputs"] == {(tmp_path / "data.bin").as_posix(): hashlib.sha256(b"pills").hexdigest()}
    assert record["outputs"] == {(tmp_path / "out.bin").as_posix(): hashlib.sha256(b"crops").hexdigest()}
    assert record["code"] == {"pillsnap/files.py": sha256_of(PROJECT / "pillsnap/files.py")}
    assert record["settings"]["steering"] == {"mode": "advise"}
    assert (record["settings"]["margin"], record["seed"], record["seconds"]) == (0.1, 7, 1.235)
    assert record["device"] == describe_device("cpu")
    assert record["commit"] == git_commit() and record["versions"] == package_versions()
    age = datetime.datetime.now(datetime.UTC) - datetime.datetime.fromisoformat(record["ended"])
    assert datetime.timedelta(0) <= age < datetime.timedelta(minutes=5)


def test_missing_input_is_an_error_and_nothing_is_written(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        record_of(tmp_path, inputs={"data": [tmp_path / "none.bin"]})
    assert not (tmp_path / "record.json").exists()


def test_raw_archives_are_known_by_their_directory(tmp_path: Path) -> None:
    first = fingerprint_of(write_zip(tmp_path / "a.zip", {"K-1/a.png": b"one", "K-1/b.png": b"two"}))
    assert first.startswith("zip-directory:")
    assert fingerprint_of(write_zip(tmp_path / "b.zip", {"K-1/a.png": b"one", "K-1/b.png": b"two"})) == first
    assert fingerprint_of(write_zip(tmp_path / "c.zip", {"K-1/a.png": b"one", "K-1/b.png": b"twO"})) != first
    (tmp_path / "d.zip").write_bytes(b"no zip")
    assert fingerprint_of(tmp_path / "d.zip") == hashlib.sha256(b"no zip").hexdigest()
    (tmp_path / "folder").mkdir()
    empty = fingerprint_of(tmp_path / "folder")
    (tmp_path / "folder" / "정.png").write_bytes(b"1")
    assert empty != fingerprint_of(tmp_path / "folder") and empty.startswith("listing:")


def test_only_raw_roles_are_known_by_their_directory(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "a.zip", {"K-1/a.png": b"one"})
    found = identities({"photos": path})[path.as_posix()]
    assert found == fingerprint_of(path) != identities({"other": [path]})[path.as_posix()] == sha256_of(path)


def test_what_comes_with_the_workflow_is_named_from_its_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whichever folder the results are kept in; what lies there keeps its path."""
    own = tmp_path / "own.txt"
    own.write_text("own")
    weights = "weights/pill-detector.json"
    for folder, given in ((PROJECT, weights), (tmp_path, PROJECT / weights), (PROJECT / "docs", PROJECT / weights)):
        monkeypatch.chdir(folder)
        assert identities({"starts_from": given, "other": own}).keys() == {weights, own.as_posix()}


def test_a_commit_of_documents_is_not_the_results_commit(tmp_path: Path) -> None:
    """What a copy of the package in a repository of its own says, after commits of code and of a document."""
    shutil.copytree(PROJECT / "pillsnap", tmp_path / "pillsnap", ignore=shutil.ignore_patterns("__pycache__"))
    environment = os.environ | {"PYTHONPATH": str(tmp_path)}

    def run(*words: str) -> str:
        done = subprocess.run(words, cwd=tmp_path, check=True, capture_output=True, text=True, env=environment)
        return done.stdout.strip()

    def commit() -> str:
        run("git", "add", "--all")
        run("git", "-c", "user.name=t", "-c", "user.email=t@example.org", "commit", "--quiet", "-m", "x")
        return run("git", "rev-parse", "HEAD")

    ask = "import json; from pillsnap.workflow.provenance import git_commit; print(json.dumps(git_commit()))"
    run("git", "init", "--quiet")
    (tmp_path / ".gitignore").write_text("__pycache__\n")
    first = commit()
    (tmp_path / "dvc.lock").write_text("stages: {}\n")
    assert commit() != first
    assert json.loads(run(sys.executable, "-c", ask)) == {"hash": first, "dirty": False}
    with (tmp_path / "pillsnap" / "files.py").open("a") as stream:
        stream.write("\n# edited\n")
    assert json.loads(run(sys.executable, "-c", ask)) == {"hash": first, "dirty": True}


def test_a_record_of_a_job_without_device_loads_no_torch(tmp_path: Path) -> None:
    code = (
        "import sys; from pillsnap.workflow.provenance import write_record; "
        f"write_record({str(tmp_path / 'r.json')!r}, rule='r', inputs={{}}, outputs={{}}, code=[], settings={{}}, "
        "seconds=0.0); sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=PROJECT, check=False).returncode == 0
    assert (tmp_path / "r.json").is_file()


def test_versions_are_the_installed_ones() -> None:
    found = package_versions()
    assert found.pop("python") == platform.python_version()
    assert set(found) == set(PACKAGES)
    assert all(found[package] == version(package) for package in PACKAGES), "the lock file has them all"


def test_device_names_processor_and_cores() -> None:
    assert re.fullmatch(r"CPU: .+, \d+ cores", describe_device("cpu"))


def test_the_script_of_a_job_is_a_part_of_its_recorded_code(tmp_path: Path) -> None:
    module, record = f"{PROJECT}/pillsnap/crops/cut_crops.py", tmp_path / "record.json"
    files = {"record": str(record)}
    given = SimpleNamespace(
        rule="cut_crops",
        log=[tmp_path / "log"],
        params={"seed": 1},
        input={"code": [module]},
        output=SimpleNamespace(items=files.items, **files),
    )
    with job(given):
        pass
    assert list(json.loads(record.read_text())["code"]) == ["pillsnap/crops/cut_crops.py", "scripts/cut_crops.py"]
