"""How a command ends that cannot do what it was asked."""

from typing import NoReturn

import typer


def stop(message: str) -> NoReturn:
    """Say what is wrong on standard error and exit with status 2."""
    typer.echo(message, err=True)
    raise typer.Exit(2)
