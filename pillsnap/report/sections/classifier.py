"""The report's charts, written as Vega-Lite with altair."""

from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt

from pillsnap.pages.drawing import BLUE, INK, PERCENT, SHARE, Figure, bars, chart, draw, told
from pillsnap.pages.formats import count, duration, figure, percent, plural
from pillsnap.pages.quarantine import quarantine_chart
from pillsnap.report.charts.speed import latency_chart, side_by_side_chart
from pillsnap.report.charts.training import training_figures
from pillsnap.report.charts.trust import trust_figures
from pillsnap.report.inputs import Inputs


def all_figures(inputs: Inputs) -> list[Figure]:
    """Every chart that the stage has figures for."""
    drawn = [
        *training_figures(inputs),
        _precision_recall(inputs.accuracy["detector"]["pr_curve"], figure(inputs.metrics, "detector.map50")),
        _accuracy_by_drug(inputs.accuracy["by_drug"]),
        *trust_figures(inputs.accuracy["trust"], inputs.calibration["calibration"]["precision"]),
        latency_chart(inputs.latency, inputs.targets.get("p95_ms")),
        side_by_side_chart(inputs.latency["side_by_side"]),
        quarantine_chart(inputs.manifest),
        _durations(inputs),
    ]
    return [one for one in drawn if one is not None]


def _precision_recall(curve: Sequence[Mapping[str, float]], map50: float | None) -> Figure | None:
    rows = [
        {**point, "told": f"Recall {percent(point['recall'], 0)}: precision {percent(point['precision'])}"}
        for point in curve
        if point["precision"] >= 0
    ]
    if not rows:
        return None
    base = chart(rows).encode(
        x=alt.X("recall:Q", title="Recall", axis=PERCENT, scale=SHARE),
        y=alt.Y("precision:Q", title="Precision", axis=PERCENT, scale=SHARE),
    )
    layers = [
        base.mark_area(color=BLUE, opacity=0.14),
        base.mark_line(color=BLUE, strokeWidth=2.2),
        base.mark_circle(color=BLUE, size=60, opacity=0).encode(description="told:N"),
    ]
    words = f"Precision over recall on the test part; the area below the curve is mAP@0.5, {percent(map50, 2)}."
    return draw("precision_recall", "Precision and recall at IoU 0.5", words, layers)


def _accuracy_by_drug(by_drug: Sequence[Mapping[str, Any]]) -> Figure | None:
    if not by_drug:
        return None
    # a share just below a tenth by rounding, such as 0.7 * 10 = 6.999…, belongs to the bin it names
    bins = [sum(min(int(drug["top1"] * 10 + 1e-9), 9) == place for drug in by_drug) for place in range(10)]
    rows = [
        {
            "from": place / 10,
            "middle": place / 10 + 0.05,
            "to": (place + 1) / 10,
            "drugs": number,
            "text": count(number) if number else "",
            "told": f"Top-1 {place * 10} to {place * 10 + 10} %: {plural(number, 'drug')}",
        }
        for place, number in enumerate(bins)
    ]
    drugs = alt.Y("drugs:Q", title="Drugs", axis=alt.Axis(tickMinStep=1, tickCount=5, format=",d"))
    top1 = {"title": "Top-1 of a drug", "axis": alt.Axis(format=".0%", tickCount=5, grid=False), "scale": SHARE}
    columns = chart(rows).mark_bar(color=BLUE, binSpacing=3)
    columns = columns.encode(x=alt.X("from:Q", **top1), x2="to:Q", y=drugs, y2=alt.datum(0), description="told:N")
    numbers = chart(rows).mark_text(dy=-7, color=INK, fontSize=12)
    numbers = numbers.encode(x=alt.X("middle:Q", **top1), y=drugs, text="text:N")
    right = sum(drug["top1"] == 1 for drug in by_drug)
    words = f"Histogram of each drug's top-1; {count(right)} of {plural(len(by_drug), 'drug')} are always named right."
    return draw("accuracy_by_drug", "Drugs by their accuracy", words, [columns, numbers])


def _durations(inputs: Inputs) -> Figure | None:
    rows = [
        {"what": time.rule, "number": time.seconds / 60, "told": f"{time.rule}: {duration(time.seconds)}"}
        for time in inputs.times
    ]
    if not rows:
        return None
    layers = [bars(rows, [row["what"] for row in rows], "Minutes, all jobs of a rule", alt.value(BLUE))]
    return draw("durations", "Time of each rule", f"Bars: {told(rows)}.", layers, width=200, height=24 * len(rows))
