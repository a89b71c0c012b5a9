"""A real S3 server on loopback for one test: moto's, which keeps its objects in memory."""

import importlib.util
import os
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import pytest

PACKAGES = ("dvc_s3", "flask_cors", "moto")


@contextmanager
def s3_bucket(name: str) -> Iterator[dict[str, str]]:
    """A bucket of a server that runs until the block ends: what DVC has to be told of its remote.

    The test is skipped where a package is missing, but not under PILLSNAP_CI=1.
    """
    missing = [package for package in PACKAGES if not importlib.util.find_spec(package)]
    if missing and os.environ.get("PILLSNAP_CI") != "1":
        pytest.skip(f"needs {', '.join(missing)}: run `make env`")
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer("127.0.0.1", 0)
    server.start()
    try:
        endpoint = "http://{}:{}".format(*server.get_host_and_port())
        httpx.put(f"{endpoint}/{name}").raise_for_status()
        yield {"endpointurl": endpoint, "access_key_id": "key", "secret_access_key": "secret"}
    finally:
        server.stop()
