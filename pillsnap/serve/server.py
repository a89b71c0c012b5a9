"""Start, run and stop the service on a socket."""

import logging
import math
import os
import signal
import socket
from collections.abc import Callable
from pathlib import Path
from types import FrameType

import numpy as np
import uvicorn

from pillsnap.catalogue.search import Catalogue
from pillsnap.files import read_json
from pillsnap.hardware import cores
from pillsnap.predict.model import PillSnap
from pillsnap.serve.app import Measured, create_app
from pillsnap.serve.enrolment import Enrolment
from pillsnap.serve.http.connections import BACKLOG, bounded_connections, most_connections
from pillsnap.serve.http.proxy import Proxy
from pillsnap.serve.kept import Kept
from pillsnap.serve.limits import Limits
from pillsnap.serve.logs import start_logs

_LOG = logging.getLogger("pillsnap.serve")


def load_models(models: Path, limits: Limits, device: str) -> PillSnap:
    """Load the models and answer once, as warm-up for the first client.

    Raises:
        ModelError: a model is missing, or was not written by `export_onnx`.
        HardwareError: the requested device does not work.
    """
    snap = PillSnap.load(models, threads=max(1, cores() // limits.workers), device=device)
    snap.identify(np.full((64, 64, 3), 128, np.uint8), "combo")
    return snap


def read_measured(models: Path, path: Path | None) -> Measured:
    """Read the metrics for the model card, from `path` or, where it is readable, metrics.json beside the models folder.

    Raises:
        ValueError: `path` was given and cannot be read, or is not a JSON object.
    """
    place = path or models.resolve().parent / "metrics.json"
    try:
        found = read_json(place)
    except (OSError, ValueError) as error:
        missing = "there is none" if isinstance(error, FileNotFoundError) else "it cannot be read"
    else:
        if isinstance(found, dict):
            return Measured(found, None)
        missing = "it is not a JSON object"
    if path:
        raise ValueError(f"--metrics {path}: {missing}. Name the metrics.json that run_benchmark wrote.")
    return Measured(None, f"metrics.json beside the models folder: {missing}")


def open_socket(host: str, port: int) -> socket.socket:
    """Bind a socket; with port 0 the system chooses one.

    Raises:
        OSError: the address is not one of this machine, or is in use.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        found = socket.socket(family, kind, protocol)
        try:
            found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            found.bind(address)
        except OSError:
            found.close()
            raise
    except (OSError, UnicodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "no name of a host"
        message = f"--host {host} --port {port}: {reason}. Choose another address or port (0: a free one)."
        raise OSError(message) from error
    return found


def run(
    snap: PillSnap,
    listener: socket.socket,
    *,
    limits: Limits,
    key: str | None,
    measured: Measured,
    kept: Kept | None = None,
    enrolment: Enrolment | None = None,
    catalogue: Catalogue | None = None,
    proxy: Proxy | None = None,
) -> None:
    """Serve on a bound socket until SIGTERM or SIGINT, then finish the requests in progress and return.

    Where a photograph is still worked on when its time is over, the process ends at once, with status 0.
    """
    start_logs()
    app = create_app(
        snap, limits=limits, key=key, measured=measured, kept=kept, enrolment=enrolment, catalogue=catalogue
    )
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,  # the middleware's lines say more
        server_header=False,
        lifespan="off",
        http=bounded_connections(most_connections()),
        ws="none",
        backlog=BACKLOG,
        timeout_graceful_shutdown=math.ceil(limits.stop_seconds),
        **(proxy or Proxy()).for_uvicorn(),
    )
    server = _Server(config, on_start=lambda: _announce(listener), on_stop=app.state.queue.stop)
    try:
        server.run(sockets=[listener])
    finally:
        lost = app.state.queue.close()
        if kept:
            kept.close()
        if enrolment:
            enrolment.close()
        if lost:
            _LOG.error("ended before its photographs", extra={"fields": {"photographs": lost}})
            logging.shutdown()
            os._exit(0)  # else Python would wait for their threads


def _announce(listener: socket.socket) -> None:
    host, port = listener.getsockname()[:2]
    address = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
    print(f"PillSnap answers at {address} (Ctrl-C ends it)", flush=True)
    _LOG.info("listening", extra={"fields": {"address": address}})


class _Server(uvicorn.Server):
    """Announces that it listens, and ends with status 0 on a signal, which uvicorn would raise again at its end."""

    def __init__(self, config: uvicorn.Config, *, on_start: Callable[[], None], on_stop: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_start, self._on_stop = on_start, on_stop

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._on_start()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self._on_stop()
        self.force_exit = self.should_exit and sig == signal.SIGINT
        self.should_exit = True
