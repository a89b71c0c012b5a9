"""`pillsnap serve` as it is used: the real command on a real socket."""

import contextlib
import io
import json
import os
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from PIL import Image
from typer.testing import CliRunner

from pillsnap.cli import app
from pillsnap.predict.model import PillSnap
from tests.support.models import onnx_models
from tests.support.services import KEY, PHOTO, running

END = b"\r\n--x--\r\n"


@pytest.fixture(scope="module")
def models(base: Path) -> Path:
    return onnx_models(base)


def start_upload(host: str, port: int, photo: bytes, *, extra: str = "", length: int | None = None) -> socket.socket:
    """Send a request's headers and form without its end, so that the service waits for the rest."""
    part = b'--x\r\nContent-Disposition: form-data; name="photo"; filename="a.jpg"\r\n\r\n' + photo
    connection = socket.create_connection((host, port), timeout=20)
    length = len(part) + len(END) if length is None else length
    head = f"POST /v1/identify HTTP/1.1\r\nHost: {host}\r\nContent-Type: multipart/form-data; boundary=x\r\n"
    connection.sendall(f"{head}Content-Length: {length}\r\n{extra}\r\n".encode() + part)
    return connection


def read_response(connection: socket.socket) -> tuple[int, dict]:
    """Status and JSON of one response."""
    received = b""
    while b"\r\n\r\n" not in received:
        received += connection.recv(65536) or pytest.fail(f"closed after {received!r}")
    head, body = received.split(b"\r\n\r\n", 1)
    lines = head.decode().lower().splitlines()
    length = next(int(line.split(":")[1]) for line in lines if line.startswith("content-length:"))
    while len(body) < length:
        body += connection.recv(65536)
    return int(lines[0].split()[1]), json.loads(body)


def until(seen, seconds: float = 15) -> None:
    deadline = time.monotonic() + seconds
    while not seen():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def in_hand(address: str) -> int:
    lines = httpx.get(f"{address}/metrics").text.splitlines()
    return sum(
        int(float(line.split()[1])) for line in lines if line.startswith(("pillsnap_queue_depth ", "pillsnap_running "))
    )


def refuses(host: str, port: int) -> bool:
    try:
        socket.create_connection((host, port), timeout=5).close()
    except OSError:
        return True
    return False


def files_open_for_writing(process: subprocess.Popen) -> list[str]:
    """Regular files, deleted and nameless ones included, that a process has open for writing."""
    found = []
    for entry in Path(f"/proc/{process.pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # closed meanwhile
            flags = int((entry.parents[1] / "fdinfo" / entry.name).read_text().split("flags:")[1].split()[0], 8)
            if stat.S_ISREG(entry.stat().st_mode) and flags & os.O_ACCMODE != os.O_RDONLY:
                found.append(str(entry.readlink()))
    return found


def logged(process: subprocess.Popen) -> tuple[str, list[dict]]:
    """End a service by SIGTERM; its standard error, and that line by line."""
    process.send_signal(signal.SIGTERM)
    _, text = process.communicate(timeout=30)
    assert process.returncode == 0
    return text, [json.loads(line) for line in text.splitlines()]


def test_answers_with_a_key_and_tells_no_secret(models: Path) -> None:
    with running(models, "--metrics", str(models / "parity.json"), key=KEY) as (process, host, port):
        address = f"http://{host}:{port}"
        assert httpx.get(f"{address}/v1/health").json()["api_key_required"] is True
        assert httpx.post(f"{address}/v1/identify", files={"photo": PHOTO}).status_code == 401
        with httpx.Client(base_url=address, headers={"X-API-Key": KEY}) as client:
            answer = client.post("/v1/identify", files={"photo": PHOTO}, data={"mode": "combo"})
            assert client.post("/v1/identify", files={"photo": b"no picture"}).status_code == 400
            assert client.get("/v1/model").json()["metrics"].keys() >= {"detector", "classifier"}
        expected = PillSnap.load(models, threads=1, device="cpu").identify(PHOTO, "combo")
        assert [pill["verdict"] for pill in answer.json()["pills"]] == [pill.verdict for pill in expected.pills]
        text, lines = logged(process)
    assert KEY not in text and "JFIF" not in text and "no picture" not in text
    requests = [line for line in lines if line["message"] == "request"]
    assert [line["status"] for line in requests] == [200, 401, 200, 400, 200]
    assert sum(requests[2]["pills"].values()) == len(expected.pills)
    assert all({"time", "level", "logger"} <= line.keys() for line in lines)


def test_large_upload_leaves_no_file(models: Path) -> None:
    """Looked at while 5 MB of a photograph have arrived and it has not ended."""
    with running(models) as (process, host, port):
        with start_upload(host, port, PHOTO + bytes(5_000_000)) as connection:
            until(lambda: in_hand(f"http://{host}:{port}") == 1)
            time.sleep(0.3)
            assert files_open_for_writing(process) == []
            connection.sendall(END)
            assert read_response(connection)[0] == 200
        assert files_open_for_writing(process) == []


def test_file_that_is_written_would_be_seen() -> None:
    words = "import tempfile; file = tempfile.TemporaryFile(); print(flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", words], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        process.stdout.readline()
        assert len(files_open_for_writing(process)) == 1
        process.communicate(b"\n")


def test_nothing_is_told_to_the_makers_of_onnx_runtime(
    models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its wheels keep a store of events in the user's cache and send them, unless they are told not to."""
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("XDG_CACHE_HOME", "ORT_DISABLE_TELEMETRY", "CI", "GITHUB_ACTIONS"):
        monkeypatch.delenv(name, raising=False)
    with running(models) as (_, host, port):
        assert httpx.post(f"http://{host}:{port}/v1/identify", files={"photo": PHOTO}).status_code == 200
    assert list(tmp_path.iterdir()) == []


@pytest.fixture(scope="module")
def narrow(models: Path) -> Iterator[tuple[str, int]]:
    """A service with small limits: one photograph at a time and none that waits."""
    words = ("--workers", "1", "--queue", "0", "--max-bytes", "200000", "--time-limit", "1.5")
    with running(models, *words) as (_, host, port):
        yield host, port


@pytest.mark.parametrize("size", [250_000, 300_000, 380_000])
def test_too_many_bytes_are_told_to_who_still_sends(narrow: tuple[str, int], size: int) -> None:
    address = "http://{}:{}/v1/identify".format(*narrow)
    chunked = {
        "content": iter([bytes(50_000)] * (size // 50_000)),
        "headers": {"content-type": "multipart/form-data; boundary=x"},
    }
    for request in ({"files": {"photo": bytes(size)}}, chunked):
        response = httpx.post(address, **request)
        assert response.status_code in ((413,) if "files" in request else (413, 422))


def test_who_asks_first_is_refused_before_sending(narrow: tuple[str, int]) -> None:
    with start_upload(*narrow, b"", extra="Expect: 100-continue\r\n", length=10**10) as connection:
        status, body = read_response(connection)
    assert (status, body["error"]["code"]) == (413, "too_many_bytes")


def test_full_service_says_so_and_recovers(narrow: tuple[str, int]) -> None:
    host, port = narrow
    address = f"http://{host}:{port}"
    with start_upload(host, port, PHOTO) as connection:
        until(lambda: in_hand(address) == 1)
        refused = httpx.post(f"{address}/v1/identify", files={"photo": PHOTO})
        assert (refused.status_code, refused.headers["retry-after"]) == (429, "1")
        connection.sendall(END)
        assert read_response(connection)[0] == 200
    assert httpx.post(f"{address}/v1/identify", files={"photo": PHOTO}).status_code == 200


def test_upload_that_stops_is_given_up(narrow: tuple[str, int]) -> None:
    with start_upload(*narrow, PHOTO) as connection:
        status, body = read_response(connection)
    assert (status, body["error"]["code"]) == (408, "upload_slow")


def test_client_that_goes_away_leaves_its_place(narrow: tuple[str, int]) -> None:
    address = "http://{}:{}".format(*narrow)
    with start_upload(*narrow, PHOTO):
        until(lambda: in_hand(address) == 1)
    until(lambda: in_hand(address) == 0, seconds=1)
    figures = httpx.get(f"{address}/metrics").text
    assert 'pillsnap_requests_total{path="/v1/identify",status="499"} 1.0' in figures


def test_nothing_is_lost_under_load(models: Path) -> None:
    """Three times as many clients as have a place: each request is answered or refused, and counted."""
    stream = io.BytesIO()
    Image.new("RGB", (3000, 2000), "grey").save(stream, "JPEG")
    statuses: list[int] = []
    with running(models, "--workers", "1", "--queue", "2") as (_, host, port):

        def ask() -> None:
            with httpx.Client(base_url=f"http://{host}:{port}", timeout=30) as client:
                statuses.extend(
                    client.post("/v1/identify", files={"photo": stream.getvalue()}).status_code for _ in range(10)
                )

        clients = [threading.Thread(target=ask) for _ in range(9)]
        for client in clients:
            client.start()
        for client in clients:
            client.join()
        figures = httpx.get(f"http://{host}:{port}/metrics").text
    counts = Counter(statuses)
    assert counts.keys() == {200, 429} and counts.total() == 90
    for status, count in counts.items():
        assert f'pillsnap_requests_total{{path="/v1/identify",status="{status}"}} {count}.0' in figures


def test_stop_answers_what_is_under_way(models: Path) -> None:
    with running(models) as (process, host, port):
        with start_upload(host, port, PHOTO) as connection, socket.create_connection((host, port)) as idle:
            until(lambda: in_hand(f"http://{host}:{port}") == 1)
            process.send_signal(signal.SIGTERM)
            until(lambda: refuses(host, port))
            assert idle.recv(1) == b"", "connections without a request are closed"
            assert process.poll() is None
            connection.sendall(END)
            status, body = read_response(connection)
            assert (status, bool(body["pills"])) == (200, True)
        assert process.wait(15) == 0
        lines = [json.loads(line) for line in process.stderr.read().splitlines()]
    assert lines[-1]["message"].startswith("Finished server process")


def test_ctrl_c_ends_well_too(models: Path) -> None:
    with running(models) as (process, _, _):
        process.send_signal(signal.SIGINT)
        assert process.wait(15) == 0


@pytest.mark.parametrize(
    ("words", "variable", "message"),
    [
        (["--models", "nowhere"], None, "there is no such model"),
        (["--host", "0.0.0.0"], None, "--host 0.0.0.0: other machines could send requests without a key"),
        (["--no-api-key"], KEY, "--no-api-key: an API key is set"),
        (["--api-key-file", "none"], None, "none"),
        (["--api-key-file", "empty"], None, "empty: the API key must be printable ASCII"),
        ([], "two words", "PILLSNAP_API_KEY: the API key must be printable ASCII"),
        (["--metrics", "none"], None, "--metrics none: there is none"),
        (["--metrics", "empty"], None, "--metrics empty: it cannot be read"),
        (["--host", "192.0.2.1"], KEY, "--host 192.0.2.1 --port 0: Cannot assign requested address. Choose"),
        (["--host", "no.such.host.invalid"], KEY, "--host no.such.host.invalid --port 0: "),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_cannot_be_started_is_told(
    models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], variable: str | None, message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").touch()
    monkeypatch.setenv("PILLSNAP_API_KEY", variable) if variable else monkeypatch.delenv("PILLSNAP_API_KEY", False)
    words = words if "--models" in words else ["--models", str(models), *words]
    done = CliRunner().invoke(app, ["serve", "--port", "0", *words])
    assert (done.exit_code, done.stdout) == (2, "")
    assert message in done.stderr and done.stderr.count("\n") == 1
    assert not variable or variable not in done.stderr


def test_port_that_is_taken_is_told(models: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = CliRunner().invoke(app, ["serve", "--models", str(models), "--port", str(port)])
    assert done.exit_code == 2
    assert str(port) in done.stderr and "in use" in done.stderr
