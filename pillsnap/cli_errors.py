"""Errors of a command: a message and an exit status; and warnings, after which it goes on."""

from typing import NoReturn

import typer


def stop(problem: str | Exception) -> NoReturn:
    """Print an error message to standard error, and exit with status 2."""
    typer.echo(_message(problem), err=True)
    raise typer.Exit(2)


def warn(message: str) -> None:
    """Print a warning to standard error."""
    typer.echo(message, err=True)


def _message(problem: str | Exception) -> str:
    """The message; the system's errors tell the file first, and a cure."""
    if isinstance(problem, OSError) and problem.filename and problem.strerror:
        return f"{problem.filename}: {problem.strerror.lower()}. Check the path, and who may read and write there."
    return str(problem)
