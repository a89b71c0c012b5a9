"""The wheel answers photographs in an environment without the pipeline, as examples/Dockerfile makes it."""

import json
import os
import re
import shutil
import subprocess
import venv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from packaging.markers import Marker

from tests.support.enrolled import one_box, photos
from tests.support.models import onnx_models
from tests.support.services import KEY, PHOTO
from tests.support.workflow import PROJECT

MOST = 450
"""Megabytes of everything that is installed."""


def instructions() -> list[tuple[str, str]]:
    """Instructions of the Dockerfile with what follows them."""
    lines = (PROJECT / "examples/Dockerfile").read_text(encoding="utf-8").splitlines()
    return [(name, rest) for name, _, rest in (line.partition(" ") for line in lines) if name and name != "#"]


def all_of(name: str) -> list[str]:
    return [rest for found, rest in instructions() if found == name]


def listed(name: str) -> list[str]:
    """The words of the only instruction of this name that is written as a JSON list."""
    (rest,) = all_of(name)
    return json.loads(rest[rest.index("[") :])


@dataclass(frozen=True)
class Environment:
    """An environment, and the folders that the Dockerfile calls `/source` and `/wheels`."""

    folder: Path
    source: Path
    wheels: Path

    @property
    def variables(self) -> dict[str, str]:
        kept = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "PILLSNAP_API_KEY")}
        path = os.pathsep.join([str(self.folder / "bin"), os.environ["PATH"]])
        return kept | {"PATH": path, "VIRTUAL_ENV": str(self.folder)}

    def run(self, *words: str, cwd: Path | None = None, **named: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            words, cwd=cwd or self.folder, env=self.variables, capture_output=True, text=True, check=False, **named
        )


@pytest.fixture(scope="module")
def installed(tmp_path_factory) -> Environment:
    """What the Dockerfile's own commands install, from the files that it copies."""
    folder = tmp_path_factory.mktemp("wheel")
    environment = Environment(folder / "environment", folder / "source", folder / "wheels")
    venv.create(environment.folder, with_pip=True)
    environment.source.mkdir()
    for words in (rest.split() for rest in all_of("COPY") if not rest.startswith("--from")):
        for name in words[:-1]:
            copy = shutil.copytree if (PROJECT / name).is_dir() else shutil.copy
            copy(PROJECT / name, environment.source / name)
    for command in all_of("RUN"):
        if not command.startswith("useradd "):
            here = command.replace("/wheels", str(environment.wheels)).replace("--no-cache-dir ", "")
            done = environment.run("bash", "-o", "pipefail", "-ec", here, cwd=environment.source)
            assert done.returncode == 0, done.stdout + done.stderr
    return environment


@dataclass(frozen=True)
class Service:
    """What the Dockerfile starts, and where it answers."""

    process: subprocess.Popen[str]
    address: str


@pytest.fixture(scope="module")
def service(installed: Environment, base: Path, tmp_path_factory) -> Iterator[Service]:
    """The Dockerfile's `CMD`, with the tests' models and key, at a free port of loopback."""
    key = tmp_path_factory.mktemp("key") / "key.txt"
    key.write_text(KEY, encoding="utf-8")
    here = {
        "/stage/onnx": str(onnx_models(base)),
        "0.0.0.0": "127.0.0.1",
        "8000": "0",
        "/run/secrets/api-key": str(key),
    }
    words = listed("CMD")
    assert here.keys() <= set(words)
    words = [str(installed.folder / "bin" / words[0]), *(here.get(word, word) for word in words[1:])]
    process = subprocess.Popen(
        words, cwd=installed.folder, env=installed.variables,
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    with process:
        found = re.match(r"PillSnap answers at (http://127\.0\.0\.1:\d+)", process.stdout.readline())
        try:
            assert found
            yield Service(process, found[1])
        finally:
            process.terminate()


def test_nothing_of_the_pipeline_is_installed(installed: Environment, capsys) -> None:
    found = {one["name"] for one in json.loads(installed.run("pip", "list", "--format=json").stdout)}
    assert {"pillsnap", "onnxruntime", "numpy"} <= found
    assert not found & {"onnxruntime-gpu", "torch", "scipy", "pandas", "pyarrow", "snakemake", "dvc", "ultralytics"}
    (packages,) = installed.folder.glob("lib/python*/site-packages")
    size = sum(file.lstat().st_size for file in packages.rglob("*") if file.is_file()) / 1e6
    with capsys.disabled():
        print(f"\npillsnap[cpu,serve]: {size:.0f} MB in {len(found)} packages, pip among them")
    assert size <= MOST


def test_versions_are_the_locks(installed: Environment) -> None:
    """Whatever is installed and locked has the lock's version; ONNX Runtime that of its build for GPUs."""
    text = (PROJECT / "requirements.lock").read_text(encoding="utf-8")
    pins = re.findall(r"^([\w.-]+)==(\S+)(?: ; (.*?))? \\$", text, re.MULTILINE)
    lock = {name: version for name, version, marker in pins if not marker or Marker(marker).evaluate()}
    lock["onnxruntime"] = lock.pop("onnxruntime-gpu")
    told = json.loads(installed.run("pip", "list", "--format=json").stdout)
    found = {one["name"].lower().replace("_", "-"): one["version"] for one in told}
    given = found.keys() - {"pip", "setuptools", "pillsnap"}
    assert {name: found[name] for name in given} == {name: lock[name] for name in given}


def test_the_wheel_has_every_file_of_the_package(installed: Environment) -> None:
    (packages,) = installed.folder.glob("lib/python*/site-packages/pillsnap")
    found, expected = (
        {file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file() and file.suffix != ".pyc"}
        for folder in (packages, installed.source / "pillsnap")
    )
    assert found == expected and {"py.typed", "serve/page.html", "pages/style.css"} < found


def test_a_photograph_is_answered(installed: Environment, base: Path, tmp_path: Path) -> None:
    (tmp_path / "photo.jpg").write_bytes(PHOTO)
    words = ("pillsnap", "predict", "photo.jpg", "--models", str(onnx_models(base)), "--mode", "combo", "--json")
    done = installed.run(*words, "--annotated", "boxes.png", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    answer = json.loads(done.stdout)
    assert (answer["width"], answer["height"]) == (240, 320) and answer["pills"]
    assert (tmp_path / "boxes.png").stat().st_size > 1000


def test_a_drug_is_enrolled(installed: Environment, base: Path, tmp_path: Path) -> None:
    (tmp_path / "photo.jpg").write_bytes(photos(1)[0].data)
    models = one_box(base, tmp_path / "onnx")
    words = ("pillsnap", "enrol", "photo.jpg", "--models", str(models), "--out", "new", "--force")
    done = installed.run(*words, "--k-code", "K-012345", "--name", "a", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    said = installed.run("pillsnap", "predict", "photo.jpg", "--models", "new", "--json", cwd=tmp_path)
    assert json.loads(said.stdout)["pills"][0]["candidates"][0]["references"] == 1


def test_a_request_is_answered(service: Service) -> None:
    ask = f"{service.address}/v1/identify"
    assert httpx.post(ask, files={"photo": PHOTO}, timeout=30).status_code == 401
    told = httpx.post(ask, files={"photo": PHOTO}, data={"mode": "combo"}, headers={"X-API-Key": KEY}, timeout=30)
    assert told.status_code == 200 and told.json()["pills"]
    assert "PillSnap" in httpx.get(service.address, timeout=30).text


def test_health_check_sees_whether_the_service_answers(installed: Environment, service: Service) -> None:
    *words, check = listed("HEALTHCHECK")
    assert installed.run(*words, check.replace("http://127.0.0.1:8000", service.address)).returncode == 0
    assert (
        installed.run(*words, check.replace("http://127.0.0.1:8000/v1/health", f"{service.address}/v1/none")).returncode
        == 1
    )


@pytest.mark.parametrize("words", [("doctor",), ("data", "summary"), ("monitor",), ("trace", "x"), ("verify",)])
def test_other_commands_name_their_extra(installed: Environment, words: tuple[str, ...]) -> None:
    done = installed.run("pillsnap", *words)
    assert done.returncode == 2
    assert 'pip install "pillsnap[pipeline]"' in done.stderr and done.stderr.count("\n") == 1
    assert words[0] in installed.run("pillsnap", "--help").stdout


def test_dockerfile_starts_a_user_that_is_not_root_at_the_port_that_it_opens() -> None:
    names = [name for name, _ in instructions()]
    assert set(names) <= {"FROM", "WORKDIR", "COPY", "RUN", "USER", "EXPOSE", "HEALTHCHECK", "CMD"}
    assert names[0] == "FROM" and names[-1] == "CMD"
    (user,) = all_of("USER")
    assert user != "root" and f"useradd --create-home {user}" in all_of("RUN") and shutil.which("useradd")
    (port,) = all_of("EXPOSE")
    assert f":{port}/v1/health" in listed("HEALTHCHECK")[-1]
    assert listed("CMD")[listed("CMD").index("--port") + 1] == port


def test_documented_commands_are_the_dockerfiles() -> None:
    """docs/serve.md installs without Docker what the Dockerfile does with it."""
    text = (PROJECT / "docs/serve.md").read_text(encoding="utf-8")
    for command in (rest for rest in all_of("RUN") if not rest.startswith("useradd ")):
        assert command.replace("--no-cache-dir ", "").replace("/wheels", "dist") in text
    assert "docker build --file examples/Dockerfile" in text
