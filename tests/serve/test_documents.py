"""docs/serve.md: its commands run, and it leaves out no option, error, path or figure."""

import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import typer
from fastapi.testclient import TestClient

from pillsnap.cli import app
from pillsnap.predict.model import PillSnap
from tests.support.documents import FENCE, fenced_commands, text_of
from tests.support.enrolled import NEW, one_box, photos
from tests.support.services import KEY, PHOTO, HeldUp, service
from tests.support.workflow import PROJECT

PAGE = "docs/serve.md"
COMMANDS = fenced_commands(PAGE)
SOURCES = sorted((PROJECT / "pillsnap" / "serve").rglob("*.py"))


@pytest.fixture(scope="module")
def folder(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what the commands name."""
    found = tmp_path_factory.mktemp("documented")
    one_box(base, found / "results/stage4/onnx")
    (found / "data").mkdir()
    (found / "data/photo.jpg").write_bytes(PHOTO)
    for name, side in zip(("front", "back"), photos(2, drug=0), strict=True):
        (found / f"data/{name}.jpg").write_bytes(side.data)
    (found / "data/api-key.txt").write_text(KEY)
    (found / "data/header.txt").write_text(f"X-API-Key: {KEY}")
    return found


def start(command: str, folder: Path, **more: str) -> subprocess.Popen[str]:
    """Start `pillsnap serve …` as it is written, but at a free port."""
    program, *words = shlex.split(command)
    assert program == "pillsnap"
    environment = os.environ | {"PYTHONPATH": str(PROJECT)} | more
    return subprocess.Popen(
        [sys.executable, "-m", "pillsnap.cli", *words, "--port", "0"],
        cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def stop(process: subprocess.Popen[str]) -> None:
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 0, errors


@pytest.mark.parametrize("command", [command for command in COMMANDS if command.startswith("pillsnap serve")])
def test_service_starts_as_documented(command: str, folder: Path) -> None:
    process = start(command, folder)
    assert process.stdout.readline().startswith("PillSnap answers at http://"), process.stderr.read()
    stop(process)


def test_a_drug_is_taken_and_removed_as_documented(folder: Path, tmp_path: Path) -> None:
    place = shutil.copytree(folder, tmp_path / "fresh", ignore=shutil.ignore_patterns("served*"))
    serve, remove, serve_again = (command for command in COMMANDS if "data/served" in command)

    def asked(command: str, take: bool) -> list[str]:
        """K-codes that the service names, after it has taken a drug."""
        process = start(command, place)
        headers = {"X-API-Key": KEY}
        with httpx.Client(base_url=process.stdout.readline().split()[3], headers=headers, timeout=30) as client:
            if take:
                files = [("photo", (photo.name, photo.data)) for photo in photos(2)]
                said = client.post("/v1/references", files=files, data={**NEW, "edi_codes": [], "force": "true"})
                assert said.status_code == 200, said.text
            named = [drug["k_code"] for drug in client.get("/v1/model").json()["classes"]]
        stop(process)
        return named

    assert asked(serve, take=True)[-1] == "K-012345"
    words = [sys.executable, "-m", "pillsnap.cli", *shlex.split(remove)[1:]]
    subprocess.run(words, cwd=place, env=os.environ | {"PYTHONPATH": str(PROJECT)}, check=True)
    assert "K-012345" not in asked(serve_again, take=False)
    assert "K-012345" in asked(serve, take=False), "the first folder is as it was"


@pytest.fixture(scope="module")
def address(folder: Path) -> Iterator[str]:
    process = start("pillsnap serve", folder)
    yield process.stdout.readline().split()[3]
    stop(process)


@pytest.mark.parametrize("command", [command for command in COMMANDS if command.startswith("curl ")])
def test_curl_command_is_answered(command: str, address: str, folder: Path) -> None:
    if not shutil.which("curl"):
        pytest.skip("needs curl")
    words = [word.replace("http://127.0.0.1:8000", address) for word in shlex.split(command)]
    done = subprocess.run([*words, "--fail"], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0 and done.stdout, done.stderr


def rows() -> list[list[str]]:
    """Cells of the page's tables."""
    text = FENCE.sub("", text_of(PAGE))
    return [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("| ")]


def test_every_option_has_a_row_with_its_default() -> None:
    options = {option: each for each in typer.main.get_command(app).commands["serve"].params for option in each.opts}
    told = {re.match(r"`(--[\w-]+)", row[0])[1]: row for row in rows() if row[0].startswith("`--")}
    assert told.keys() == options.keys() - {"--help"}
    for name in ("--max-bytes", "--max-pixels", "--time-limit", "--queue", "--workers", "--port"):
        assert told[name][1] == (f"{options[name].default:,}" if "max" in name else f"{options[name].default:g}")


def test_every_error_has_a_row() -> None:
    raised = {
        found
        for path in SOURCES
        for found in re.findall(r'ServiceError\(\s*(\d+),\s*"(\w+)"', path.read_text(encoding="utf-8"))
    }
    pictures = {
        ("400", "photo_empty"),
        ("400", "photo_unreadable"),
        ("400", "photo_truncated"),
        ("413", "photo_too_large"),
        ("413", "photo_too_costly"),
    }
    others = {("404", "not_found"), ("405", "method_not_allowed"), ("422", "not_one_pill"), ("422", "same_photo")}
    told = {
        (status, code)
        for row in rows()
        if re.match(r"\d{3}", row[0])
        for status, code in zip_codes(row[0].split(", "), re.findall(r"`(\w+)`", row[1]))
    }
    assert len(raised) > 8 and told == raised | pictures | others


def zip_codes(statuses: list[str], codes: list[str]) -> list[tuple[str, str]]:
    """Each code with its status: several statuses in a row stand in the codes' order."""
    return list(zip(statuses if len(statuses) > 1 else statuses * len(codes), codes, strict=True))


def test_every_figure_and_path_has_a_row(folder: Path) -> None:
    snap = PillSnap.load(folder / "results/stage4/onnx", threads=1, device="cpu")
    asked = TestClient(service(HeldUp(snap)))
    figures = set(re.findall(r"^# TYPE (pillsnap_\w+)", asked.get("/metrics").text, re.MULTILINE))
    told = {row[0].strip("`") for row in rows()}
    assert {name for name in figures if not name.endswith("_created")} <= told
    operations = asked.get("/openapi.json").json()["paths"]
    assert {f"{method.upper()} {path}" for path, methods in operations.items() for method in methods} <= told
