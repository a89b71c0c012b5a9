"""The command `pillsnap doctor`."""

import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Column, Table

from pillsnap.cli_errors import stop


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
        stop(str(error))
    table = Table("", "what", Column("found", overflow="fold"), Column("what to do", overflow="fold"))
    for finding in findings:
        table.add_row(finding.verdict.value, finding.what, finding.found, finding.cure)
    Console(file=sys.stdout).print(table)
    if any(finding.verdict is Verdict.refused for finding in findings):
        raise typer.Exit(1)
