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
    PURPLE,
    SQUARES,
    Figure,
    Row,
    bars,
    chart,
    draw,
    told,
)
from pillsnap.report.facts import STEPS, reasons, training
from pillsnap.report.formats import asked, count, duration, figure, milliseconds, percent, plural
from pillsnap.report.inputs import History, Inputs

_SHARE = alt.Scale(domain=[0, 1])
_PERCENT = alt.Axis(format=".0%", tickCount=5)


def all_figures(inputs: Inputs) -> list[Figure]:
    """Every chart that the stage has figures for."""
    drawn = [
        *_training_figures(inputs),
        _precision_recall(inputs.accuracy["detector"]["pr_curve"], figure(inputs.metrics, "detector.map50")),
        _accuracy_by_drug(inputs.accuracy["by_drug"]),
        _latency(inputs.latency, inputs.targets.get("p95_ms")),
        quarantine_chart(inputs.manifest),
        _durations(inputs),
    ]
    return [one for one in drawn if one is not None]


def _training_figures(inputs: Inputs) -> list[Figure | None]:
    losses = {"box_loss": "Box", "cls_loss": "Class", "dfl_loss": "Distribution"}
    maps = {"map50": "mAP@0.5", "map50_95": "mAP@0.5:0.95"}
    tops = {"train_top1": "Training top-1", "val_top1": "Validation top-1", "val_top5": "Validation top-5"}
    found, named = inputs.detector_history, inputs.classifier_history
    found_best, named_best = training(inputs, "detector").best, training(inputs, "classifier").best
    return [
        _curves("detector_loss", "Detector: training losses", found, losses, found_best, share=False),
        _curves("detector_training", "Detector: validation mAP", found, maps, found_best, share=True),
        _curves("classifier_loss", "Classifier: training loss", named, {"loss": "Loss"}, named_best, share=False),
        _curves("classifier_training", "Classifier: accuracy", named, tops, named_best, share=True),
    ]


def _curves(
    name: str, title: str, history: History, series: Mapping[str, str], best: int | None, *, share: bool
) -> Figure | None:
    """Lines over epochs, one for each column that `series` names; `share` where they are fractions of 1."""
    rows = [_point(row, column, label, share) for column, label in series.items() for row in history]
    rows = [row for row in rows if row["value"] is not None]
    if not rows:
        return None
    y_scale, y_axis = (_SHARE, _PERCENT) if share else (alt.Scale(zero=True), alt.Axis(format="~g", tickCount=5))
    place = {
        "x": _epochs(rows),
        "y": alt.Y("value:Q", title=None, axis=y_axis, scale=y_scale),
    }
    colour, dash = _line_styles(list(series.values()))
    lines = chart(rows).mark_line(strokeWidth=2.2).encode(**place, color=colour, strokeDash=dash)
    # points answer to the pointer; on a long training they are there, but unseen until then
    points = chart(rows).mark_circle(size=34, opacity=1 if len(history) <= 30 else 0)
    layers = [*_best_epoch(best), lines, points.encode(**place, color=colour, description="told:N")]
    ends = [[row for row in rows if row["series"] == label] for label in series.values()]
    words = "; ".join(f"{part[0]['series']} from {part[0]['text']} to {part[-1]['text']}" for part in ends if part)
    return draw(name, title, f"Lines over {plural(len(history), 'epoch')}: {words}.", layers)


def _point(row: Mapping[str, float | None], column: str, label: str, share: bool) -> Row:
    value = row[column]
    text = "" if value is None else percent(value, 2) if share else f"{value:.4g}"
    return {
        "epoch": row["epoch"],
        "value": value,
        "series": label,
        "text": text,
        "told": f"Epoch {row['epoch']:.0f}, {label}: {text}",
    }


def _epochs(rows: Sequence[Row]) -> alt.X:
    """The axis of epochs: whole numbers, about ten of them named."""
    first, last = (int(pick(row["epoch"] for row in rows)) for pick in (min, max))
    named = list(range(first, last + 1, 1 + (last - first) // 10))
    scale = alt.Scale(domain=[first, max(last, first + 1)], nice=False, zero=False)
    return alt.X("epoch:Q", title="Epoch", axis=alt.Axis(values=named, format="d", grid=False), scale=scale)


def _line_styles(labels: list[str]) -> tuple[Any, Any]:
    """Colour and dash of each line, so that neither alone carries the meaning; one line needs no legend."""
    if len(labels) == 1:
        return alt.value(BLUE), alt.value([1, 0])
    colours, dashes = [BLUE, ORANGE, GREEN], [[1, 0], [6, 3], [2, 2]]
    return (
        alt.Color("series:N", scale=alt.Scale(domain=labels, range=colours[: len(labels)])),
        alt.StrokeDash("series:N", scale=alt.Scale(domain=labels, range=dashes[: len(labels)])),
    )


def _best_epoch(best: int | None) -> list[alt.Chart]:
    if best is None:
        return []
    rule = chart([{"epoch": best, "told": f"Best epoch: {best}"}])
    return [rule.mark_rule(color=MUTED, strokeDash=[3, 3], strokeWidth=1.5).encode(x="epoch:Q", description="told:N")]


def _precision_recall(curve: Sequence[Mapping[str, float]], map50: float | None) -> Figure | None:
    rows = [
        {**point, "told": f"Recall {percent(point['recall'], 0)}: precision {percent(point['precision'])}"}
        for point in curve
        if point["precision"] >= 0
    ]
    if not rows:
        return None
    base = chart(rows).encode(
        x=alt.X("recall:Q", title="Recall", axis=_PERCENT, scale=_SHARE),
        y=alt.Y("precision:Q", title="Precision", axis=_PERCENT, scale=_SHARE),
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
    top1 = {"title": "Top-1 of a drug", "axis": alt.Axis(format=".0%", tickCount=5, grid=False), "scale": _SHARE}
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
