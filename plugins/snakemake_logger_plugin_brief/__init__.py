"""A line for each job that starts, instead of Snakemake's blocks: `PYTHONPATH=plugins snakemake --logger brief …`.

Snakemake's own `--quiet rules` hides the errors of rules too, and thins out the log file. The file keeps everything
here, and so does the terminal of errors and warnings. snakemake-logger-plugin-rich redraws the terminal, over the
progress bars of the jobs.
"""

import sys
import time
from logging import WARNING, LogRecord

from snakemake_interface_logger_plugins.base import LogHandlerBase
from snakemake_interface_logger_plugins.common import LogEvent

SHOWN = (None, LogEvent.ERROR, LogEvent.RUN_INFO, LogEvent.JOB_INFO)
USUAL = (
    "Assuming unrestricted shared filesystem usage",
    "Building DAG of jobs",
    "Using shell",
    "Rules claiming more threads",
    "Conda environments: ignored",
    "Select jobs to execute",
    "Elapsed time",
)
"""How messages begin that tell the reader of a terminal nothing."""


class LogHandler(LogHandlerBase):
    """Write to standard error; the formatter is Snakemake's, for what is shown whole."""

    writes_to_stream = True
    writes_to_file = False
    has_filter = False
    has_formatter = False
    needs_rulegraph = False

    def __post_init__(self) -> None:
        self._started = self._jobs = 0

    def emit(self, record: LogRecord) -> None:
        """Write what the record has to tell, if anything."""
        text = self._text(record)
        if text:
            print(text, file=sys.stderr, flush=True)

    def _text(self, record: LogRecord) -> str:
        event = getattr(record, "event", None)
        if record.levelno < WARNING:
            if event not in SHOWN or record.getMessage().startswith(USUAL):
                return ""
            if event == LogEvent.RUN_INFO:
                return self._begin(dict(record.stats))
            if event == LogEvent.JOB_INFO:
                return self._start(record)
        return self.format(record)

    def _begin(self, counts: dict[str, int]) -> str:
        self._jobs = counts.pop("total")
        return f"Jobs: {self._jobs} ({', '.join(f'{count} x {name}' for name, count in counts.items())})"

    def _start(self, record: LogRecord) -> str:
        self._started += 1
        words = (record.rule_name, *dict(record.wildcards).values())
        return f"{time.strftime('%H:%M:%S')} [{self._started}/{self._jobs}] {' '.join(words)}"
