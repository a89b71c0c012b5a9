"""Away from the studio: composed scenes, and sets of real photographs."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pillsnap.evaluate.tables import number_table, photo_words, size_table
from pillsnap.pages.formats import count, percent
from pillsnap.pages.html import Picture, data_uri
from pillsnap.pages.table import Rows, Table, number
from pillsnap.report.inputs import Inputs
from pillsnap.report.section import Section

SHOWN = 6
"""Photographs shown of each set."""
COMPOSED = "composed"


def section(inputs: Inputs) -> Section:
    """Pills found and missed on each set, by size and number on the composed scenes, and where most goes wrong."""
    measured = [one for one in inputs.away["sets"] if one.get("found")]
    composed = next((one for one in inputs.away["sets"] if one["data"]["kind"] == COMPOSED), None)
    tables = {"sets": _sets([one for one in inputs.away["sets"] if "found" in one])}
    if composed and composed.get("found"):
        tables |= {"by_size": size_table(composed["by_size"]), "by_number": number_table(composed["by_number"])}
    return Section(
        id="away",
        title="Away from the studio",
        tables=tables,
        values={
            "composed": composed,
            "pictures": {_title(one): _pictures(inputs.away_folder, one) for one in measured},
            "problems": [one for one in inputs.away["sets"] if "problem" in one],
        },
    )


def _sets(sets: list[Mapping[str, Any]]) -> Table:
    titles = ("Pictures", "Pills", "Recall", "Precision", "mAP@0.5", "mAP@0.5:0.95", "False boxes", "Called known")
    rows: Rows = []
    for one in sets:
        found = one["found"] or dict.fromkeys(("photos", "pills", "recall", "precision", "map50", "map50_95"))
        photos = found["photos"] or one["accounts"]["photos"]["kept"]
        shares = (percent(found[name]) for name in ("recall", "precision", "map50", "map50_95"))
        empty, known = one.get("backgrounds"), one["verdicts"]["known"]["boxes"]
        false = f"{count(empty['boxes'])} on {count(empty['photos'])}" if empty else count(None)
        rows.append([_title(one), count(photos), count(found["pills"]), *shares, false, count(known)])
    return Table("Pills and boxes of each set", ("Set", *map(number, titles)), rows)


def _title(one: Mapping[str, Any]) -> str:
    return "Composed scenes" if one["data"]["kind"] == COMPOSED else str(one["data"]["name"])


def _pictures(folder: Path, one: Mapping[str, Any]) -> list[Picture]:
    return [
        Picture(
            data_uri((folder / facts["file"]).read_bytes()),
            f"{_title(one)}, {facts['photo']} with the answer's boxes: {words}.",
            words,
        )
        for facts in one["worst"][:SHOWN]
        for words in [photo_words(facts)]
    ]
