"""API key: read it, and check requests for it."""

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
    """An unusable key, or none where one is required."""


def read_key(key_file: Path | None) -> str | None:
    """Read the key from a file or, without one, from the environment; `None` where there is none.

    Raises:
        KeySetupError: the key is empty, or has characters that an HTTP header cannot carry.
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
    """Refuse to listen beyond loopback without a key, unless `--no-api-key` was given.

    Raises:
        KeySetupError: the host is not loopback and no key protects the service; or both a key and
            `--no-api-key` were given.
        OSError: the host's name cannot be resolved.
    """
    if key and open_to_all:
        raise KeySetupError(f"--no-api-key: an API key is set. Leave the option out, or unset {VARIABLE}.")
    if key or open_to_all or _is_loopback(host):
        return
    raise KeySetupError(
        f"--host {host}: other machines could send requests without a key. Set {VARIABLE} or --api-key-file, or add "
        "--no-api-key."
    )


def _is_loopback(host: str) -> bool:
    try:
        addresses = {entry[4][0] for entry in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)}
    except (OSError, UnicodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "no name of a host"
        message = f"--host {host}: {reason}. Name an address of this machine, such as 127.0.0.1."
        raise OSError(message) from error
    return all(ipaddress.ip_address(address).is_loopback for address in addresses)


def key_check(key: str) -> Callable[..., Awaitable[None]]:
    """FastAPI dependency that refuses requests without the key."""
    expected = key.encode()
    scheme = APIKeyHeader(name=HEADER, scheme_name="ApiKey", auto_error=False)

    async def check(given: str | None = Security(scheme)) -> None:
        if given is None:
            raise ServiceError(401, "key_missing", "The API key is missing.", _CURE, _CHALLENGE)
        if not hmac.compare_digest(given.encode(), expected):
            raise ServiceError(401, "key_wrong", "The API key is wrong.", _CURE, _CHALLENGE)

    return check
