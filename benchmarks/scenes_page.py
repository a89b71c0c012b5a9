"""Markdown page of benchmarks/scenes.py, all computed from `scenes.json`."""

from typing import Any

from page_origin import origin

WANTED = {"pushin-pill": (0.80, 0.80), "pillcounter": (0.90, 0.90)}
"""Recall and precision that are wanted of a detector that never saw a real photograph."""

_PAGE = """# Composed scenes: measured

Made by `{command}`, whose first lines tell what is measured and how; every figure is computed from
[scenes.json](scenes.json).

- {date}, {device}; commit `{commit}`{dirty}
- {versions}

## Speed

{scenes:,} scenes of 640 pixels: **{per_second:.1f} a second** on one core of {processor} (processor time, one thread),
{p50:.0f} ms each in the median, {p5:.0f} to {p95:.0f} ms between the 5th and the 95th percentile.

## Cut-outs

{photos} drawn photographs of single pills: the masks' mean IoU with the true ones is **{mean_iou:.3f}**, the lowest
{lowest_iou:.3f}; {refused}.

## A detector that saw composed scenes alone

{model} from scratch at {image_size} pixels, {train_scenes:,} scenes of drawn pills, {epochs} epochs: {seen:,} pictures
in all. On real photographs, IoU 0.5, at the threshold that is best for F1:

| set | photographs | pills | recall | precision | threshold | wanted |
|---|---|---|---|---|---|---|
{real}
"""

_WITHOUT = """
## What each piece of a scene gives

The same training on as many scenes that lack one piece each. The validation scenes, by which the best epoch is chosen,
lack none. One training each: differences of a few points may be chance.

| left out | meaning | {sets} |
|---|---|{lines}|
{rows}
"""


def page(result: dict[str, Any]) -> str:
    """The page as Markdown."""
    speed, cut_outs, training = result["speed"], result["cut_outs"], result["training"]
    told = _PAGE.format(
        command=result["command"],
        **origin(result),
        scenes=speed["scenes"],
        per_second=speed["per_second"],
        processor=speed["processor"],
        **speed["ms"],
        **{name: cut_outs[name] for name in ("photos", "mean_iou", "lowest_iou")},
        refused=_refused(cut_outs),
        model=training["model"].removesuffix(".yaml"),
        image_size=training["image_size"],
        train_scenes=training["scenes"],
        epochs=training["epochs"],
        seen=training["scenes"] * training["epochs"],
        real="\n".join(_real_row(name, figures) for name, figures in result["real"].items()) or "| none was there |",
    )
    return told + _without(result["real"], result.get("without", {}))


def _without(real: dict[str, Any], without: dict[str, Any]) -> str:
    """The table of what is left out; empty where nothing is, or no real photograph was there."""
    if not (real and without):
        return ""
    rows = [_without_row("nothing", {"words": "all pieces", "real": real}, real)]
    rows += [_without_row(name, one, real) for name, one in without.items()]
    sets = " | ".join(f"{name}: recall | precision | F1" for name in real)
    return _WITHOUT.format(sets=sets, lines="|".join(["---"] * 3 * len(real)), rows="\n".join(rows))


def _without_row(name: str, one: dict[str, Any], real: dict[str, Any]) -> str:
    cells = []
    for found in (one["real"][each] for each in real):
        recall, precision = found["recall"], found["precision"]
        f1 = 2 * recall * precision / (recall + precision) if recall + precision else 0.0
        cells += [f"{value:.3f}" for value in (recall, precision, f1)]
    return f"| {name} | {one['words']} | {' | '.join(cells)} |"


def _refused(cut_outs: dict[str, Any]) -> str:
    number = sum(cut_outs["refused"].values())
    reasons = ", ".join(f"{count} `{reason}`" for reason, count in cut_outs["refused"].items())
    share = f"{number / cut_outs['photos']:.1%} were refused"
    return f"{share} ({reasons})" if number else "none was refused"


def _real_row(name: str, figures: dict[str, Any]) -> str:
    wanted = " / ".join(f"{value:.2f}" for value in WANTED[name])
    counts = f"{figures['photos']} | {figures['pills']}"
    measured = f"{figures['recall']:.3f} | {figures['precision']:.3f} | {figures['score']:.2f}"
    return f"| {name} | {counts} | {measured} | {wanted} |"
