"""Errors of a command: a message and an exit status."""

from typing import NoReturn

import typer


def stop(message: str) -> NoReturn:
    """Print an error message to standard error, and exit with status 2."""
    typer.echo(message, err=True)
    raise typer.Exit(2)
