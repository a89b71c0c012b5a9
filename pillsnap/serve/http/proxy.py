"""Proxy before the service: the path that it takes away, and whose word on the client's address counts."""

import ipaddress
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

_PATH = re.compile(r"(/[A-Za-z0-9._~-]+)*")


@dataclass(frozen=True)
class Proxy:
    """What a proxy does.

    Attributes:
        root_path: path below which it offers the service, and which it takes away from requests; empty: none.
        addresses: addresses or networks of proxies whose `X-Forwarded-For` and `X-Forwarded-Proto` count.
    """

    root_path: str = ""
    addresses: tuple[str, ...] = ()

    @classmethod
    def of(cls, root_path: str, addresses: Iterable[str]) -> "Proxy":
        """Check what was given.

        Raises:
            ValueError: a path that does not begin with `/`, or an address that is none.
        """
        path = root_path.rstrip("/")
        if not _PATH.fullmatch(path):
            raise ValueError(f"--root-path {root_path}: no path. Name one such as /pills.")
        for address in (known := tuple(addresses)):
            try:
                ipaddress.ip_network(address)
            except ValueError as error:
                raise ValueError(
                    f"--proxy {address}: {error}. Name an address such as 10.0.0.5, or a network such as 10.0.0.0/24."
                ) from error
        return cls(path, known)

    def for_uvicorn(self) -> dict[str, Any]:
        """Settings for uvicorn, which otherwise believes any client on loopback."""
        return {
            "root_path": self.root_path,
            "proxy_headers": bool(self.addresses),
            "forwarded_allow_ips": list(self.addresses),
        }
