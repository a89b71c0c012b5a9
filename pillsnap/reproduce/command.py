"""The commands `pillsnap trace`, `diff` and `verify`: where results come from, and whether they can be made again."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pillsnap.cli_errors import stop

if TYPE_CHECKING:
    from pillsnap.reproduce.diff import Comparison, Difference

StageName = Annotated[str, typer.Option("--stage", help="stage1 to stage4")]
MOST = 12
"""Differences of one kind that are printed."""


def trace(
    file: Annotated[Path, typer.Argument(help="An output of a rule, or a file within one")],
    results: Annotated[Path, typer.Option(help="Folder of results, where the stages lie")] = Path("results"),
    check: Annotated[
        bool, typer.Option("--check", help="Compare every file on the way with its record, not this one alone")
    ] = False,
) -> None:
    """Show the way from a file back to the raw archives: jobs, commits, dates, durations, seeds.

    Exits with status 1 where a file on the way is not what its job recorded, and with 2 where no job recorded the file.
    """
    from rich.console import Console

    from pillsnap.reproduce.records import RecordError
    from pillsnap.reproduce.trace import trace as follow

    try:
        found = follow(file, results, check=check)
    except (RecordError, OSError) as error:
        stop(str(error))
    # where no terminal is, no line is broken at its 80 columns
    Console(highlight=False, width=None if sys.stdout.isatty() else 1000).print(found.tree)
    for trouble in dict.fromkeys(found.troubles):
        typer.echo(trouble, err=True)
    if found.troubles:
        raise typer.Exit(1)
    typer.echo("Every file on the way is as recorded." if check else f"{file} is as recorded.")


def diff(
    before: Annotated[str, typer.Argument(help="A commit that records the stage in dvc.lock")],
    after: Annotated[str, typer.Argument(help="Another one, or `workspace`: what lies here")] = "workspace",
    stage: StageName = "stage4",
) -> None:
    """Say which of data, config, code, environment or seed made two reports differ, and what came out otherwise.

    Exits with status 0 where nothing was given otherwise, with 1 where something was, and with 2 where a run is not
    recorded.
    """
    from pillsnap.reproduce.diff import compare, run_of
    from pillsnap.reproduce.records import RecordError

    try:
        found = compare(run_of(before, stage), run_of(after, stage))
    except (RecordError, OSError) as error:
        stop(str(error))
    _print_comparison(found)
    if any(found.causes.values()):
        raise typer.Exit(1)


def verify(
    commit: Annotated[str, typer.Argument(help="A commit that records the stage in dvc.lock")] = "HEAD",
    stage: StageName = "stage4",
    folder: Annotated[
        Path | None, typer.Option(help="Where the stage is made; below work/verify by default; removed if all fits")
    ] = None,
    cores: Annotated[int | None, typer.Option(min=1, help="Given to Snakemake; all by default")] = None,
    tolerance: Annotated[
        float, typer.Option(min=0, max=1, help="How far accuracies may differ where the device is another one")
    ] = 0.02,
) -> None:
    """Make a stage of a commit again in a clean folder, and compare every file with what DVC holds of it.

    Killed, it goes on where it was. Exits with status 1 where a file differs, and with 2 where nothing is recorded or
    the stage cannot be made.
    """
    import shutil

    from pillsnap.reproduce.rebuild import hash_of, rebuild
    from pillsnap.reproduce.records import RecordError, recorded_outputs
    from pillsnap.reproduce.verify import Outcome, compare_with_held

    try:
        recorded_outputs(commit, stage)  # before hours of work
        place = folder or Path("work") / "verify" / f"{stage}-{hash_of(commit)[:12]}"
        rebuild(commit, stage, place, cores=cores)
        found = compare_with_held(commit, stage, place, tolerance=tolerance)
    except (RecordError, OSError) as error:
        stop(str(error))
    for outcome in Outcome:
        group = [finding for finding in found if finding.outcome is outcome]
        typer.echo(f"{len(group):5}  {outcome.value}")
        if outcome in (Outcome.DIFFERS, Outcome.OTHER_DEVICE):
            _print_list([f"{finding.path}: {finding.detail}" for finding in group])
    if any(finding.outcome is Outcome.DIFFERS for finding in found):
        typer.echo(f"Not the same. What was made again lies in {place}.", err=True)
        raise typer.Exit(1)
    shutil.rmtree(place)
    typer.echo(f"{stage} of {commit} was made again: everything that can be the same is.")


def _print_comparison(found: "Comparison") -> None:
    same = [cause for cause, differences in found.causes.items() if not differences]
    differing = [cause for cause in found.causes if cause not in same]
    typer.echo(f"Different: {', '.join(differing) or 'nothing'}. The same: {', '.join(same) or 'nothing'}.")
    for cause in differing:
        typer.echo(f"\n{cause}")
        _print_list([_line(difference) for difference in found.causes[cause]])
    if found.outputs:
        typer.echo(f"\nOther outputs of: {', '.join(found.outputs)}")
    if found.metrics:
        typer.echo("\nmetrics.json")
        _print_list([f"{key}: {old} -> {new}" for key, old, new in found.metrics])


def _line(difference: "Difference") -> str:
    rules = f"  ({', '.join(difference.rules)})" if difference.rules else ""
    return f"{difference.what}: {difference.before} -> {difference.after}{rules}"


def _print_list(lines: list[str]) -> None:
    for line in lines[:MOST]:
        typer.echo(f"  {line}")
    if len(lines) > MOST:
        typer.echo(f"  and {len(lines) - MOST} more")
