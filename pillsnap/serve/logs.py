"""Structured logs: one JSON object a line on standard error, uvicorn's lines included."""

import datetime
import json
import logging
import math
import sys

_MINUTE = 60.0
_MESSAGES = 1_000


class JsonFormatter(logging.Formatter):
    """A record as one line of JSON: time, level, logger and message, then its extra fields."""

    def format(self, record: logging.LogRecord) -> str:
        time = datetime.datetime.fromtimestamp(record.created, datetime.UTC).isoformat(timespec="milliseconds")
        line = {"time": time, "level": record.levelname.lower(), "logger": record.name, "message": record.getMessage()}
        line |= getattr(record, "fields", {})
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


class Throttle(logging.Filter):
    """Lets each warning or error through a few times a minute, and then says how many were left out.

    Attributes:
        most: times a minute; messages are the same where their text before formatting is.
    """

    def __init__(self, most: int = 10) -> None:
        super().__init__()
        self._most = most
        self._seen: dict[tuple[str, str], tuple[float, int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the record is written."""
        if record.levelno < logging.WARNING:
            return True
        key = record.name, str(record.msg)
        begun, count = self._seen.get(key, (-math.inf, 0))
        if record.created - begun >= _MINUTE:
            if len(self._seen) >= _MESSAGES:
                self._seen.clear()
            self._seen[key] = record.created, 1
            if count > self._most:
                record.fields = getattr(record, "fields", {}) | {"left_out": count - self._most}
            return True
        self._seen[key] = begun, count + 1
        return count < self._most


def start_logs() -> None:
    """Send every logger of the process to standard error as JSON."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter())
    handler.addFilter(Throttle())
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
    logging.captureWarnings(True)
    for name in ("pillsnap.serve", "uvicorn"):
        logging.getLogger(name).setLevel(logging.INFO)
