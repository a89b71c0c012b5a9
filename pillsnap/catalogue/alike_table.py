"""Drugs that look alike, as a table for a terminal."""

from collections.abc import Iterable

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from pillsnap.catalogue.search import Alike


def alike_table(alike: Iterable[Alike]) -> Table:
    """A table of drugs with their looks; the score is 0 for one that looks exactly like what was read."""
    table = Table(box=SIMPLE_HEAD)
    for title in ("score", "drug", "front / back", "looks", "code"):
        table.add_column(title, justify="right" if title == "score" else "left", overflow="fold")
    for each in alike:
        drug = each.drug
        sizes = " x ".join(f"{size:g}" for size in (drug.length, drug.width, drug.thickness) if size)
        looks = [",".join(drug.colours), drug.shape, f"{sizes} mm" if sizes else "", drug.score_line]
        table.add_row(
            f"{each.score:.1f}",
            *map(
                Text,
                (
                    f"{drug.name}\n{drug.maker}".strip(),
                    f"{drug.front or '-'} / {drug.back or '-'}",
                    " ".join(filter(None, looks)),
                    drug.code,
                ),
            ),
        )
    return table
