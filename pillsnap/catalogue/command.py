"""The commands `pillsnap catalogue …`: import tables of drugs, and look up a pill in them."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pillsnap.cli_streams import print_json, stop

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pillsnap.catalogue.import_tables import Imported

_MOST_NAMES = 24
"""Columns that a line lists, as many as Korea's open data have of use."""

app = typer.Typer(help="Look up a pill by its looks, in tables of drugs.", no_args_is_help=True)


@app.command("import")
def import_(
    files: Annotated[
        list[Path],
        typer.Argument(help="CSV or spreadsheets: drugs.csv of a stage, Korea's open data, or a table with imprints"),
    ],
    out: Annotated[Path, typer.Option(help="The catalogue; an older one is replaced")] = Path("catalogue.sqlite"),
) -> None:
    """Write a catalogue of the drugs in these tables, and say what became of every row.

    Exits with status 2 where a file is no such table, or cannot be read or written.
    """
    from pillsnap.catalogue.import_tables import import_tables
    from pillsnap.catalogue.records import CatalogueError

    try:
        imported = import_tables(files, out)
    except (CatalogueError, OSError) as error:
        stop(error)
    for each in imported:
        _print_imported(each)
    typer.echo(f"{out}: written, {sum(each.kept for each in imported):,} drugs")


@app.command()
def search(
    catalogue: Annotated[Path, typer.Option(help="File of pillsnap catalogue import")] = Path("catalogue.sqlite"),
    imprint: Annotated[str, typer.Option(help="What is printed, of one side or both, in any order")] = "",
    colour: Annotated[str, typer.Option(help="Colour, or two: white,blue or 하양,파랑")] = "",
    shape: Annotated[str, typer.Option(help="Shape: round, oval, oblong … or 원형 …")] = "",
    score_line: Annotated[str, typer.Option(help="none, line, cross or other")] = "",
    length: Annotated[float | None, typer.Option(help="Longer side, mm")] = None,
    width: Annotated[float | None, typer.Option(help="Shorter side, mm")] = None,
    tolerance: Annotated[float, typer.Option(help="Standard deviation of the sizes, mm")] = 0.5,
    limit: Annotated[int, typer.Option(min=1, max=100, help="Drugs that are listed")] = 10,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table")] = False,
) -> None:
    """List the drugs that look most like what was read of a pill. That is a look-up, and no answer.

    Exits with status 2 where the catalogue cannot be read, or a word or number is not understood.
    """
    from dataclasses import asdict

    from rich.console import Console

    from pillsnap.catalogue.alike_table import alike_table
    from pillsnap.catalogue.records import CatalogueError
    from pillsnap.catalogue.search import Catalogue, LookUp

    try:
        reading = LookUp.of(
            imprint=imprint, colour=colour, shape=shape, score_line=score_line,
            length=length, width=width, tolerance=tolerance,
        )  # fmt: skip
        found = Catalogue(catalogue).search(reading, limit=limit)
    except (CatalogueError, OSError) as error:
        stop(error)
    if as_json:
        print_json(asdict(found))
    elif found.alike:
        Console().print(alike_table(found.alike))
        typer.echo(found.notice)
    else:
        typer.echo("No drug of the catalogue looks like this. Give less of the imprint, or look again.")


def _print_imported(imported: "Imported") -> None:
    from pillsnap.catalogue.import_tables import REASONS

    refused = imported.quarantined.total()
    typer.echo(f"{imported.file}: {imported.rows:,} rows = {imported.kept:,} kept + {refused:,} quarantined")
    typer.echo(f"  columns used: {_listed(imported.used)}")
    if imported.left_out:
        typer.echo(f"  columns left out: {_listed(imported.left_out)}")
    for reason, count in imported.quarantined.most_common():
        typer.echo(f"  quarantined {count:,} {reason}: {REASONS[reason]} ({imported.examples[reason]})")
    for what, count in imported.unread.most_common():
        typer.echo(f"  not understood, and left empty: {count:,} of {what} ({imported.examples[what]})")


def _listed(names: "Sequence[str]") -> str:
    """Names in one line, those that fit."""
    more = f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
    return ", ".join(name[:30] for name in names[:_MOST_NAMES]) + more
