"""Jobs that Snakemake starts by `shell:`, the check before a stage and the trainings: command line, log, record.
Imports nothing but the standard library, so that a failing import of the job itself reaches the log."""

import argparse
import contextlib
import os
import sys
import time
import typing
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from pillsnap.workflow.arithmetic import keep_portable
from pillsnap.workflow.log import job_log


@contextlib.contextmanager
def logged_job(description: str, args: Sequence[str] | None = None) -> Iterator[Callable[..., None]]:
    """Log the block to the file that `--log` names and to the console, before the job's function is imported; with
    `--portable true` its arithmetic is kept to what `keep_portable` says.

    Args:
        description: shown by `--help`.
        args: words of the command line; those of this process by default.

    Yields:
        `run_job(function, outputs, unrecorded)`: call the function with its `job_arguments`, then write the record that
        `--record` names. `outputs` are the parameters that name what the job writes, `unrecorded` those that decide no
        result; other paths are inputs, other values settings.
    """
    words = sys.argv[1:] if args is None else args
    early = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    early.add_argument("--log", default=os.devnull)
    early.add_argument("--portable", type=str.lower)
    given = early.parse_known_args(words)[0]
    with job_log(given.log):
        started = time.monotonic()
        if given.portable == "true":
            keep_portable()

        def run_job(function: Callable[..., None], *, outputs: Sequence[str], unrecorded: Sequence[str] = ()) -> None:
            arguments, record = job_arguments(function, description, words)
            function(**arguments)
            if os.environ.get("RANK", "0") == "0":  # of several processes, the first one writes it
                recorded = {name: value for name, value in arguments.items() if name not in unrecorded}
                if given.portable:
                    recorded["portable"] = given.portable == "true"
                _write_record(function.__name__, record, recorded, outputs, seconds=time.monotonic() - started)

        yield run_job


def job_arguments(function: Callable[..., None], description: str, words: Sequence[str]) -> tuple[dict[str, Any], Path]:
    """Parse the command line that a function's signature describes: one option for each parameter, of its name.

    A section of the configuration is given as JSON; what it leaves out has the section's defaults.

    Returns:
        the function's keyword arguments, and the path of the record.

    Raises:
        SystemExit: an option is missing or unknown.
        pydantic.ValidationError: a value is not of its parameter's type.
    """
    from pydantic import BaseModel, TypeAdapter

    types = {name: kind for name, kind in typing.get_type_hints(function).items() if name != "return"}
    sections = {name for name, kind in types.items() if issubclass(kind, BaseModel)}
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    for name in types:
        parser.add_argument(f"--{name}", required=True, help="JSON" if name in sections else None)
    parser.add_argument("--record", required=True, help="written, JSON: where the outputs come from")
    parser.add_argument("--log", help="written besides the console")
    parser.add_argument(
        "--portable", type=str.lower, choices=("true", "false"), help="arithmetic that every processor with AVX2 has"
    )
    given = vars(parser.parse_args(words))
    arguments = {
        name: (TypeAdapter(kind).validate_json if name in sections else TypeAdapter(kind).validate_python)(given[name])
        for name, kind in types.items()
    }
    return arguments, Path(given["record"])


def _write_record(
    rule: str, record: Path, arguments: dict[str, Any], outputs: Sequence[str], *, seconds: float
) -> None:
    from pydantic import BaseModel

    from pillsnap.workflow.code_inputs import code_of, path_from_root
    from pillsnap.workflow.provenance import write_record

    paths = {name: value for name, value in arguments.items() if isinstance(value, Path)}
    settings = {name: value for name, value in arguments.items() if name not in paths}
    # a recipe names the file of weights that its training begins with
    starts_from = [file for value in settings.values() for file in getattr(value, "starting_files", ())]
    write_record(
        record,
        rule=rule,
        inputs={name: path for name, path in paths.items() if name not in outputs} | {"starts_from": starts_from},
        outputs={name: paths[name] for name in outputs},
        code=[path_from_root(path) for path in code_of(rule, files=[f"scripts/{rule}.py"])],
        settings={
            name: value.model_dump(mode="json", exclude_unset=True) if isinstance(value, BaseModel) else value
            for name, value in settings.items()
        },
        seconds=seconds,
    )
