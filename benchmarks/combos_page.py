"""Markdown page of benchmarks/combos.py, all computed from `combos.json`."""

from typing import Any

from page_origin import origin

_PAGE = """# Composed scenes in place of photographed combinations: measured

Made by `{command}`; the first lines of [combos.py](combos.py) tell the method, and every figure is computed from
[combos.json](combos.json). **The photographs are synthetic**, and so are the pills of the composed scenes.

- {date}, {device}; commit `{commit}`{dirty}
- {versions}
- trained as the default configuration does, from `weights/pill-detector.safetensors`
- {image_size} pixels, {epochs} epochs, one seed

mAP@0.5 on the test part:

| combinations trained on | their capture groups | composed scenes | pictures | combinations | single pills |
|---|---|---|---|---|---|
{rows}

With a tenth of the combinations and scenes, combinations stand **{points:+.1f} points** from all of them without
scenes; at most 1 point below was wanted.
"""


def page(result: dict[str, Any]) -> str:
    """Write the page; `result` is the content of combos.json."""
    runs = result["runs"]
    found = {(run["combinations"], run["scenes"] > 0): run["map50"]["combo"] for run in runs}
    return _PAGE.format(
        command=result["command"],
        image_size=result["image_size"],
        epochs=result["epochs"],
        rows="\n".join(_row(run) for run in runs),
        points=100 * (found["a tenth", True] - found["all", False]),
        **origin(result),
    )


def _row(run: dict[str, Any]) -> str:
    map50 = run["map50"]
    return (
        f"| {run['combinations']} | {run['groups']} | {run['scenes']} | "
        f"{run['pictures']:,} | {map50['combo']:.3f} | {map50['single']:.3f} |"
    )
