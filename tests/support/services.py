"""Services for tests: in this process around a model that can be held up, and as the real command."""

import contextlib
import os
import re
import resource
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fastapi import FastAPI

from pillsnap.answers.answer import Answer, ModelInfo
from pillsnap.catalogue.search import Catalogue
from pillsnap.pictures.decode import encode_jpeg
from pillsnap.pictures.scaled_photo import ScaledPhoto
from pillsnap.predict.model import PillSnap
from pillsnap.serve.app import Measured, create_app
from pillsnap.serve.enrolment import Enrolment
from pillsnap.serve.kept import Kept
from pillsnap.serve.limits import Limits
from tests.support.models import draw_photo
from tests.support.workflow import PROJECT

PHOTO = encode_jpeg(draw_photo([0, 1, 2], seed=5, width=240, height=320)[0], 90)
KEY = "a-key-that-no-log-may-hold"


class HeldUp:
    """Models that answer only while `go` is set, and count what they were asked."""

    def __init__(self, snap: PillSnap) -> None:
        self._snap = snap
        self.named, self.facts = snap.named, snap.facts
        self.go = threading.Event()
        self.go.set()
        self.asked = 0

    @property
    def info(self) -> ModelInfo:
        return self._snap.info

    def identify(self, photo: ScaledPhoto, mode: Any) -> Answer:
        self.asked += 1
        assert self.go.wait(30)
        return self._snap.identify(photo, mode)


def service(
    snap: Any,
    *,
    key: str | None = None,
    measured: Measured | None = None,
    kept: Kept | None = None,
    enrolment: Enrolment | None = None,
    catalogue: Catalogue | None = None,
    **limits: Any,
) -> FastAPI:
    """A service in this process."""
    measured = measured or Measured(None, "none in this test")
    return create_app(
        snap, limits=Limits(**limits), key=key, measured=measured, kept=kept, enrolment=enrolment, catalogue=catalogue
    )


@contextlib.contextmanager
def running(
    models: Path, *words: str, key: str | None = None, before: str = "", files: int | None = None
) -> Iterator[tuple[subprocess.Popen[str], str, int]]:
    """`pillsnap serve` at a free port of loopback: the process, its host and port; stopped at the end.

    `before` is Python code that runs first, `files` the limit of open files.
    Standard error goes to `process.stderr`, a pipe that is read when the process has ended.
    """
    environment = os.environ | {"PYTHONPATH": str(PROJECT)}
    environment.pop("PILLSNAP_API_KEY", None)
    start = [sys.executable, "-c", f"{before}\nfrom pillsnap.cli import run\nrun()"]
    command = [*start, "serve", "--models", str(models), "--port", "0"]
    process = subprocess.Popen(
        [*command, "--device", "cpu", *words],
        env=environment | ({"PILLSNAP_API_KEY": key} if key else {}),
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        preexec_fn=files and (lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))),
    )  # fmt: skip
    try:
        said = process.stdout.readline()
        found = re.fullmatch(r"PillSnap answers at http://([\d.]+):(\d+) \(Ctrl-C ends it\)\n", said)
        assert found, said + process.stderr.read()
        yield process, found[1], int(found[2])
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
        process.stderr.close()
