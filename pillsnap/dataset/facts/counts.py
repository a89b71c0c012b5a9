"""Counts of photographs, pills, drugs and capture groups by part, domain and view."""

from dataclasses import dataclass

import pandas as pd

from pillsnap.dataset.stage_data import DOMAINS, PARTS, VIEW
from pillsnap.sources.aihub_name import BACKGROUNDS, SIDES


@dataclass(frozen=True)
class PartCount:
    """Content of one part of one domain; `all` stands for the parts or domains together."""

    part: str
    domain: str
    photos: int
    pills: int
    drugs: int
    groups: int


@dataclass(frozen=True)
class Count:
    """Photographs of one value, by domain."""

    value: str
    single: int
    combo: int


def part_counts(pills: pd.DataFrame) -> list[PartCount]:
    """Parts by domain, those that hold anything, then each domain over all parts, then everything.

    Drugs and capture groups are counted once each, so they do not add up; a pill without a K-code is of no drug.
    """
    columns = ["split", "domain", *_COUNTED.values()]
    # numbers are counted ten times as fast as texts
    pills = pills[columns].assign(**{name: pd.factorize(pills[name])[0] for name in _COUNTED.values()})
    pills["k_code"] = pills["k_code"].where(pills["k_code"] >= 0)  # missing ones are -1
    rows = [
        _part_count(pills, part, domain)
        for part in (*PARTS, "all")
        for domain in DOMAINS
        if part != "all" or pills["domain"].nunique() > 1
    ]
    return [row for row in (*rows, _part_count(pills, "all", "all")) if row.photos or row.part == "all"]


def _part_count(pills: pd.DataFrame, part: str, domain: str) -> PartCount:
    rows = pills
    if part != "all":
        rows = rows[rows["split"] == part]
    if domain != "all":
        rows = rows[rows["domain"] == domain]
    counted = {name: rows[column].nunique() for name, column in _COUNTED.items()}
    return PartCount(part, domain, pills=len(rows), **counted)


_COUNTED = {"photos": "image_id", "drugs": "k_code", "groups": "group"}


def view_counts(photos: pd.DataFrame) -> dict[str, list[Count]]:
    """Photographs by what their names tell: background, side, light, latitude, longitude.

    Combinations are left out of the side, which in their names says nothing about each pill. What no name tells is not
    in the result.
    """
    named = {word: photos if word != "side" else photos[photos["domain"] == "single"] for word in VIEW}
    counted = {word: _counts(rows, word) for word, rows in named.items()}
    return {word: rows for word, rows in counted.items() if rows}


def _counts(photos: pd.DataFrame, column: str) -> list[Count]:
    table = photos.dropna(subset=column).groupby([column, "domain"]).size().unstack(fill_value=0)
    table = table.reindex(columns=list(DOMAINS), fill_value=0)
    return [Count(_word(column, int(value)), int(row.single), int(row.combo)) for value, row in table.iterrows()]


def _word(column: str, value: int) -> str:
    if column in ("latitude", "longitude"):
        return f"{value}°"
    return {"background": BACKGROUNDS, "side": SIDES}.get(column, {}).get(value, f"{column} {value}")


def combo_pill_counts(photos: pd.DataFrame) -> list[tuple[int, int, int]]:
    """Combo photographs by number of pills: (pills, photographs with so many labelled, with so many by their name)."""
    combos = photos[photos["domain"] == "combo"]
    labelled, named = (combos[column].value_counts() for column in ("pills", "named_pills"))
    return [
        (int(number), int(labelled.get(number, 0)), int(named.get(number, 0)))
        for number in sorted({*labelled.index, *named.index})
    ]


def photo_sizes(photos: pd.DataFrame) -> list[tuple[int, int, int]]:
    """(width, height, photographs) of every size in pixels, most frequent first."""
    sizes = photos.groupby(["width", "height"]).size()
    found = [(int(width), int(height), int(number)) for (width, height), number in sizes.items()]
    return sorted(found, key=lambda row: (-row[2], row[0], row[1]))
