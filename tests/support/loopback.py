"""Ports of this machine alone, for the servers of tests."""

import socket
import subprocess
import time

import pytest


def free_port() -> int:
    """A port on which nothing listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def wait_for(port: int, server: subprocess.Popen) -> None:
    """Return when the server takes connections; the test fails where it ends, or takes 20 s."""
    until = time.monotonic() + 20
    while server.poll() is None and time.monotonic() < until:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    pytest.fail(f"{server.args[0]} does not answer")
