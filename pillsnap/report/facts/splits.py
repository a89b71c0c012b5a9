"""The sides of the split: what is on each, and whether anything leaks between them."""

from collections.abc import Mapping
from typing import Any

from pillsnap.pages.formats import count, plural
from pillsnap.pages.states import Statement, state_of
from pillsnap.pages.table import Table, number


def splits_table(manifest: Mapping[str, Any], caption: str) -> Table:
    """Photographs, pills, capture groups and drugs of each side; the latter two have no sum."""
    heads = ("Photos", "Pills", "Single", "Combo", "Capture groups", "Drugs")
    columns = ("photos", "pills", "single", "combo", "groups", "classes")
    names = {"train": "Training", "val": "Validation", "test": "Test"}
    rows = [[names[key], *(count(side[column]) for column in columns)] for key, side in manifest["splits"].items()]
    summed = [count(sum(side[column] for side in manifest["splits"].values())) for column in columns[:4]]
    return Table(caption, ("", *map(number, heads)), [*rows, ["All", *summed, "", ""]], summed=True)


def leaks(manifest: Mapping[str, Any]) -> list[Statement]:
    """Statements on what must not stand on two sides of the split."""
    groups, contents = (manifest["audit"][f"{what}_on_two_sides"] for what in ("groups", "contents"))
    return [
        Statement(
            "No capture group stands on two sides of the split", plural(groups, "such group"), state_of(not groups)
        ),
        Statement(
            "No photograph stands on two sides with the same bytes",
            plural(contents, "such photo"),
            state_of(not contents),
        ),
    ]
