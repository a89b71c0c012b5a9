"""The command `pillsnap`."""

import sys
from pathlib import Path
from typing import Annotated, NoReturn

import typer
from rich.console import Console
from rich.table import Column, Table

from pillsnap.dataset import command as data_commands
from pillsnap.predict import command as predict_command
from pillsnap.reproduce import command as reproduce_commands
from pillsnap.serve import command as serve_command

app = typer.Typer(help="PillSnap: name pills in photographs, and look after the pipeline.", no_args_is_help=True)
app.add_typer(data_commands.app, name="data")


@app.callback()
def main() -> None:
    """PillSnap: name pills in photographs, and look after the pipeline."""


app.command()(predict_command.predict)
app.command()(serve_command.serve)
app.command()(reproduce_commands.trace)
app.command()(reproduce_commands.diff)
app.command()(reproduce_commands.verify)


def _stop(message: str) -> NoReturn:
    """Say what is wrong on standard error and exit with status 2."""
    typer.echo(message, err=True)
    raise typer.Exit(2)


@app.command()
def doctor(
    stage: Annotated[str, typer.Option(help="stage1 to stage4")] = "stage4",
    config: Annotated[list[Path] | None, typer.Option(help="Configuration files, later ones win")] = None,
) -> None:
    """Say what hardware, disk and versions are here, and whether a stage would fit.

    Exits with status 1 where something would stop the stage, and with 2 where the configuration cannot be used.
    """
    from pillsnap.config.load import ConfigError, read_config
    from pillsnap.preflight.doctor import Verdict, examine

    try:
        findings = examine(read_config(*(config or [Path("config.yaml")])), stage)
    except ConfigError as error:
        _stop(str(error))
    table = Table("", "what", Column("found", overflow="fold"), Column("what to do", overflow="fold"))
    for finding in findings:
        table.add_row(finding.verdict.value, finding.what, finding.found, finding.cure)
    Console(file=sys.stdout).print(table)
    if any(finding.verdict is Verdict.refused for finding in findings):
        raise typer.Exit(1)


@app.command()
def monitor(
    stage: Annotated[str, typer.Option(help="stage1 to stage4")] = "stage4",
    work: Annotated[Path | None, typer.Option(help="Folder of the trainings' states; pathvars.work by default")] = None,
    config: Annotated[list[Path] | None, typer.Option(help="Configuration files, later ones win")] = None,
    once: Annotated[bool, typer.Option("--once", help="Print the view once; so it is where no terminal is")] = False,
) -> None:
    """Show how a stage's trainings run, live, until Ctrl-C; also before and after they run.

    Exits with status 2 where there is no such stage, nothing of it has begun, or the configuration cannot be used.
    """
    from pillsnap.config.load import ConfigError, read_config
    from pillsnap.monitor.trainings import StageError
    from pillsnap.monitor.view import show_stage

    try:
        settings = read_config(*(config or [Path("config.yaml")]))
        show_stage(stage, settings, work=work, live=not once and sys.stdout.isatty())
    except (ConfigError, StageError) as error:
        _stop(str(error))


if __name__ == "__main__":
    app()
