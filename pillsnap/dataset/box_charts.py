"""Charts of boxes: size, shape, and where in the photograph."""

import itertools
from collections.abc import Sequence

import altair as alt
import numpy as np

from pillsnap.dataset.box_facts import AREA_EDGES, ASPECT_EDGES, BoxFacts
from pillsnap.dataset.stage_data import DOMAINS
from pillsnap.pages.drawing import BLUE, GRID, ORANGE, SQUARES, Figure, chart, draw, told
from pillsnap.pages.formats import count, decimal, percent

DOMAIN_COLOURS = alt.Scale(domain=list(DOMAINS.values()), range=[BLUE, ORANGE])
CELL = 14
"""Side of a heat map's cell in pixels."""


def box_figures(boxes: Sequence[BoxFacts]) -> list[Figure]:
    """Areas and aspect ratios of both domains, and a map of places for each."""
    areas = _bin_names([edge * 100 for edge in AREA_EDGES], "\u202f%")
    aspects = _bin_names(ASPECT_EDGES)
    return [
        _columns("box_area", "Share of the photograph's area", areas, [(one, one.area_counts) for one in boxes]),
        _columns("box_aspect", "Width over height", aspects, [(one, one.aspect_counts) for one in boxes]),
        *(_places(one) for one in boxes),
    ]


def _bin_names(edges: Sequence[float], unit: str = "") -> list[str]:
    """Bins as people write them, such as `below 1 %`, `1–2 %`, `from 2 %`."""
    return [
        f"below {high:g}{unit}" if low == 0 else f"from {low:g}{unit}" if np.isinf(high) else f"{low:g}–{high:g}{unit}"
        for low, high in itertools.pairwise(edges)
    ]


def _columns(name: str, title: str, bins: Sequence[str], counted: Sequence[tuple[BoxFacts, Sequence[int]]]) -> Figure:
    """Columns of the domains side by side, as shares of a domain's boxes."""
    rows = [
        {
            "bin": bin_name,
            "share": number / one.boxes,
            "kind": DOMAINS[one.domain],
            "told": f"{DOMAINS[one.domain]}, {bin_name}: {percent(number / one.boxes)} ({count(number)})",
        }
        for one, numbers in counted
        for bin_name, number in zip(bins, numbers, strict=True)
    ]
    columns = chart(rows).mark_bar()
    columns = columns.encode(
        x=alt.X("bin:N", title=None, sort=list(bins), axis=alt.Axis(labelAngle=-40, grid=False, ticks=False)),
        xOffset=alt.XOffset("kind:N", sort=list(DOMAINS.values())),
        y=alt.Y("share:Q", title="Share of the boxes", axis=alt.Axis(format=".0%", tickCount=5)),
        color=alt.Color("kind:N", scale=DOMAIN_COLOURS, legend=SQUARES),
        description="told:N",
    )
    return draw(name, title, f"Columns: {told([row for row in rows if row['share']])}.", [columns])


def _places(one: BoxFacts) -> Figure:
    """Boxes over each cell of the photograph: the more, the more opaque."""
    height, width = one.places.shape

    def where(row: int, column: int) -> str:
        return f"{percent((column + 0.5) / width, 0)} across, {percent((row + 0.5) / height, 0)} down"

    rows = [
        {"x": column, "y": row, "boxes": value, "told": f"{where(row, column)}: {decimal(value)}"}
        for (row, column), value in np.ndenumerate(one.places.round(4))
    ]
    most = float(one.places.max())
    opacity = alt.FillOpacity("boxes:Q", scale=alt.Scale(domain=[0, most], range=[0, 1]), legend=None)
    cells = chart(rows).mark_rect(color=BLUE, stroke=GRID, strokeWidth=0.5)
    cells = cells.encode(
        x=alt.X("x:O", axis=None), y=alt.Y("y:O", axis=None), fillOpacity=opacity, description="told:N"
    )
    fullest = where(*(int(place) for place in np.unravel_index(one.places.argmax(), one.places.shape)))
    words = f"Boxes over each place of a photograph, on average; the fullest, {fullest}, has {decimal(most)}."
    title = f"{DOMAINS[one.domain]}: where the boxes are"
    return draw(f"places_{one.domain}", title, words, [cells], width=CELL * width, height=CELL * height)
