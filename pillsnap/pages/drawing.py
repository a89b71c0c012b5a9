"""Charts in the pages' style, drawn with altair as SVG.

SVG and not Vega's scripts in the page: a chart is some 10 kB instead of 0.9 MB of JavaScript for all, it prints, it is
the same bytes each time, and its colours follow the reader's light or dark scheme.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import altair as alt
import vl_convert

WIDTH, HEIGHT, LOW = 330, 190, 48
INK, MUTED, GRID = "#1c2733", "#5c6975", "#dde3e9"
BLUE, ORANGE, GREEN, PURPLE, ROSE = "#1f6fb2", "#c2570c", "#12806a", "#7a4fb5", "#b03a6b"
COLOURS = {
    **{INK: "ink", MUTED: "muted", GRID: "grid"},
    **{BLUE: "blue", ORANGE: "orange", GREEN: "green", PURPLE: "purple", ROSE: "rose"},
}
"""Colours of the drawings and the names under which the page's style sheet can change them."""

VEGA_LITE = ".".join(alt.SCHEMA_VERSION.split(".")[:2])
"""Version of Vega-Lite that altair writes, such as `v6.1`."""

SQUARES = alt.Legend(symbolType="square", symbolSize=120, symbolStrokeWidth=0)
"""A legend for areas; lines have strokes."""

SHARE = alt.Scale(domain=[0, 1])
PERCENT = alt.Axis(format=".0%", tickCount=5)
"""Scale and axis of fractions of 1."""

Row = dict[str, Any]
"""One mark's values; `description` is what pointing at it shows, and what a screen reader says."""

DESCRIPTION = alt.Description("description:N")
"""The channel for it, as an object: to make one out of a string takes altair about 7 ms each time."""


@dataclass(frozen=True)
class Figure:
    """A chart: file name without ending, title, what it shows in words, and the SVG."""

    name: str
    title: str
    summary: str
    svg: str

    @property
    def inline(self) -> str:
        """The SVG for use inside a page: scales, takes the page's colours, shares no id with another."""
        drawn = re.sub(r' xmlns(:xlink)?="[^"]*"', "", self.svg)
        drawn = re.sub(r'<svg ([^>]*?)width="(\d+)" height="\d+"', r'<svg \1style="max-width:\2px"', drawn, count=1)
        drawn = re.sub(r'(id="|url\(#|href="#)', rf"\g<1>{self.name}-", drawn)
        for colour, name in COLOURS.items():
            drawn = drawn.replace(f'"{colour}"', f'"var(--{name},{colour})"')
        return drawn

    @property
    def standalone(self) -> str:
        """The SVG for a file of its own: on white, wherever it is shown."""
        return self.svg.replace("<svg ", '<svg style="background:#fff" ', 1)


def draw(
    name: str,
    title: str,
    summary: str,
    layers: Sequence[alt.Chart],
    *,
    width: int = WIDTH,
    height: int = HEIGHT,
    below: alt.Chart | None = None,
) -> Figure:
    """Lay `layers` over each other in the report's style; width and height in pixels, without axes.

    `below` is a second, low panel under them.
    """
    font = "system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif"
    panel = alt.layer(*layers).properties(width=width, height=height)
    styled = (
        (panel if below is None else alt.vconcat(panel, below.properties(width=width, height=LOW), spacing=4))
        .configure(background="transparent", font=font, padding=6, autosize=alt.AutoSizeParams(type="pad"))
        .configure_view(stroke=None)
        .configure_axis(
            labelColor=MUTED,
            labelFontSize=12,
            labelPadding=5,
            titleColor=MUTED,
            titleFontSize=12,
            titleFontWeight="normal",
            titlePadding=8,
            gridColor=GRID,
            domainColor=GRID,
            tickColor=GRID,
            tickSize=4,
        )
        .configure_legend(
            orient="top",
            title=None,
            offset=8,
            columnPadding=14,
            labelColor=INK,
            labelFontSize=12,
            labelLimit=0,
            symbolType="stroke",
            symbolStrokeWidth=3,
            symbolSize=260,
        )
    )
    # altair's check against the schema of Vega-Lite takes longer than the drawing: a test makes it, for all charts
    svg = vl_convert.vegalite_to_svg(styled.to_dict(validate=False), vl_version=VEGA_LITE)
    return Figure(name, title, summary, svg)


def chart(rows: Sequence[Row]) -> alt.Chart:
    """An empty layer over `rows`."""
    # for every layer and option altair copies a list again, row by row, and a tuple not: a fifth of a chart's time
    return alt.Chart(alt.Data(values=tuple(rows)))


def bars(rows: Sequence[Row], order: Sequence[str], unit: str, colour: Any) -> alt.Chart:
    """Horizontal bars: `what` is the name, `number` the length, names from top to bottom in `order`."""
    names = alt.Axis(domain=False, ticks=False, labelColor=INK, labelLimit=220)
    return (
        chart(rows)
        .mark_bar(size=14)
        .encode(
            x=alt.X("number:Q", title=unit, axis=alt.Axis(tickCount=4, format="~s")),
            y=alt.Y("what:N", title=None, sort=list(order), axis=names),
            color=colour,
            description=DESCRIPTION,
        )
    )


def descriptions(rows: Sequence[Row]) -> str:
    """The descriptions of all marks in one line."""
    return "; ".join(row["description"] for row in rows)
