"""The API key: where it comes from, and whether a request has it."""

import hmac
import ipaddress
import os
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path

from fastapi import Security
from fastapi.security import APIKeyHeader

from pillsnap.serve.errors import ServiceError

VARIABLE = "PILLSNAP_API_KEY"
HEADER = "X-API-Key"
_CHALLENGE = {"WWW-Authenticate": "APIKey"}
_CURE = f"Send the key in the header {HEADER}."


class KeySetupError(ValueError):
    """A key that cannot be used, or none where one is needed."""


def find_key(key_file: Path | None) -> str | None:
    """The key out of a file or, without one, out of the environment; `None` where there is none.

    Raises:
        KeySetupError: the key is empty or holds what no header can.
        OSError: the file cannot be read.
    """
    where = str(key_file) if key_file else VARIABLE
    text = key_file.read_text(encoding="utf-8") if key_file else os.environ.get(VARIABLE)
    if text is None:
        return None
    key = text.strip()
    if not key or not key.isascii() or not key.isprintable() or " " in key:
        raise KeySetupError(
            f"{where}: the API key must be printable ASCII without spaces. Make one: openssl rand -hex 32"
        )
    return key


def check_exposure(host: str, key: str | None, *, open_to_all: bool) -> None:
    """Refuse to be reached from other machines without a key, unless that is asked for.

    Raises:
        KeySetupError: the host is not loopback and no key protects the service; or both key and `--no-api-key` are
            given.
        OSError: the host's name is not known.
    """
    if key and open_to_all:
        raise KeySetupError(f"--no-api-key: there is a key. Leave the option out, or take the key away ({VARIABLE}).")
    if key or open_to_all or _is_loopback(host):
        return
    raise KeySetupError(
        f"--host {host}: other machines could ask without a key. Set {VARIABLE} or --api-key-file, or say --no-api-key."
    )


def _is_loopback(host: str) -> bool:
    addresses = {entry[4][0] for entry in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)}
    return all(ipaddress.ip_address(address).is_loopback for address in addresses)


def key_check(key: str) -> Callable[..., Awaitable[None]]:
    """A FastAPI dependency that lets only requests with the key pass."""
    expected = key.encode()
    scheme = APIKeyHeader(name=HEADER, scheme_name="ApiKey", auto_error=False)

    async def check(given: str | None = Security(scheme)) -> None:
        if given is None:
            raise ServiceError(401, "key_missing", "The API key is missing.", _CURE, _CHALLENGE)
        if not hmac.compare_digest(given.encode(), expected):
            raise ServiceError(401, "key_wrong", "The API key is wrong.", _CURE, _CHALLENGE)

    return check
