"""The command `pillsnap doctor`."""

import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Column, Table

from pillsnap.cli_streams import print_json, stop


def doctor(
    stage: Annotated[str, typer.Option(help="stage1 to stage4")] = "stage4",
    config: Annotated[list[Path] | None, typer.Option(help="Configuration files, later ones win")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON: versions and findings")] = False,
    deep: Annotated[bool, typer.Option(help="Measure the GPU with the stage's models instead, in minutes")] = False,
    models: Annotated[Path, typer.Option(help="With --deep: folder of export_onnx")] = Path("results/stage4/onnx"),
    record: Annotated[Path, typer.Option(help="With --deep: the record that is written")] = Path("gpu-check.json"),
) -> None:
    """Check hardware, disk, versions and raw data, and whether a stage would fit.

    Exits with status 1 where something would stop the stage, and with 2 where the configuration cannot be used.
    """
    if deep:
        _check_gpu(stage, config, models, record)
        return
    from pillsnap.config.load import ConfigError, read_config
    from pillsnap.preflight.doctor import examine
    from pillsnap.preflight.findings import Verdict
    from pillsnap.workflow.provenance import package_versions

    try:
        findings = examine(read_config(*(config or [Path("config.yaml")])), stage)
    except ConfigError as error:
        stop(error)
    if as_json:
        report = {"stage": stage, "versions": package_versions(), "findings": [asdict(finding) for finding in findings]}
        print_json(report)
    else:
        table = Table("", "what", Column("found", overflow="fold"), Column("what to do", overflow="fold"))
        for finding in findings:
            table.add_row(finding.verdict.value, finding.what, finding.found, finding.cure)
        Console(file=sys.stdout, markup=False).print(table)
    if any(finding.verdict is Verdict.refused for finding in findings):
        raise typer.Exit(1)


def _check_gpu(stage: str, config: list[Path] | None, models: Path, record: Path) -> None:
    """The table of the deep check; exits with status 1 where something failed."""
    from pillsnap.config.load import ConfigError, read_config
    from pillsnap.preflight.gpu_check.check_gpu import check_gpu
    from pillsnap.preflight.gpu_check.rows import Verdict

    try:
        settings = read_config(*(config or [Path("config.yaml")]))
    except ConfigError as error:
        stop(error)
    if stage not in type(settings.stages).model_fields:
        stop(f"--stage {stage}: must be one of {', '.join(type(settings.stages).model_fields)}.")
    rows = check_gpu(settings, stage=stage, models=models, record=record)
    table = Table("verdict", "check", *(Column(name, overflow="fold") for name in ("measured", "needed", "cure")))
    for row in rows:
        table.add_row(row.verdict.value, row.check, row.measured, row.needed, row.cure)
    Console(file=sys.stdout, markup=False).print(table)
    typer.echo(f"{record} holds the figures")
    if any(row.verdict is Verdict.failed for row in rows):
        raise typer.Exit(1)
