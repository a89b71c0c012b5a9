"""Markdown page of benchmarks/pill_detector.py, all computed from `pill_detector.json`."""

from typing import Any

from page_origin import origin
from scenes_page import WANTED

_PAGE = """# The detector that comes with the project: measured

Made by `{command}`, whose first lines tell what is measured and how; every figure is computed from
[pill_detector.json](pill_detector.json).

- {date}, {device}; commit `{commit}`{dirty}
- {versions}
- `weights/pill-detector.safetensors`: {megabytes:.1f} MB, SHA-256 `{sha256}`, {image_size} pixels

## Real photographs that it never saw

It was trained on composed scenes of drawn pills alone. IoU 0.5, any class:

| set | photographs | pills | recall, precision at {score} | at the best score | wanted |
|---|---|---|---|---|---|
{real}

## Grounds without a pill

{scenes:,} composed scenes without a pill, of a seed that no training used: **{per_hundred:.1f} false boxes in 100** at
a score of {score}, on {with_boxes} of them; at most 2 are wanted.
"""


def page(result: dict[str, Any]) -> str:
    """The page as Markdown."""
    grounds, weights = result["grounds"], result["weights"]
    return _PAGE.format(
        command=result["command"],
        **origin(result),
        megabytes=weights["bytes"] / 1e6,
        sha256=weights["sha256"],
        image_size=weights["image_size"],
        score=result["score"],
        real="\n".join(_row(name, found) for name, found in result["real"].items()) or "| none was there |",
        scenes=grounds["scenes"],
        with_boxes=grounds["with_boxes"],
        per_hundred=100 * grounds["boxes"] / grounds["scenes"],
    )


def _row(name: str, found: dict[str, Any]) -> str:
    pairs = [f"{found[key]['recall']:.3f}, {found[key]['precision']:.3f}" for key in ("at_score", "best")]
    recall, precision = WANTED[name]
    return (
        f"| {name} | {found['photos']} | {found['pills']} | {pairs[0]} | {pairs[1]} ({found['best']['score']:.2f}) | "
        f"{recall:.2f}, {precision:.2f} |"
    )
