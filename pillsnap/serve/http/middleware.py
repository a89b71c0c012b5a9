"""Middleware around every request: request id, log line, metrics, and an error response whatever fails inside."""

import asyncio
import logging
import re
import time
import uuid

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pillsnap.serve.errors import internal_error
from pillsnap.serve.metrics import Metrics

CLIENT_GONE = 499
"""Status, in log and metrics, of a request whose client closed the connection before the answer."""

_LOG = logging.getLogger("pillsnap.serve")
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_ABSOLUTE = re.compile(r"https?://[^/]*", re.IGNORECASE)
_DRAIN_SECONDS = 2.0


class RequestMiddleware:
    """ASGI middleware; `request.state.log_fields` collects what a route adds to its log line."""

    def __init__(self, app: ASGIApp, metrics: Metrics, drain_bytes: int) -> None:
        self._app, self._metrics, self._drain_bytes = app, metrics, drain_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, then log and count it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        _use_path_alone(scope)
        exchange = _Exchange(scope, receive, send, self._drain_bytes)
        # every path with GET has HEAD, whose response has no body
        inner = scope if scope["method"] != "HEAD" else {**scope, "method": "GET"}
        try:
            await self._app(inner, exchange.receive, exchange.send)
        except ClientDisconnect:
            exchange.status = CLIENT_GONE
        except Exception:
            _LOG.exception("failed", extra={"fields": {"request_id": exchange.request_id}})
            if exchange.status is None:
                exchange.log_fields["error"] = "internal"
                await internal_error(exchange.request_id).response()(scope, exchange.receive, exchange.send)
        finally:
            self._record(scope, inner.get("route"), exchange)

    def _record(self, scope: Scope, route: object, exchange: "_Exchange") -> None:
        seconds = time.perf_counter() - exchange.begun
        status = CLIENT_GONE if exchange.status is None else exchange.status
        self._metrics.count_request(getattr(route, "path", "other"), status, seconds)
        fields = {
            "request_id": exchange.request_id,
            "method": scope["method"],
            "path": scope["path"][:200],
            "status": status,
            "ms": round(seconds * 1000, 1),
            "bytes": exchange.received,
        }
        _LOG.info("request", extra={"fields": fields | exchange.log_fields})


def _use_path_alone(scope: Scope) -> None:
    """Leave out scheme and host where a request names its whole address (absolute form, RFC 9112, 3.2.2)."""
    root: str = scope.get("root_path", "")
    path = scope["path"].removeprefix(root)
    if found := _ABSOLUTE.match(path):
        scope["path"] = root + (path[found.end() :] or "/")
        scope["raw_path"] = scope["path"].encode()


class _Exchange:
    """One request and its response as they pass through."""

    def __init__(self, scope: Scope, receive: Receive, send: Send, drain_bytes: int) -> None:
        self._receive, self._send, self._drain_bytes = receive, send, drain_bytes
        headers = Headers(scope=scope)
        given = headers.get("x-request-id", "")
        self.request_id = given if _REQUEST_ID.fullmatch(given) else uuid.uuid4().hex
        self.begun = time.perf_counter()
        self.received = 0
        self.status: int | None = None
        self.log_fields: dict[str, object] = {}
        scope.setdefault("state", {})["log_fields"] = self.log_fields
        self._head = scope["method"] == "HEAD"
        self._unread = scope["method"] in ("POST", "PUT", "PATCH")
        self._waits_for_continue = "expect" in headers

    async def receive(self) -> Message:
        message = await self._receive()
        self._waits_for_continue = False
        self.received += len(message.get("body", b""))
        if message["type"] != "http.request" or not message.get("more_body", False):
            self._unread = False
        return message

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            await self._drain()
            self.status = message["status"]
            headers = MutableHeaders(raw=message["headers"])
            headers["X-Request-ID"] = self.request_id
            headers["X-Content-Type-Options"] = "nosniff"
            headers.setdefault("Cache-Control", "no-store")
        elif self._head:
            message = {**message, "body": b""}
        await self._send(message)

    async def _drain(self) -> None:
        """Read and discard, within limits, what a refused request still sends.

        Closing the connection while the client writes would reset it, and the client might never see the response.
        """
        if self._waits_for_continue:
            return
        try:
            async with asyncio.timeout(_DRAIN_SECONDS):
                while self._unread and self.received < self._drain_bytes:
                    await self.receive()
        except TimeoutError:
            pass
