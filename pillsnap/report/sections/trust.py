"""Trust: calibration, verdicts, prediction sets and unseen drugs."""

from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt

from pillsnap.pages.drawing import (
    BLUE,
    DESCRIPTION,
    GREEN,
    INK,
    MUTED,
    ORANGE,
    PERCENT,
    SHARE,
    SQUARES,
    Figure,
    Row,
    chart,
    draw,
)
from pillsnap.pages.formats import decimal, percent, plural
from pillsnap.report.facts.trust import tested, trust_tables
from pillsnap.report.inputs import Inputs
from pillsnap.report.section import Section

RIGHT, GAPS = "named right", ("more than said", "less than said")


def section(inputs: Inputs) -> Section:
    """Promises of answers, and how far the test part keeps them."""
    return Section(
        id="trust",
        title="Trust",
        heading="Can the answers be trusted?",
        tables=trust_tables(inputs),
        figures=_figures(inputs.accuracy["trust"], inputs.calibration["calibration"]["precision"]),
        values={"tested": tested(inputs)},
    )


def _figures(trust: Mapping[str, Any] | None, promised: float) -> list[Figure]:
    """Reliability before and after the temperature, and accuracy over coverage; nothing where no pill was answered.

    Args:
        trust: of the test part's `accuracy.json`.
        promised: share of `known` answers that are right, as promised.
    """
    if trust is None:
        return []
    return [
        _reliability(trust, "before", "Before temperature scaling"),
        _reliability(trust, "after", "After temperature scaling"),
        _selective(trust, promised),
    ]


def _reliability(trust: Mapping[str, Any], when: str, title: str) -> Figure:
    rows = [_bin(row) for row in trust["reliability"][when]]
    place = alt.X("from:Q", title=None, scale=SHARE, axis=alt.Axis(labels=False, ticks=False, tickCount=5))
    right = {"title": "Named right", "axis": PERCENT, "scale": SHARE}
    colours = alt.Scale(domain=[RIGHT, *GAPS], range=[BLUE, GREEN, ORANGE])
    colour = alt.Color("what:N", scale=colours, legend=SQUARES)
    solid = [row | {"what": RIGHT, "low": 0.0, "high": row["low"]} for row in rows]
    layers = [
        _bars(part).encode(
            x=place, x2="to:Q", y=alt.Y("low:Q", **right), y2="high:Q", color=colour, description=DESCRIPTION
        )
        for part in (solid, rows)
    ]
    shares = _bars(rows, color=MUTED).encode(
        x=alt.X("from:Q", title="Probability of the named drug", scale=SHARE, axis=PERCENT),
        x2="to:Q",
        y=alt.Y("share:Q", title="Pills", axis=alt.Axis(format=".0%", tickCount=2), scale=SHARE),
        y2=alt.datum(0),
        description=DESCRIPTION,
    )
    words = (
        f"Of {plural(trust['pills'], 'test pill')}, the share named right in each of 15 bins of probability; the "
        "closer to the dashed line, the more a probability can be taken at its word. Calibration error "
        f"{decimal(trust['ece'][when], 4)}. Below: the share of pills in each bin."
    )
    layers.append(_diagonal(place, right))
    return draw(f"reliability_{when}", title, words, layers, below=shares)


def _bars(rows: Sequence[Row], **options: Any) -> alt.Chart:
    return chart(rows).mark_bar(binSpacing=1, **options)


def _bin(row: Mapping[str, Any]) -> dict[str, Any]:
    """A bin with its gap, from the lower to the higher of accuracy and probability."""
    low, high = sorted((row["right"], row["confidence"]))
    description = (
        f"Probability {percent(row['from'], 0)} to {percent(row['to'], 0)}: {plural(row['pills'], 'pill')}, "
        f"{percent(row['right'])} right at {percent(row['confidence'])} on average"
    )
    return {**row, "low": low, "high": high, "what": GAPS[row["right"] < row["confidence"]], "description": description}


def _diagonal(place: alt.X, right: Mapping[str, Any]) -> alt.Chart:
    ends = [{"from": 0, "right": 0}, {"from": 1, "right": 1}]
    line = chart(ends).mark_line(color=INK, strokeDash=[4, 3], strokeWidth=1.5)
    return line.encode(x=place, y=alt.Y("right:Q", **right))


def _selective(trust: Mapping[str, Any], promised: float) -> Figure:
    rows = [
        {**point, "description": f"The surest {percent(point['coverage'])}: {percent(point['accuracy'], 2)} right"}
        for point in trust["selective"]
    ]
    lowest = min(promised, *(row["accuracy"] for row in rows))
    scale = alt.Scale(domain=[max(0.0, lowest - 0.02), 1])
    base = chart(rows).encode(
        x=alt.X("coverage:Q", title="Answers that are given, surest first", axis=PERCENT, scale=SHARE),
        y=alt.Y("accuracy:Q", title="Right among them", axis=alt.Axis(format=".1~%", tickCount=5), scale=scale),
    )
    aim = chart([{"accuracy": promised, "description": f"Promised of known answers: {percent(promised, 0)}"}])
    layers = [
        base.mark_line(color=BLUE, strokeWidth=2.2),
        aim.mark_rule(color=MUTED, strokeDash=[4, 3], strokeWidth=2).encode(y="accuracy:Q", description=DESCRIPTION),
        base.mark_circle(color=BLUE, size=60, opacity=0).encode(description=DESCRIPTION),
    ]
    known = trust["verdicts"]["known"]
    words = f"Dashed line: what known answers promise, {percent(promised, 0)}."
    if known["right"] is not None:
        description = f"Known: {percent(known['share'])} of the pills, {percent(known['right'], 2)} right"
        point = chart([{"coverage": known["share"], "accuracy": known["right"], "description": description}])
        mark = point.mark_point(shape="diamond", filled=True, size=140, color=GREEN, opacity=1)
        layers.append(mark.encode(x="coverage:Q", y="accuracy:Q", description=DESCRIPTION))
        words += f" Diamond: what is called known. {description}."
    return draw("selective", "The fewer answers, the more of them right", words, layers)
