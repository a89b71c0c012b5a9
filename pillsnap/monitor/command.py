"""The command `pillsnap monitor`."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from pillsnap.cli_streams import stop


def monitor(
    stage: Annotated[str, typer.Option(help="stage1 to stage4")] = "stage4",
    work: Annotated[Path | None, typer.Option(help="Folder of the trainings' states; pathvars.work by default")] = None,
    config: Annotated[list[Path] | None, typer.Option(help="Configuration files, later ones win")] = None,
    once: Annotated[bool, typer.Option("--once", help="Print the view once, as without a terminal")] = False,
) -> None:
    """Show how a stage's trainings run, live, until Ctrl-C; also before and after they run.

    Exits with status 2 where the stage is unknown or not started, or the configuration is invalid.
    """
    from pillsnap.config.load import ConfigError, read_config
    from pillsnap.monitor.trainings import StageError
    from pillsnap.monitor.view import show_stage

    try:
        settings = read_config(*(config or [Path("config.yaml")]))
        show_stage(stage, settings, work=work, live=not once and sys.stdout.isatty())
    except (ConfigError, StageError) as error:
        stop(error)
