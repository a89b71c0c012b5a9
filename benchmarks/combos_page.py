"""Markdown page of benchmarks/combos.py, all computed from `combos.json`."""

from typing import Any

from page_origin import origin

_PAGE = """# Composed scenes in place of photographed combinations: measured

Made by `{command}`; the first lines of [combos.py](combos.py) tell the method, and every figure is computed from
[combos.json](combos.json). **The photographs are synthetic**, and so are the pills of the composed scenes.

- {date}, {device}; commit `{commit}`{dirty}
- {versions}

mAP@0.5 on the test part, one seed. *default*: from the detector that comes with the project, by the recipe of
`config.yaml` ({default_size} pixels, {default_epochs} epochs). *scratch*: yolo11n, which saw no scene before,
{image_size} pixels, {epochs} epochs.

| start | combinations trained on | their capture groups | composed scenes | pictures | combinations | single pills |
|---|---|---|---|---|---|---|
{rows}

With a tenth of the combinations and scenes, combinations stand **{default:+.1f} points** from all of them without
scenes, from scratch **{scratch:+.1f} points**; at most 1 point below was wanted.
"""


def page(result: dict[str, Any]) -> str:
    """Write the page; `result` is the content of combos.json."""
    found = {(run["start"], run["combinations"], run["scenes"] > 0): run["map50"]["combo"] for run in result["runs"]}
    points = {
        start: 100 * (found[start, "a tenth", True] - found[start, "all", False]) for start in ("default", "scratch")
    }
    return _PAGE.format(
        command=result["command"],
        image_size=result["image_size"],
        epochs=result["epochs"],
        default_size=result["default"]["image_size"],
        default_epochs=result["default"]["epochs"],
        rows="\n".join(_row(run) for run in result["runs"]),
        **points,
        **origin(result),
    )


def _row(run: dict[str, Any]) -> str:
    map50 = run["map50"]
    return (
        f"| {run['start']} | {run['combinations']} | {run['groups']} | {run['scenes']} | {run['pictures']:,} | "
        f"{map50['combo']:.3f} | {map50['single']:.3f} |"
    )
