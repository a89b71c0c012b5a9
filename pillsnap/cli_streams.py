"""What a command writes: errors, which end it, warnings, after which it goes on, and output for programs."""

import io
import json
import sys
from typing import Any, NoReturn, TextIO

import typer

KEPT_AS = "backslashreplace"
"""How letters that the encoding lacks are written: a path that is no UTF-8 ends no command."""


def stop(problem: str | Exception) -> NoReturn:
    """Print an error message to standard error, and exit with status 2."""
    typer.echo(_message(problem), err=True)
    raise typer.Exit(2)


def warn(message: str) -> None:
    """Print a warning to standard error."""
    typer.echo(message, err=True)


def utf8_output() -> TextIO:
    """Standard output, from now on in UTF-8, whatever the terminal's encoding is."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(encoding="utf-8", errors=KEPT_AS)
    return sys.stdout


def print_json(value: Any) -> None:
    """Print indented JSON."""
    print(json.dumps(value, ensure_ascii=False, indent=2), file=utf8_output())


def _message(problem: str | Exception) -> str:
    """The message; the system's errors tell the file first, and a cure."""
    if isinstance(problem, OSError) and problem.filename and problem.strerror:
        return f"{problem.filename}: {problem.strerror.lower()}. Check the path, and who may read and write there."
    return str(problem)
