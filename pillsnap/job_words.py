"""The command line of the jobs that Snakemake starts by `shell:`: the check before a stage and the two trainings."""

import argparse
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any


def job_words(description: str, *, paths: Sequence[str], sections: Sequence[str] = ("settings",)) -> dict[str, Any]:
    """Parse the command line: the given paths and sections, `seed`, `device`, `threads`, `log`.

    Args:
        description: shown by `--help`.
        paths: names of required options that are paths.
        sections: names of options that are JSON of a section of the configuration.

    Returns:
        values by name, paths as `Path`.
    """
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    for name in paths:
        parser.add_argument(f"--{name}", type=Path, required=True)
    for name in sections:
        parser.add_argument(
            f"--{name}", default="{}", help="JSON of a section of the configuration; the rest by default"
        )
    parser.add_argument("--seed", type=int, default=576)
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--log", default=os.devnull, help="log file besides the console")
    return vars(parser.parse_args())
