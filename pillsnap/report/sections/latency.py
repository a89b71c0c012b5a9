"""Latency: how long an answer takes."""

from collections.abc import Mapping
from typing import Any

import altair as alt

from pillsnap.pages.drawing import (
    BLUE,
    DESCRIPTION,
    GREEN,
    INK,
    MUTED,
    ORANGE,
    PURPLE,
    ROSE,
    SQUARES,
    Figure,
    Row,
    chart,
    descriptions,
    draw,
)
from pillsnap.pages.formats import asked, decimal, figure, milliseconds, plural
from pillsnap.report.facts.speed import FUSED_STEPS, SINGLE_STEPS, WAYS, speed_tables
from pillsnap.report.inputs import Inputs
from pillsnap.report.section import Section

_STEPS = {"decode": PURPLE, "graph": BLUE, "detector": GREEN, "crop": ORANGE, "classifier": ROSE}


def section(inputs: Inputs) -> Section:
    """Times of whole answers and of their steps."""
    return Section(
        id="latency",
        title="Latency",
        tables=speed_tables(inputs),
        figures=[
            latency_chart(inputs.latency, inputs.targets.get("p95_ms")),
            side_by_side_chart(inputs.latency["side_by_side"]),
        ],
    )


def latency_chart(latency: Mapping[str, Any], target: float | None) -> Figure | None:
    """Median of each step and 95th percentile of the whole, of the fused graph and of the single steps."""
    medians, totals = [], []
    for mode in ("single", "combo"):
        ways = (("one graph", latency, FUSED_STEPS), ("steps", latency["steps"], SINGLE_STEPS))
        for way, figures, steps in ways:
            if mode in figures:
                name = f"{mode.capitalize()}, {way}"
                medians += [_step(figures[mode], name, step, place) for place, step in enumerate(steps[:-1])]
                totals.append(_total(figures[mode], name))
    if not totals:
        return None
    order = [row["name"] for row in totals]
    names = alt.Axis(domain=False, ticks=False, labelColor=INK)
    name = alt.Y("name:N", title=None, sort=order, axis=names)
    stacked = alt.X("ms:Q", title="Milliseconds", stack="zero", axis=alt.Axis(tickCount=6))
    colours = alt.Scale(domain=[step.capitalize() for step in _STEPS], range=list(_STEPS.values()))
    colour = alt.Color("step:N", scale=colours, legend=SQUARES)
    layers = [
        chart(medians)
        .mark_bar(size=20)
        .encode(x=stacked, y=name, color=colour, order="order:Q", description=DESCRIPTION),
        chart(totals).mark_tick(color=INK, thickness=3, size=30).encode(x="ms:Q", y=name, description=DESCRIPTION),
    ]
    words = f"Bars: median of each step. Upright marks: 95th percentile of the whole answer. {descriptions(totals)}."
    if target is not None:
        rule = chart([{"ms": target, "description": f"Target: below {asked(target, 'ms')}"}])
        rule = rule.mark_rule(color=MUTED, strokeDash=[4, 3], strokeWidth=2)
        layers.append(rule.encode(x="ms:Q", description=DESCRIPTION))
        words += f" Dashed line: the target, below {asked(target, 'ms')}."
    return draw("latency", "How long an answer takes", words, layers, width=270, height=38 * len(order) + 10)


def _step(figures: Mapping[str, Any], name: str, step: str, place: int) -> Row:
    median = figure(figures, f"{step}.p50_ms") or 0
    words = f"{name}, {step}: median {milliseconds(median)}"
    return {"name": name, "step": step.capitalize(), "order": place, "ms": median, "description": words}


def _total(figures: Mapping[str, Any], name: str) -> Row:
    slow = figure(figures, "total.p95_ms")
    return {"name": name, "ms": slow, "description": f"{name}: p95 {milliseconds(slow)}"}


def side_by_side_chart(numbers: Mapping[str, Any]) -> Figure | None:
    """Median and 95th percentile of each way to an answer, by the number of pills in the photograph."""
    rows = [
        {
            "pills": plural(int(pills), "pill"),
            "way": words,
            "median": ways[way]["p50_ms"],
            "slow": ways[way]["p95_ms"],
            "description": f"{plural(int(pills), 'pill')}, {words}: median {milliseconds(ways[way]['p50_ms'])}, "
            f"p95 {milliseconds(ways[way]['p95_ms'])}",
        }
        for pills, ways in numbers.items()
        for way, words in WAYS.items()
        if way in ways
    ]
    if not rows:
        return None
    order = list(dict.fromkeys(row["pills"] for row in rows))
    shown = [words for words in WAYS.values() if any(row["way"] == words for row in rows)]
    place = {
        "y": alt.Y("pills:N", title=None, sort=order, axis=alt.Axis(domain=False, ticks=False, labelColor=INK)),
        "yOffset": alt.YOffset("way:N", sort=shown),
        "description": DESCRIPTION,
    }
    colours = dict(zip(WAYS.values(), (BLUE, ROSE, PURPLE, GREEN, ORANGE), strict=True))
    scale = alt.Scale(domain=shown, range=[colours[words] for words in shown])
    legend = alt.Legend(symbolType="square", symbolSize=120, symbolStrokeWidth=0, columns=1)
    bars = (
        chart(rows)
        .mark_bar()
        .encode(
            x=alt.X("median:Q", title="Milliseconds", axis=alt.Axis(tickCount=6)),
            color=alt.Color("way:N", scale=scale, legend=legend),
            **place,
        )
    )
    ticks = chart(rows).mark_tick(color=INK, thickness=3).encode(x="slow:Q", **place)
    slower = ", ".join(
        f"{decimal(ways['pytorch']['times'])} times for {plural(int(pills), 'pill')}" for pills, ways in numbers.items()
    )
    words = (
        "Bars: median; upright marks: 95th percentile, photograph by photograph in turn. ultralytics + timm take, as "
        f"a multiple of the fused graph's median: {slower}."
    )
    return draw("side_by_side", "Ways to the same answer", words, [bars, ticks], height=80 * len(order))
