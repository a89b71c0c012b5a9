"""A real S3 server on loopback for one test: moto's, which keeps its objects in memory."""

import importlib.util
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Any

import httpx
import pytest

PACKAGES = ("dvc_s3", "flask_cors", "moto")


@dataclass
class Traffic:
    """What a server sent, and what it is to send instead.

    Attributes:
        gets: path, and bytes of the body, of each answer to a request for an object or a part of it.
        spoil: takes the number of such a request, from 0, and its body; returns what to send, `None` for status 503.
    """

    gets: list[tuple[str, int]] = field(default_factory=list)
    spoil: Callable[[int, bytes], bytes | None] = lambda number, body: body

    def moved(self, ending: str = "") -> int:
        """Bytes of all objects, or of those whose key ends so."""
        return sum(size for path, size in self.gets if path.endswith(ending))

    def through(self, app: Callable[..., Iterable[bytes]]) -> Callable[..., Iterable[bytes]]:
        """The WSGI application whose traffic this is."""

        def counted(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
            if environ["REQUEST_METHOD"] != "GET" or "list-type" in environ.get("QUERY_STRING", ""):
                return app(environ, start_response)
            begun: list[Any] = []
            body = b"".join(app(environ, lambda *words: begun.extend(words)))
            number = len(self.gets)
            sent = self.spoil(number, body)
            self.gets.append((environ["PATH_INFO"].encode("latin-1").decode(), len(sent or b"")))
            if sent is None:
                start_response(f"{HTTPStatus.SERVICE_UNAVAILABLE.value} Service Unavailable", [])
                return [b""]
            start_response(*begun)
            return [sent]

        return counted


@contextmanager
def s3_bucket(name: str, traffic: Traffic | None = None) -> Iterator[dict[str, str]]:
    """A bucket of a server that runs until the block ends: what DVC has to be told of its remote.

    The test is skipped where a package is missing, but not under PILLSNAP_CI=1.
    """
    missing = [package for package in PACKAGES if not importlib.util.find_spec(package)]
    if missing and os.environ.get("PILLSNAP_CI") != "1":
        pytest.skip(f"needs {', '.join(missing)}: run `make env`")
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer("127.0.0.1", 0)
    server.start()
    if traffic:
        server._server.app = traffic.through(server._server.app)
    try:
        endpoint = "http://{}:{}".format(*server.get_host_and_port())
        httpx.post(f"{endpoint}/moto-api/reset").raise_for_status()  # the servers of a process share what they hold
        httpx.put(f"{endpoint}/{name}").raise_for_status()
        yield {"endpointurl": endpoint, "access_key_id": "key", "secret_access_key": "secret"}
    finally:
        server.stop()


@contextmanager
def raw_bucket(monkeypatch: pytest.MonkeyPatch, traffic: Traffic | None = None) -> Iterator[None]:
    """An empty bucket `raw` that PillSnap, and every process of the test, finds by the environment."""
    with s3_bucket("raw", traffic) as settings:
        monkeypatch.setenv("AWS_ENDPOINT_URL", settings["endpointurl"])
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", settings["access_key_id"])
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", settings["secret_access_key"])
        for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):  # not those of whoever runs this
            monkeypatch.setenv(name, os.devnull)
        forget()
        yield
    forget()


def forget() -> None:
    """Let the next reader look at S3 anew, as another process would."""
    from pillsnap.sources import aihub
    from pillsnap.sources.containers import s3

    s3._file_system.cache_clear()
    aihub._course_folders.cache_clear()


def upload(folder: Path, prefix: str = "") -> None:
    """Put every file below a folder into the bucket `raw`, under a prefix and its relative path."""
    import boto3

    client = boto3.client("s3")
    for file in sorted(folder.rglob("*")):
        if file.is_file():
            key = f"{prefix}/{file.relative_to(folder).as_posix()}".removeprefix("/")
            client.put_object(Bucket="raw", Key=key, Body=file.read_bytes())
