"""A terminal that a test reads."""

import fcntl
import os
import pty
import struct
import subprocess
import sys
import termios
import time

ROWS, COLUMNS = 24, 100
JOB = """
import sys, time
from pillsnap.progress import progress
for _ in progress(range(12), total=12, title=sys.argv[1]):
    time.sleep(float(sys.argv[2]))
    if sys.argv[3:] == ["fail"]:
        raise SystemExit("failed")
"""


class Terminal:
    """A terminal of 24 rows; what jobs write to it is kept."""

    def __enter__(self) -> "Terminal":
        self.reading, self.writing = pty.openpty()
        fcntl.ioctl(self.writing, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
        os.set_blocking(self.reading, False)
        self.shown = ""
        return self

    def start(self, *words: str, term: str = "xterm", code: str = JOB) -> subprocess.Popen:
        command = [sys.executable, "-c", code, *words]
        return subprocess.Popen(command, stderr=self.writing, env=os.environ | {"TERM": term})

    def wait(self, *jobs: subprocess.Popen) -> str:
        """Read until the jobs have ended; returns everything shown so far."""
        while True:
            ended = all(job.poll() is not None for job in jobs)
            try:
                self.shown += os.read(self.reading, 1 << 16).decode()
            except BlockingIOError:
                if ended:
                    return self.shown
                time.sleep(0.01)

    def read_until(self, words: str) -> None:
        """Read until `words` are shown."""
        deadline = time.monotonic() + 60
        while words not in self.shown:
            assert time.monotonic() < deadline, f"not shown: {words}"
            self.wait()
            time.sleep(0.05)

    def __exit__(self, *_: object) -> None:
        os.close(self.reading)
        os.close(self.writing)
