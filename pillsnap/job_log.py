"""A job's log: to its file and to the console, tracebacks too. Imports nothing but the standard library, so that a
failing import of the job itself reaches the log."""

import contextlib
import logging
import sys
import time
import traceback
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def job_log(path: str | Path) -> Iterator[None]:
    """Log the block's messages to `path` and to standard error; an error is logged whole and raised again."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    handlers = [logging.FileHandler(path, mode="w", encoding="utf-8"), logging.StreamHandler(sys.stderr)]
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", handlers=handlers, force=True)
    logging.Formatter.converter = time.gmtime
    try:
        yield
    except BaseException:
        handlers[0].stream.write(traceback.format_exc())
        raise
    finally:
        handlers[0].close()
