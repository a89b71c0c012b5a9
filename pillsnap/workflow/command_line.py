"""The jobs that Snakemake starts by `shell:`, the check before a stage and the trainings: command line, log, record.
Imports nothing but the standard library, so that a failing import of the job itself reaches the log."""

import argparse
import contextlib
import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from pillsnap.workflow.log import job_log


def job_words(
    description: str, *, paths: Sequence[str], files: Sequence[str] = (), sections: Sequence[str] = ("settings",)
) -> dict[str, Any]:
    """Parse the command line: the given paths, files and sections, `seed`, `device`, `threads`, `log`.

    Args:
        description: shown by `--help`.
        paths: names of required options that are paths.
        files: names of options that take any number of paths.
        sections: names of options that are JSON of a section of the configuration.

    Returns:
        values by name, paths as `Path`.
    """
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    for name in paths:
        parser.add_argument(f"--{name}", type=Path, required=True)
    for name in files:
        parser.add_argument(f"--{name}", type=Path, nargs="*", default=[])
    for name in sections:
        parser.add_argument(
            f"--{name}", default="{}", help="JSON of a section of the configuration; the rest by default"
        )
    parser.add_argument("--seed", type=int, default=576)
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--log", default=os.devnull, help="log file besides the console")
    return vars(parser.parse_args())


@contextlib.contextmanager
def worded_job(
    rule: str, words: dict[str, Any], *, inputs: Sequence[str], outputs: Sequence[str], settings: Sequence[str]
) -> Iterator[dict[str, Any]]:
    """Log the block, and write `record` when it ended well; of several processes, the first one writes it.

    Args:
        rule: its name.
        words: of `job_words`.
        inputs: names of the words that are inputs.
        outputs: names of the words that are outputs.
        settings: names of the words that decide the outputs.

    Yields:
        the words that are the function's: all but `log` and `record`.
    """
    given = dict(words)
    record = given.pop("record")
    with job_log(given.pop("log")):
        started = time.monotonic()
        yield given
        if os.environ.get("RANK", "0") != "0":
            return
        from pillsnap.workflow.code_inputs import code_of
        from pillsnap.workflow.provenance import write_record

        write_record(
            record,
            rule=rule,
            inputs={name: words[name] for name in inputs},
            outputs={name: words[name] for name in outputs},
            code=code_of(rule, files=[f"scripts/{rule}.py"]),
            settings={name: words[name] for name in settings},
            seconds=time.monotonic() - started,
        )
