"""The dataset page's charts, in the report's style."""

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from pillsnap.dataset.choose import spread
from pillsnap.dataset.facts.boxes import AREA_EDGES, ASPECT_EDGES, BoxFacts
from pillsnap.dataset.facts.counts import Count
from pillsnap.dataset.facts.gather import Facts
from pillsnap.dataset.stage_data import DOMAINS
from pillsnap.pages.drawing import (
    BLUE,
    DESCRIPTION,
    GRID,
    INK,
    MUTED,
    ORANGE,
    SQUARES,
    Figure,
    bars,
    chart,
    descriptions,
    draw,
)
from pillsnap.pages.formats import count, decimal, percent, plural
from pillsnap.pages.quarantine import quarantine_chart

VIEW_TITLES = {
    "background": "Background",
    "side": "Side up, single pills",
    "light": "Light",
    "latitude": "Camera latitude",
    "longitude": "Camera longitude",
}
CURVE_POINTS = 120
"""Most points of the curve of class sizes."""
HISTOGRAM_BINS = 12
DOMAIN_COLOURS = alt.Scale(domain=list(DOMAINS.values()), range=[BLUE, ORANGE])
CELL = 14
"""Side of a heat map's cell in pixels."""


def all_figures(facts: Facts, summary: Mapping[str, Any]) -> list[Figure]:
    """Every chart that there are figures for; `summary` is the manifest's."""
    quarantine = quarantine_chart(summary)
    return [
        *(_view(word, rows) for word, rows in facts.views.items()),
        *_box_figures(facts.boxes),
        _class_curve(facts.drugs["train"]),
        _class_histogram(facts.drugs["train"]),
        *([quarantine] if quarantine else []),
    ]


def _view(word: str, counts: Sequence[Count]) -> Figure:
    rows = [
        {
            "what": one.value,
            "number": number,
            "kind": DOMAINS[domain],
            "description": f"{one.value}, {domain}: {plural(number, 'photograph')}",
        }
        for one in counts
        for domain, number in (("single", one.single), ("combo", one.combo))
        if number
    ]
    colour = alt.Color("kind:N", scale=DOMAIN_COLOURS, legend=SQUARES)
    layers = [bars(rows, [one.value for one in counts], "Photographs", colour)]
    words = f"Bars: {descriptions(rows)}."
    return draw(f"view_{word}", VIEW_TITLES[word], words, layers, width=220, height=22 * len(counts))


def _box_figures(boxes: Sequence[BoxFacts]) -> list[Figure]:
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
            "description": f"{DOMAINS[one.domain]}, {bin_name}: {percent(number / one.boxes)} ({count(number)})",
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
        description=DESCRIPTION,
    )
    return draw(name, title, f"Columns: {descriptions([row for row in rows if row['share']])}.", [columns])


def _places(one: BoxFacts) -> Figure:
    """Boxes over each cell of the photograph: the more, the more opaque."""
    height, width = one.places.shape

    def where(row: int, column: int) -> str:
        return f"{percent((column + 0.5) / width, 0)} across, {percent((row + 0.5) / height, 0)} down"

    rows = [
        {"x": column, "y": row, "boxes": value, "description": f"{where(row, column)}: {decimal(value)}"}
        for (row, column), value in np.ndenumerate(one.places.round(4))
    ]
    most = float(one.places.max())
    opacity = alt.FillOpacity("boxes:Q", scale=alt.Scale(domain=[0, most], range=[0, 1]), legend=None)
    cells = chart(rows).mark_rect(color=BLUE, stroke=GRID, strokeWidth=0.5)
    cells = cells.encode(
        x=alt.X("x:O", axis=None), y=alt.Y("y:O", axis=None), fillOpacity=opacity, description=DESCRIPTION
    )
    fullest = where(*(int(place) for place in np.unravel_index(one.places.argmax(), one.places.shape)))
    words = f"Boxes over each place of a photograph, on average; the fullest, {fullest}, has {decimal(most)}."
    title = f"{DOMAINS[one.domain]}: where the boxes are"
    return draw(f"places_{one.domain}", title, words, [cells], width=CELL * width, height=CELL * height)


def _class_curve(sizes: pd.Series) -> Figure:
    ordered = [int(size) for size in sorted(sizes, reverse=True)]
    shown = sorted({0, len(ordered) - 1, *spread(len(ordered), CURVE_POINTS)})
    rows = [
        {
            "rank": place + 1,
            "pills": ordered[place],
            "description": f"Drug {count(place + 1)} of {count(len(ordered))}: {plural(ordered[place], 'pill')}",
        }
        for place in shown
    ]
    mean = sum(ordered) / len(ordered)
    ranks = alt.Scale(domain=[1, max(2, len(ordered))], nice=False, zero=False)
    place = {
        "x": alt.X("rank:Q", title="Drugs, from the largest", scale=ranks, axis=_whole(grid=False)),
        "y": alt.Y("pills:Q", title="Training pills", scale=alt.Scale(zero=True), axis=_whole()),
    }
    dashed = chart([{"pills": mean, "description": f"Mean: {decimal(mean, 1)}"}])
    layers = [
        chart(rows).mark_area(color=BLUE, opacity=0.14).encode(**place),
        chart(rows).mark_line(color=BLUE, strokeWidth=2.2).encode(**place),
        chart(rows).mark_circle(color=BLUE, size=60, opacity=0).encode(**place, description=DESCRIPTION),
        dashed.mark_rule(color=MUTED, strokeDash=[4, 3], strokeWidth=1.5).encode(y="pills:Q", description=DESCRIPTION),
    ]
    words = f"From {count(ordered[0])} pills down to {count(ordered[-1])}; dashed: the mean, {decimal(mean, 1)}."
    return draw("class_curve", "Training pills of each drug", words, layers)


def _whole(**options: Any) -> alt.Axis:
    return alt.Axis(tickMinStep=1, tickCount=5, format=",d", **options)


def _class_histogram(sizes: pd.Series) -> Figure:
    low, high = int(sizes.min()), int(sizes.max())
    step = -(-(high - low + 1) // HISTOGRAM_BINS)
    counted = ((sizes - low) // step).value_counts()
    rows = []
    for place in range((high - low) // step + 1):
        first, number = low + place * step, int(counted.get(place, 0))
        name = count(first) if step == 1 else f"{count(first)}–{count(first + step - 1)}"
        text, words = count(number) if number else "", f"{name} pills: {plural(number, 'drug')}"
        rows.append({"bin": name, "drugs": number, "text": text, "description": words})
    axis = alt.Axis(labelAngle=-40, grid=False, ticks=False)
    base = chart(rows).encode(
        x=alt.X("bin:N", title="Training pills", sort=[row["bin"] for row in rows], axis=axis),
        y=alt.Y("drugs:Q", title="Drugs", axis=_whole()),
    )
    layers = [
        base.mark_bar(color=BLUE).encode(description=DESCRIPTION),
        base.mark_text(dy=-7, color=INK, fontSize=12).encode(text="text:N"),
    ]
    return draw("class_histogram", "Drugs by their training pills", f"Columns: {descriptions(rows)}.", layers)
