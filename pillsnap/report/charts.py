"""The report's charts: written as Vega-Lite with altair, drawn once as SVG.

SVG and not Vega's scripts in the page: a chart is some 10 kB instead of 0.9 MB of JavaScript for all, it prints, it is
the same bytes each time, and its colours follow the reader's light or dark scheme.
"""

import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import altair as alt

from pillsnap.report.facts import STEPS, reasons, training
from pillsnap.report.formats import count, duration, figure, milliseconds, percent, plural
from pillsnap.report.inputs import Inputs

WIDTH, HEIGHT = 330, 190
INK, MUTED, GRID = "#1c2733", "#5c6975", "#dde3e9"
BLUE, ORANGE, GREEN, PURPLE = "#1f6fb2", "#c2570c", "#12806a", "#7a4fb5"
COLOURS = {INK: "ink", MUTED: "muted", GRID: "grid", BLUE: "blue", ORANGE: "orange", GREEN: "green", PURPLE: "purple"}
"""Colours of the drawings and the names under which the page's style sheet can change them."""

Row = dict[str, Any]


@dataclass(frozen=True)
class Figure:
    """A chart: file name without ending, title, what it shows in words, and the SVG."""

    name: str
    title: str
    words: str
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


def all_figures(inputs: Inputs) -> list[Figure]:
    """Every chart that the stage has figures for."""
    drawn = [
        *_training_figures(inputs),
        _precision_recall(inputs.accuracy["detector"]["pr_curve"], inputs.accuracy["detector"]["map50"]),
        _accuracy_by_drug(inputs.accuracy["by_drug"]),
        _latency(inputs.latency, inputs.targets.get("p95_ms")),
        _quarantine(inputs.manifest),
        _durations(inputs),
    ]
    return [one for one in drawn if one is not None]


def _draw(name: str, title: str, words: str, chart: alt.LayerChart) -> Figure:
    styled = (
        chart.configure(
            background="transparent", font="system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif", padding=4
        )
        .configure_view(stroke=None)
        .configure_axis(
            labelColor=MUTED,
            titleColor=MUTED,
            gridColor=GRID,
            domainColor=GRID,
            tickColor=GRID,
            labelFontSize=12,
            titleFontSize=12,
            titleFontWeight="normal",
            labelPadding=5,
            titlePadding=8,
            tickSize=4,
        )
        .configure_legend(
            orient="top",
            title=None,
            labelColor=INK,
            labelFontSize=12,
            labelLimit=0,
            symbolType="stroke",
            symbolStrokeWidth=3,
            symbolSize=260,
            offset=8,
            columnPadding=14,
        )
    )
    drawing = io.StringIO()
    styled.save(drawing, format="svg")
    return Figure(name, title, words, drawing.getvalue())


def _data(rows: Sequence[Row]) -> alt.Data:
    return alt.Data(values=list(rows))


def _training_figures(inputs: Inputs) -> list[Figure | None]:
    detector, classifier = inputs.detector_history, inputs.classifier_history
    best = {model: training(inputs, model).best for model in ("detector", "classifier")}
    losses = {"box_loss": "Box", "cls_loss": "Class", "dfl_loss": "Distribution"}
    maps = {"map50": "mAP@0.5", "map50_95": "mAP@0.5:0.95"}
    tops = {"train_top1": "Training top-1", "val_top1": "Validation top-1", "val_top5": "Validation top-5"}
    return [
        _curves("detector_loss", "Detector: training losses", detector, losses, best["detector"], share=False),
        _curves("detector_training", "Detector: validation mAP", detector, maps, best["detector"], share=True),
        _curves(
            "classifier_loss",
            "Classifier: training loss",
            classifier,
            {"loss": "Loss"},
            best["classifier"],
            share=False,
        ),
        _curves("classifier_training", "Classifier: accuracy", classifier, tops, best["classifier"], share=True),
    ]


def _curves(
    name: str,
    title: str,
    history: Sequence[Mapping[str, float | None]],
    series: Mapping[str, str],
    best: int | None,
    *,
    share: bool,
) -> Figure | None:
    rows = [
        {"epoch": row["epoch"], "value": row[column], "series": label, "told": _epoch_told(row, column, label, share)}
        for column, label in series.items()
        for row in history
        if row[column] is not None
    ]
    if not rows:
        return None
    labels = list(series.values())
    axis = alt.Axis(format=".0%" if share else "~g", tickCount=5)
    encoding = {
        "x": alt.X(
            "epoch:Q", title="Epoch", axis=alt.Axis(tickMinStep=1, format="d", grid=False), scale=alt.Scale(nice=False)
        ),
        "y": alt.Y("value:Q", title=None, axis=axis, scale=alt.Scale(domain=[0, 1]) if share else alt.Scale(zero=True)),
        "color": alt.Color("series:N", scale=alt.Scale(domain=labels, range=[BLUE, ORANGE, GREEN][: len(labels)])),
        "strokeDash": alt.StrokeDash(
            "series:N", scale=alt.Scale(domain=labels, range=[[1, 0], [6, 3], [2, 2]][: len(labels)])
        ),
    }
    if len(labels) == 1:
        encoding["color"], encoding["strokeDash"] = alt.value(BLUE), alt.value([1, 0])
    lines = alt.Chart(_data(rows)).mark_line(strokeWidth=2.2).encode(**encoding)
    # the points are what answers to the pointer; on long trainings they are there, but not seen
    seen = 1 if len(history) <= 30 else 0
    points = alt.Chart(_data(rows)).mark_circle(size=34, opacity=seen)
    points = points.encode(x="epoch:Q", y="value:Q", color=encoding["color"], description="told:N")
    layers = [lines, points] if best is None else [_best_epoch(best), lines, points]
    chart = alt.layer(*layers).properties(width=WIDTH, height=HEIGHT)
    ends = [(label, [row["told"].split(": ")[-1] for row in rows if row["series"] == label]) for label in labels]
    told = "; ".join(f"{label} from {values[0]} to {values[-1]}" for label, values in ends if values)
    return _draw(name, title, f"Lines over {plural(len(history), 'epoch')}: {told}.", chart)


def _epoch_told(row: Mapping[str, float | None], column: str, label: str, share: bool) -> str:
    value = percent(row[column], 2) if share else f"{row[column]:.4g}"
    return f"Epoch {row['epoch']:.0f}, {label}: {value}"


def _best_epoch(best: int) -> alt.Chart:
    rows = [{"epoch": best, "told": f"Best epoch: {best}"}]
    rule = alt.Chart(_data(rows)).mark_rule(color=MUTED, strokeDash=[3, 3], strokeWidth=1.5)
    return rule.encode(x="epoch:Q", description="told:N")


def _precision_recall(curve: Sequence[Mapping[str, float]], map50: float) -> Figure | None:
    rows = [
        {**point, "told": f"Recall {percent(point['recall'], 0)}: precision {percent(point['precision'])}"}
        for point in curve
        if point["precision"] >= 0
    ]
    if not rows:
        return None
    axis = alt.Axis(format=".0%", tickCount=5)
    base = alt.Chart(_data(rows)).encode(
        x=alt.X("recall:Q", title="Recall", axis=axis, scale=alt.Scale(domain=[0, 1])),
        y=alt.Y("precision:Q", title="Precision", axis=axis, scale=alt.Scale(domain=[0, 1])),
    )
    chart = alt.layer(
        base.mark_area(color=BLUE, opacity=0.14),
        base.mark_line(color=BLUE, strokeWidth=2.2),
        base.mark_circle(color=BLUE, size=60, opacity=0).encode(description="told:N"),
    ).properties(width=WIDTH, height=HEIGHT)
    words = f"Precision over recall on the test part; the area below the curve is mAP@0.5, {percent(map50, 2)}."
    return _draw("precision_recall", "Detector: precision and recall at IoU 0.5", words, chart)


def _accuracy_by_drug(by_drug: Sequence[Mapping[str, Any]]) -> Figure | None:
    if not by_drug:
        return None
    bins = [sum(min(int(drug["top1"] * 10 + 1e-9), 9) == place for drug in by_drug) for place in range(10)]
    rows = [
        {
            "from": place / 10,
            "to": (place + 1) / 10,
            "drugs": number,
            "told": f"Top-1 {place * 10} to {place * 10 + 10} %: {plural(number, 'drug')}",
        }
        for place, number in enumerate(bins)
    ]
    axis = alt.Axis(format=".0%", tickCount=5, grid=False)
    base = alt.Chart(_data(rows)).encode(
        x=alt.X("from:Q", title="Top-1 of a drug", axis=axis, scale=alt.Scale(domain=[0, 1])),
        y=alt.Y("drugs:Q", title="Drugs", axis=alt.Axis(tickMinStep=1, tickCount=5, format=",d")),
    )
    bars = base.mark_bar(color=BLUE, stroke=None, binSpacing=2).encode(x2="to:Q", description="told:N")
    labelled = alt.Chart(
        _data([{**row, "middle": row["from"] + 0.05, "text": count(row["drugs"])} for row in rows if row["drugs"]])
    )
    text = labelled.mark_text(dy=-7, color=INK, fontSize=12).encode(x="middle:Q", y="drugs:Q", text="text:N")
    right = sum(drug["top1"] == 1 for drug in by_drug)
    words = f"Histogram of each drug's top-1; {count(right)} of {plural(len(by_drug), 'drug')} are always named right."
    return _draw(
        "accuracy_by_drug",
        "Drugs by their accuracy",
        words,
        alt.layer(bars, text).properties(width=WIDTH, height=HEIGHT),
    )


def _latency(latency: Mapping[str, Any], target: float | None) -> Figure | None:
    modes = [mode for mode in ("single", "combo") if mode in latency]
    if not modes:
        return None
    rows = [
        {
            "mode": mode.capitalize(),
            "step": step.capitalize(),
            "order": place,
            "ms": figure(latency, f"{mode}.{step}.p50_ms") or 0,
        }
        for mode in modes
        for place, step in enumerate(STEPS[:-1])
    ]
    rows = [{**row, "told": f"{row['mode']}, {row['step']}: median {milliseconds(row['ms'])}"} for row in rows]
    totals = [{"mode": mode.capitalize(), "ms": figure(latency, f"{mode}.total.p95_ms")} for mode in modes]
    totals = [{**row, "told": f"{row['mode']}, whole answer: p95 {milliseconds(row['ms'])}"} for row in totals]
    steps = [step.capitalize() for step in STEPS[:-1]]
    colour = alt.Color(
        "step:N",
        scale=alt.Scale(domain=steps, range=[PURPLE, BLUE, GREEN, ORANGE]),
        legend=alt.Legend(symbolType="square", symbolSize=120, symbolStrokeWidth=0),
    )
    order = [mode.capitalize() for mode in modes]
    mode_axis = alt.Y("mode:N", title=None, sort=order, axis=alt.Axis(domain=False, ticks=False, labelColor=INK))
    bars = (
        alt.Chart(_data(rows))
        .mark_bar(size=26)
        .encode(
            x=alt.X("ms:Q", title="Milliseconds", stack="zero", axis=alt.Axis(tickCount=6)),
            y=mode_axis,
            color=colour,
            order="order:Q",
            description="told:N",
        )
    )
    ticks = (
        alt.Chart(_data(totals))
        .mark_tick(color=INK, thickness=3, size=40)
        .encode(x="ms:Q", y=mode_axis, description="told:N")
    )
    layers = [bars, ticks]
    if target is not None:
        rule = alt.Chart(_data([{"ms": target, "told": f"Target: below {milliseconds(target)}"}]))
        layers.append(
            rule.mark_rule(color=MUTED, strokeDash=[4, 3], strokeWidth=2).encode(x="ms:Q", description="told:N")
        )
    told = "; ".join(row["told"] for row in totals)
    words = f"Bars: median of each step. Black mark: 95th percentile of the whole answer{'' if target is None else '. Dashed: target'}. {told}."
    return _draw(
        "latency",
        "How long an answer takes",
        words,
        alt.layer(*layers).properties(width=WIDTH, height=54 * len(modes) + 10),
    )


def _quarantine(manifest: Mapping[str, Any]) -> Figure | None:
    found = reasons(manifest, "quarantined")
    rows = [
        {"what": reason.name, "number": number, "kind": kind, "told": f"{reason.name}: {plural(number, word)}"}
        for reason in found
        for kind, word, number in (("Photographs", "photograph", reason.photos), ("Labels", "label", reason.labels))
        if number
    ]
    if not rows:
        return None
    scale = alt.Scale(domain=["Photographs", "Labels"], range=[BLUE, ORANGE])
    colour = alt.Color(
        "kind:N", scale=scale, legend=alt.Legend(symbolType="square", symbolSize=120, symbolStrokeWidth=0)
    )
    words = f"Bars by reason, {listing_of(rows)}."
    return _bars("quarantine", "Quarantine by reason", words, rows, [reason.name for reason in found], "Rows", colour)


def listing_of(rows: Sequence[Row]) -> str:
    """The bars in words."""
    return "; ".join(row["told"] for row in rows)


def _durations(inputs: Inputs) -> Figure | None:
    rows = [
        {"what": time.rule, "number": time.seconds / 60, "told": f"{time.rule}: {duration(time.seconds)}"}
        for time in inputs.times
    ]
    if not rows:
        return None
    words = f"Bars by rule, {listing_of(rows)}."
    return _bars(
        "durations",
        "Time of each rule",
        words,
        rows,
        [row["what"] for row in rows],
        "Minutes, all jobs of a rule",
        alt.value(BLUE),
    )


def _bars(
    name: str, title: str, words: str, rows: Sequence[Row], order: Sequence[str], unit: str, colour: Any
) -> Figure:
    bars = (
        alt.Chart(_data(rows))
        .mark_bar(size=14)
        .encode(
            x=alt.X("number:Q", title=unit, axis=alt.Axis(tickCount=5, format="~s")),
            y=alt.Y(
                "what:N",
                title=None,
                sort=list(order),
                axis=alt.Axis(domain=False, ticks=False, labelColor=INK, labelLimit=200),
            ),
            color=colour,
            description="told:N",
        )
    )
    return _draw(name, title, words, alt.layer(bars).properties(width=WIDTH - 110, height=24 * len(order)))
