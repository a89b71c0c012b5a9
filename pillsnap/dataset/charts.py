"""The dataset page's charts, in the report's style."""

from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt
import pandas as pd

from pillsnap.dataset.box_charts import DOMAIN_COLOURS, box_figures
from pillsnap.dataset.choose import spread
from pillsnap.dataset.counts import Count
from pillsnap.dataset.facts import Facts
from pillsnap.dataset.stage_data import DOMAINS
from pillsnap.pages.drawing import BLUE, INK, MUTED, SQUARES, Figure, bars, chart, draw, told
from pillsnap.pages.formats import count, decimal, plural
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


def all_figures(facts: Facts, summary: Mapping[str, Any]) -> list[Figure]:
    """Every chart that there are figures for; `summary` is the manifest's."""
    quarantine = quarantine_chart(summary)
    return [
        *(_view(word, rows) for word, rows in facts.views.items()),
        *box_figures(facts.boxes),
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
            "told": f"{one.value}, {domain}: {plural(number, 'photograph')}",
        }
        for one in counts
        for domain, number in (("single", one.single), ("combo", one.combo))
        if number
    ]
    colour = alt.Color("kind:N", scale=DOMAIN_COLOURS, legend=SQUARES)
    layers = [bars(rows, [one.value for one in counts], "Photographs", colour)]
    words = f"Bars: {told(rows)}."
    return draw(f"view_{word}", VIEW_TITLES[word], words, layers, width=220, height=22 * len(counts))


def _class_curve(sizes: pd.Series) -> Figure:
    ordered = [int(size) for size in sorted(sizes, reverse=True)]
    shown = sorted({0, len(ordered) - 1, *spread(len(ordered), CURVE_POINTS)})
    rows = [
        {
            "rank": place + 1,
            "pills": ordered[place],
            "told": f"Drug {count(place + 1)} of {count(len(ordered))}: {plural(ordered[place], 'pill')}",
        }
        for place in shown
    ]
    mean = sum(ordered) / len(ordered)
    ranks = alt.Scale(domain=[1, max(2, len(ordered))], nice=False, zero=False)
    place = {
        "x": alt.X("rank:Q", title="Drugs, from the largest", scale=ranks, axis=_whole(grid=False)),
        "y": alt.Y("pills:Q", title="Training pills", scale=alt.Scale(zero=True), axis=_whole()),
    }
    dashed = chart([{"pills": mean, "told": f"Mean: {decimal(mean, 1)}"}])
    layers = [
        chart(rows).mark_area(color=BLUE, opacity=0.14).encode(**place),
        chart(rows).mark_line(color=BLUE, strokeWidth=2.2).encode(**place),
        chart(rows).mark_circle(color=BLUE, size=60, opacity=0).encode(**place, description="told:N"),
        dashed.mark_rule(color=MUTED, strokeDash=[4, 3], strokeWidth=1.5).encode(y="pills:Q", description="told:N"),
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
        rows.append({"bin": name, "drugs": number, "text": text, "told": words})
    axis = alt.Axis(labelAngle=-40, grid=False, ticks=False)
    base = chart(rows).encode(
        x=alt.X("bin:N", title="Training pills", sort=[row["bin"] for row in rows], axis=axis),
        y=alt.Y("drugs:Q", title="Drugs", axis=_whole()),
    )
    layers = [
        base.mark_bar(color=BLUE).encode(description="told:N"),
        base.mark_text(dy=-7, color=INK, fontSize=12).encode(text="text:N"),
    ]
    return draw("class_histogram", "Drugs by their training pills", f"Columns: {told(rows)}.", layers)
