"""The report's charts, written as Vega-Lite with altair."""

from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt

from pillsnap.report.drawing import (
    BLUE,
    GREEN,
    INK,
    MUTED,
    ORANGE,
    PERCENT,
    PURPLE,
    SHARE,
    SQUARES,
    Figure,
    Row,
    bars,
    chart,
    draw,
    told,
)
from pillsnap.report.facts import STEPS, reasons
from pillsnap.report.formats import asked, count, duration, figure, milliseconds, percent, plural
from pillsnap.report.inputs import Inputs
from pillsnap.report.training_charts import training_figures


def all_figures(inputs: Inputs) -> list[Figure]:
    """Every chart that the stage has figures for."""
    drawn = [
        *training_figures(inputs),
        _precision_recall(inputs.accuracy["detector"]["pr_curve"], figure(inputs.metrics, "detector.map50")),
        _accuracy_by_drug(inputs.accuracy["by_drug"]),
        _latency(inputs.latency, inputs.targets.get("p95_ms")),
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


def _latency(latency: Mapping[str, Any], target: float | None) -> Figure | None:
    modes = [mode for mode in ("single", "combo") if mode in latency]
    if not modes:
        return None
    medians = [_step(latency, mode, step, place) for mode in modes for place, step in enumerate(STEPS[:-1])]
    totals = [{"mode": mode.capitalize(), "ms": figure(latency, f"{mode}.total.p95_ms")} for mode in modes]
    totals = [{**row, "told": f"{row['mode']}, whole answer: p95 {milliseconds(row['ms'])}"} for row in totals]
    steps = alt.Scale(domain=[step.capitalize() for step in STEPS[:-1]], range=[PURPLE, BLUE, GREEN, ORANGE])
    names = alt.Axis(domain=False, ticks=False, labelColor=INK)
    mode = alt.Y("mode:N", title=None, sort=[mode.capitalize() for mode in modes], axis=names)
    stacked = alt.X("ms:Q", title="Milliseconds", stack="zero", axis=alt.Axis(tickCount=6))
    colour = alt.Color("step:N", scale=steps, legend=SQUARES)
    layers = [
        chart(medians).mark_bar(size=26).encode(x=stacked, y=mode, color=colour, order="order:Q", description="told:N"),
        chart(totals).mark_tick(color=INK, thickness=3, size=40).encode(x="ms:Q", y=mode, description="told:N"),
    ]
    words = f"Bars: median of each step. Upright marks: 95th percentile of the whole answer. {told(totals)}."
    if target is not None:
        rule = chart([{"ms": target, "told": f"Target: below {asked(target, 'ms')}"}])
        rule = rule.mark_rule(color=MUTED, strokeDash=[4, 3], strokeWidth=2)
        layers.append(rule.encode(x="ms:Q", description="told:N"))
        words += f" Dashed line: the target, below {asked(target, 'ms')}."
    return draw("latency", "How long an answer takes", words, layers, height=54 * len(modes) + 10)


def _step(latency: Mapping[str, Any], mode: str, step: str, place: int) -> Row:
    median = figure(latency, f"{mode}.{step}.p50_ms") or 0
    words = f"{mode.capitalize()}, {step}: median {milliseconds(median)}"
    return {"mode": mode.capitalize(), "step": step.capitalize(), "order": place, "ms": median, "told": words}


def quarantine_chart(manifest: Mapping[str, Any]) -> Figure | None:
    """Photographs and labels of each reason; `None` where nothing is in the quarantine."""
    found = reasons(manifest, "quarantined")
    rows = [
        {"what": reason.name, "number": number, "kind": kind, "told": f"{reason.name}: {plural(number, word)}"}
        for reason in found
        for kind, word, number in (("Photographs", "photograph", reason.photos), ("Labels", "label", reason.labels))
        if number
    ]
    if not rows:
        return None
    kinds = alt.Scale(domain=["Photographs", "Labels"], range=[BLUE, ORANGE])
    layers = [bars(rows, [one.name for one in found], "Rows", alt.Color("kind:N", scale=kinds, legend=SQUARES))]
    return draw("quarantine", "Rows by reason", f"Bars: {told(rows)}.", layers, width=200, height=24 * len(found))


def _durations(inputs: Inputs) -> Figure | None:
    rows = [
        {"what": time.rule, "number": time.seconds / 60, "told": f"{time.rule}: {duration(time.seconds)}"}
        for time in inputs.times
    ]
    if not rows:
        return None
    layers = [bars(rows, [row["what"] for row in rows], "Minutes, all jobs of a rule", alt.value(BLUE))]
    return draw("durations", "Time of each rule", f"Bars: {told(rows)}.", layers, width=200, height=24 * len(rows))
