"""Structured logs: one JSON object a line on standard error, uvicorn's lines included."""

import datetime
import json
import logging
import sys


class JsonFormatter(logging.Formatter):
    """A record as one line of JSON: time, level, logger and message, then its extra fields."""

    def format(self, record: logging.LogRecord) -> str:
        time = datetime.datetime.fromtimestamp(record.created, datetime.UTC).isoformat(timespec="milliseconds")
        line = {"time": time, "level": record.levelname.lower(), "logger": record.name, "message": record.getMessage()}
        line |= getattr(record, "fields", {})
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


def start_logs() -> None:
    """Send every logger of the process to standard error as JSON."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter())
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
    logging.captureWarnings(True)
    for name in ("pillsnap.serve", "uvicorn"):
        logging.getLogger(name).setLevel(logging.INFO)
