"""The commands `pillsnap trace`, `diff` and `verify`."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pillsnap.cli_streams import stop

if TYPE_CHECKING:
    from pillsnap.reproduce.diff import Comparison, Difference

StageName = Annotated[str, typer.Option("--stage", help="stage1 to stage4")]
MAX_PRINTED = 12
"""Differences of one kind to print."""


def trace(
    file: Annotated[Path, typer.Argument(help="An output of a rule, or a file within one")],
    results: Annotated[Path, typer.Option(help="Folder of results, where the stages lie")] = Path("results"),
    check: Annotated[
        bool, typer.Option("--check", help="Compare every file on the path with its record, not just this one")
    ] = False,
) -> None:
    """Show the path from a file back to the raw archives: jobs, commits, dates, durations, seeds.

    Exits with status 1 where a file on the path is missing or differs from its job's record, and with 2 where no job
    recorded the file, or records cannot be read.
    """
    from rich.console import Console

    from pillsnap.reproduce.records import RecordError
    from pillsnap.reproduce.trace import trace as follow

    try:
        found = follow(file, results, check=check)
    except (RecordError, OSError) as error:
        stop(error)
    # without a terminal, lines are not wrapped at 80 columns
    Console(highlight=False, width=None if sys.stdout.isatty() else 1000).print(found.tree)
    for problem in dict.fromkeys(found.problems):
        typer.echo(problem, err=True)
    if found.problems:
        raise typer.Exit(1)
    typer.echo("Every file on the path matches its record." if check else f"{file} matches its record.")


def diff(
    before: Annotated[str, typer.Argument(help="A commit that records the stage in dvc.lock")],
    after: Annotated[str, typer.Argument(help="Another one, or `workspace`: the working folder")] = "workspace",
    stage: StageName = "stage4",
) -> None:
    """Show which of data, config, code, environment or seed differ between two runs, and which results.

    Exits with status 0 where none of them differs, with 1 where one does, and with 2 where a run is not recorded, or
    records cannot be read.
    """
    from pillsnap.reproduce.diff import compare, run_of
    from pillsnap.reproduce.records import RecordError

    try:
        found = compare(run_of(before, stage), run_of(after, stage))
    except (RecordError, OSError) as error:
        stop(error)
    _print_comparison(found)
    if any(found.causes.values()):
        raise typer.Exit(1)


def verify(
    commit: Annotated[str, typer.Argument(help="A commit that records the stage in dvc.lock")] = "HEAD",
    stage: StageName = "stage4",
    folder: Annotated[
        Path | None,
        typer.Option(help="Where to rebuild; below work/verify by default; removed if all files match"),
    ] = None,
    cores: Annotated[int | None, typer.Option(min=1, help="For Snakemake; all by default")] = None,
    tolerance: Annotated[
        float, typer.Option(min=0, max=1, help="Allowed difference of accuracies where the device is another one")
    ] = 0.02,
) -> None:
    """Rebuild a stage of a commit in a clean folder, and compare every file with the one that DVC recorded.

    Resumes where it was killed. Exits with status 1 where a file differs, and with 2 where nothing is recorded or the
    rebuild fails.
    """
    import shutil

    from pillsnap.reproduce.rebuild import hash_of, rebuild
    from pillsnap.reproduce.records import RecordError, read_records, records_of_commit
    from pillsnap.reproduce.verify import Outcome, changed_data, changed_inputs, compare_with_recorded, devices_of

    try:
        recorded = records_of_commit(commit, stage)  # fails before hours of work
        changed = changed_data(commit, stage)
        for path in changed:
            typer.echo(f"{path} is not as {commit} recorded it: what is made of it will differ.", err=True)
        place = folder or Path("work") / "verify" / f"{stage}-{hash_of(commit)[:12]}"
        project = rebuild(commit, stage, place, cores=cores)
        found = compare_with_recorded(commit, stage, project, tolerance=tolerance)
        records = {"recorded": recorded, "rebuilt": read_records(project / "results", stage)}
    except (RecordError, OSError) as error:
        stop(error)
    for which, jobs in records.items():
        typer.echo(f"trained ({which}) on {', '.join(sorted(devices_of(jobs)))}")
    for outcome in Outcome:
        group = [finding for finding in found if finding.outcome is outcome]
        typer.echo(f"{len(group):5}  {outcome.value}")
        if outcome in (Outcome.DIFFERS, Outcome.OTHER_DEVICE):
            _print_list([f"{finding.path}: {finding.detail}" for finding in group])
    if any(finding.outcome is Outcome.DIFFERS for finding in found):
        inputs = changed_inputs(recorded, records["rebuilt"])
        changed += [path for path in inputs if not any(Path(path).is_relative_to(above) for above in changed)]
        if changed:
            typer.echo(
                f"The cause may be data that have changed since {commit} was recorded: {', '.join(changed)}. Bring "
                "back what was recorded, and verify again.",
                err=True,
            )
        typer.echo(f"Files differ. The rebuilt stage is in {place}.", err=True)
        raise typer.Exit(1)
    shutil.rmtree(place)
    typer.echo(f"{stage} of {commit} was rebuilt: every file that can be identical is.")


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
    for line in lines[:MAX_PRINTED]:
        typer.echo(f"  {line}")
    if len(lines) > MAX_PRINTED:
        typer.echo(f"  and {len(lines) - MAX_PRINTED} more")
