"""The log of a job: to its file and to the console, tracebacks too. Imports nothing but the standard library, so that a
failing import of the job itself reaches the log."""

import contextlib
import logging
import os
import sys
import time
import traceback
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def job_log(path: str | Path) -> Iterator[None]:
    """Log the block's messages to `path` and to standard error; an error is logged with its traceback and raised again.

    Of the processes of torchrun, rank 0 logs to `path` and the console, others log to `<path>.<rank>` and show warnings
    on the console. After a restart by torchrun they append.
    """
    rank, restarted = int(os.environ.get("RANK", "0")), os.environ.get("TORCHELASTIC_RESTART_COUNT", "0") != "0"
    file = Path(f"{path}.{rank}" if rank and path != os.devnull else path)
    file.parent.mkdir(parents=True, exist_ok=True)
    to_file = logging.FileHandler(file, mode="a" if restarted else "w", encoding="utf-8")
    to_console = logging.StreamHandler(sys.stderr)
    to_console.setLevel(logging.WARNING if rank else logging.INFO)
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(message)s", handlers=[to_file, to_console], force=True
    )
    logging.Formatter.converter = time.gmtime
    try:
        yield
    except BaseException:
        with contextlib.suppress(OSError):  # the disk is full: the traceback is on the console
            print(traceback.format_exc(), end="", file=to_file.stream)
        raise
    finally:
        with contextlib.suppress(OSError):
            to_file.close()
