"""Servers of DVC's remotes on loopback: moto as S3, azurite as Azure, an emulator as Google's.

What DVC needs for Azure and Google is no part of the locked environment. The extras are resolved against it as
docs/reproduce.md installs them, but go into a folder of their own, which commands find by PYTHONPATH.
"""

import base64
import json
import os
import runpy
import secrets
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest

from tests.support.debian import need
from tests.support.loopback import free_port, wait_for
from tests.support.once import once_in_a_run
from tests.support.s3 import s3_bucket
from tests.support.workflow import PROJECT

AZURITE = "azurite@3.35.0"
EMULATOR = "gcp-storage-emulator==2026.7.19"


@dataclass(frozen=True)
class Server:
    """A server with one bucket, or container, `pills`.

    Attributes:
        scheme: of its addresses.
        settings: what DVC has to be told beside the address.
        wrong: the same with credentials that open nothing.
        variables: more of the environment, for commands that use it.
    """

    scheme: str
    settings: dict[str, str]
    wrong: dict[str, str]
    variables: dict[str, str] = field(default_factory=dict)


def changes(*requirements: str) -> tuple[list[str], list[str]]:
    """What installing would add to this environment, and what it would remove or replace: `name==version` each."""
    lines = [line.split(maxsplit=1) for line in _uv("--dry-run", *requirements).splitlines() if line[:1] == " "]
    added, removed = ([what for sign, what in lines if sign == wanted] for wanted in "+-")
    return added, removed


@once_in_a_run
def packages(base: Path, extra: str, *more: str) -> Path:
    """A folder of what an extra of this project, and other requirements, add to this environment."""
    added, _ = changes("--requirements", "pyproject.toml", "--extra", extra, *more)
    folder = base / f"remote-{extra}"
    if added:
        _uv("--no-deps", "--target", str(folder), *added)
    return folder


@once_in_a_run
def azurite(base: Path) -> Path:
    """The program of Azure's stand-in."""
    npm = need("npm", lambda: shutil.which("npm"), "npm")
    folder = base / "azurite"
    # a connection that stalls is tried again after 20 s instead of five minutes
    options = ("--no-audit", "--no-fund", "--ignore-scripts", "--fetch-timeout=20000", "--fetch-retries=5")
    _run(npm, "install", "--prefix", str(folder), *options, AZURITE)
    return folder / "node_modules/.bin/azurite-blob"


def _uv(*words: str) -> str:
    reached = runpy.run_path(str(PROJECT / "envs/install.py"))["uv_environment"]()
    return _run(sys.executable, "-m", "uv", "pip", "install", "--python", sys.executable, *words, environment=reached)


def _run(*words: str, environment: dict[str, str] | None = None) -> str:
    """Run an installer; returns its messages. Where it fails the test is skipped, but not under PILLSNAP_CI=1."""
    done = subprocess.run(words, cwd=PROJECT, env=environment, capture_output=True, text=True, check=False)
    if done.returncode and os.environ.get("PILLSNAP_CI") != "1":
        pytest.skip(f"needs what `{' '.join(words)}` installs: {done.stderr[-300:]}")
    assert done.returncode == 0, done.stderr
    return done.stderr


@contextmanager
def _serve(*words: str, port: int, **variables: str) -> Iterator[None]:
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(words, env=os.environ | variables, **quiet) as server:
        try:
            wait_for(port, server)
            yield
        finally:
            server.terminate()


@contextmanager
def s3(_: Path) -> Iterator[Server]:
    """moto, which from here on checks signatures: of a user who may do everything."""
    with s3_bucket("pills") as settings:
        import boto3

        iam = boto3.client(
            "iam",
            region_name="us-east-1",
            endpoint_url=settings["endpointurl"],
            aws_access_key_id=settings["access_key_id"],
            aws_secret_access_key=settings["secret_access_key"],
        )
        iam.create_user(UserName="user")
        allowed = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]}
        iam.put_user_policy(UserName="user", PolicyName="all", PolicyDocument=json.dumps(allowed))
        key = iam.create_access_key(UserName="user")["AccessKey"]
        checks = f"{settings['endpointurl']}/moto-api/reset-auth"
        httpx.post(checks, content="0").raise_for_status()
        try:
            right = {"access_key_id": key["AccessKeyId"], "secret_access_key": key["SecretAccessKey"]}
            yield Server("s3", settings | right, settings)
        finally:
            httpx.post(checks, content="inf").raise_for_status()


@contextmanager
def azure(base: Path) -> Iterator[Server]:
    """azurite, which checks signatures, with a key made for it."""
    program, folder = azurite(base), packages(base, "azure")
    port = free_port()
    right, wrong = (base64.b64encode(secrets.token_bytes(64)).decode() for _ in range(2))
    address = f"DefaultEndpointsProtocol=http;AccountName=pills;BlobEndpoint=http://127.0.0.1:{port}/pills;AccountKey="
    variables = {"PYTHONPATH": str(folder)}
    # the newest client's version of the interface is often one that azurite does not know yet
    options = ("--inMemoryPersistence", "--skipApiVersionCheck", "--disableTelemetry", "--silent")
    with _serve(str(program), "--blobPort", str(port), *options, port=port, AZURITE_ACCOUNTS=f"pills:{right}"):
        code = "import sys; from azure.storage.blob import ContainerClient as Client; "
        code += "Client.from_connection_string(sys.argv[1], 'pills').create_container()"
        words = [sys.executable, "-c", code, address + right]
        subprocess.run(words, env=os.environ | variables, check=True)
        told = [{"connection_string": address + key} for key in (right, wrong)]
        yield Server("azure", *told, variables)


@contextmanager
def google(base: Path) -> Iterator[Server]:
    """The emulator, which asks for no credentials."""
    folder = packages(base, "gcs", EMULATOR)
    port = free_port()
    variables = {"PYTHONPATH": str(folder)}
    words = ("-m", "gcp_storage_emulator", "start", "--host", "127.0.0.1", "--port", str(port), "--in-memory")
    with _serve(sys.executable, *words, "--default-bucket", "pills", port=port, **variables):
        there = {"endpointurl": f"http://127.0.0.1:{port}"}
        # gcsfs asks for a bucket's kind by gRPC, which the emulator does not speak
        variables["GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT"] = "false"
        right, wrong = there | {"allow_anonymous_login": "true"}, there | {"credentialpath": os.devnull}
        yield Server("gs", right, wrong, variables)


SERVERS: dict[str, Callable[[Path], AbstractContextManager[Server]]] = {"s3": s3, "azure": azure, "google": google}
