"""HTTP connections with time limits for a request's headers and for who reads, and a bound on how many are open."""

import asyncio
import logging
import resource
from functools import partial
from http import HTTPStatus
from typing import Any

import h11
from uvicorn import Config
from uvicorn.protocols.http.h11_impl import H11Protocol

from pillsnap.serve.errors import RETRY_SECONDS, ServiceError

HEADER_SECONDS = 10.0
"""For a request's headers, from the connection's or their own first byte on."""
SEND_SECONDS = 30.0
"""For what is written of a response, until the client has taken it."""
BACKLOG = 100
"""Connections that wait to be accepted, and those accepted before the first of them is looked at."""
_MOST = 1_000
_OTHER_FILES = 64
_LOG = logging.getLogger("pillsnap.serve")


def most_connections() -> int:
    """How many connections may be open: 1,000, or fewer where the limit of open files (`ulimit -n`) is low."""
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return _MOST if files == resource.RLIM_INFINITY else max(16, min(_MOST, files - _OTHER_FILES - 2 * BACKLOG))


def bounded_connections(
    most: int, *, header_seconds: float = HEADER_SECONDS, send_seconds: float = SEND_SECONDS
) -> Any:
    """The factory of connections for uvicorn: at most `most` of them, which know of each other."""
    return partial(BoundedConnection, most=most, header_seconds=header_seconds, send_seconds=send_seconds, waiting={})


class BoundedConnection(H11Protocol):
    """A connection that is closed where a request's headers take too long, or where its client does not read.

    Where too many connections are open, one that waits for its client makes room, for a request or for a response to be
    read: that which waits longest. Where all are busy, the new one is refused with status 503.
    """

    def __init__(
        self,
        config: Config,
        *args: Any,
        most: int,
        header_seconds: float,
        send_seconds: float,
        waiting: dict["BoundedConnection", None],
        **options: Any,
    ) -> None:
        super().__init__(config, *args, **options)
        self._most, self._header_seconds, self._send_seconds = most, header_seconds, send_seconds
        self._waiting = waiting
        self._timer: asyncio.TimerHandle | None = None
        self._sending: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take in a connection, make room for it, or refuse it."""
        super().connection_made(transport)
        transport.set_write_buffer_limits(high=0)  # writing pauses wherever a byte is not taken
        if len(self.connections) > self._most:
            if not self._waiting:
                cure = f"Try again in {RETRY_SECONDS} s."
                _LOG.warning("connection refused", extra={"fields": {"open": len(self.connections)}})
                headers = {"Retry-After": str(RETRY_SECONDS)}
                self._refuse(ServiceError(503, "too_many_connections", "Too many connections are open.", cure, headers))
                return
            next(iter(self._waiting))._abort()
        self._watch()

    def data_received(self, data: bytes) -> None:
        """Take in bytes; the time limit of headers runs from the first one of them."""
        super().data_received(data)
        self._watch()

    def handle_events(self) -> None:
        """Handle what has arrived, without the empty lines that may precede a request (RFC 9112, 2.2)."""
        if self.conn.their_state is h11.IDLE:
            arrived, _ = self.conn.trailing_data
            request = arrived.lstrip(b"\r\n")
            if request != arrived:
                self.conn = h11.Connection(h11.SERVER)
                if request:  # no bytes would mean the connection's end
                    self.conn.receive_data(request)
        super().handle_events()

    def on_response_complete(self) -> None:
        """Wait for the next request."""
        super().on_response_complete()
        # a further request may have waited in the buffer
        if self.cycle.response_complete and not self.transport.is_closing():
            self._waiting[self] = None

    def pause_writing(self) -> None:
        """Wait for the client to read: within the time limit, and ready to make room."""
        super().pause_writing()
        self._waiting[self] = None
        self._sending = self.loop.call_later(self._send_seconds, self._not_read)

    def resume_writing(self) -> None:
        """Go on once the client has read."""
        super().resume_writing()
        self._read()
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        self._read()
        self._forget()
        super().connection_lost(exc)

    def send_400_response(self, msg: str) -> None:
        """Answer what is no HTTP, in the shape of all errors; a response that has begun is broken off."""
        if self.cycle and self.cycle.response_started and not self.cycle.response_complete:
            self._close()
            return
        self._refuse(ServiceError(400, "request_invalid", msg, "Send HTTP/1.1."))

    def _watch(self) -> None:
        """Start the timer where headers are awaited, and stop it where a request is in progress."""
        if self.transport.is_closing() or (self.cycle and not self.cycle.response_complete):
            self._forget()
        elif self._timer is None:
            self._waiting[self] = None
            self._timer = self.loop.call_later(self._header_seconds, self._too_slow)

    def _read(self) -> None:
        if self._sending:
            self._sending.cancel()
            self._sending = None

    def _not_read(self) -> None:
        _LOG.warning("response not read")
        self._abort()

    def _forget(self) -> None:
        if not self._sending:
            self._waiting.pop(self, None)
        if self._timer:
            self._timer.cancel()
            self._timer = None

    def _too_slow(self) -> None:
        begun, _ = self.conn.trailing_data
        if begun:
            message = f"The request's headers did not arrive within {self._header_seconds:g} s."
            self._refuse(ServiceError(408, "headers_slow", message, "Send it again."))
        else:
            self._close()

    def _refuse(self, error: ServiceError) -> None:
        """Write an error response past the protocol, and close the connection."""
        response = error.response()
        lines = [f"HTTP/1.1 {error.status} {HTTPStatus(error.status).phrase}".encode(), b"connection: close"]
        lines += [name + b": " + value for name, value in response.raw_headers]
        self.transport.write(b"\r\n".join(lines) + b"\r\n\r\n" + bytes(response.body))
        self._close()

    def _close(self) -> None:
        self._forget()
        self.transport.close()

    def _abort(self) -> None:
        """Close the connection without waiting for the client to read."""
        self._read()
        self._forget()
        self.transport.abort()
