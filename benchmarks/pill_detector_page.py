"""Markdown page of benchmarks/pill_detector.py, all computed from `pill_detector.json`."""

from typing import Any

from page_origin import origin
from scenes_page import WANTED

_PAGE = """# The detector that comes with the project: measured

Made by `{command}`, whose first lines tell what is measured and how; every figure is computed from
[pill_detector.json](pill_detector.json).

- {date}, {device}; commit `{commit}`{dirty}
- {versions}
- as it is: `weights/pill-detector.safetensors`, {megabytes:.1f} MB, SHA-256 `{sha256}`, {image_size} pixels, which saw
  composed scenes of drawn pills alone
{trained}
## Real photographs that it never saw

One photograph of each group of copies, IoU 0.5, any class; boxes that overlap are dropped as in answers.
`detector.start_share` was chosen on pushin-pill, too, which flatters the trained detector there; two-coloured capsules
and pills like their ground were drawn more often, and hands over crowded places, after a look at it. Nothing was chosen
on pillcounter.

| detector | set | photographs | pills | recall, precision at {score} | at the best score | wanted |
|---|---|---|---|---|---|---|
{real}

## Grounds without a pill

{scenes:,} composed scenes without a pill, of a seed that no training used, at a score of {score}. *With things*:
most of them show coins, buttons, cables, fingers and the like; *bare*: none does.

| detector | grounds | false boxes on 100 scenes | wanted, on 100 | scenes with one, of all |
|---|---|---|---|---|
{grounds}
"""
_TRAINED = """- trained: the detector of a stage of the default configuration, which started from it, saw synthetic
  photographs besides, and is a weighted mean of both (`detector.start_share`), {image_size} pixels
"""


def page(result: dict[str, Any]) -> str:
    """The page as Markdown."""
    detectors, as_it_is = result["detectors"], result["detectors"][0]
    real = [_row(one, name, found) for one in detectors for name, found in one["real"].items()]
    return _PAGE.format(
        command=result["command"],
        **origin(result),
        megabytes=as_it_is["bytes"] / 1e6,
        sha256=as_it_is["sha256"],
        image_size=as_it_is["image_size"],
        trained="".join(_TRAINED.format(**one) for one in detectors if one["trained"]),
        score=result["score"],
        real="\n".join(real) or "| none was there |",
        scenes=result["scenes"],
        grounds="\n".join(
            f"| {_name(one)} | {name} | {100 * found['boxes'] / result['scenes']:.1f} | 2.0 | {found['with_boxes']} |"
            for one in detectors
            for name, found in one["grounds"].items()
        ),
    )


def _name(detector: dict[str, Any]) -> str:
    return "trained" if detector["trained"] else "as it is"


def _row(detector: dict[str, Any], name: str, found: dict[str, Any]) -> str:
    pairs = [f"{found[key]['recall']:.3f}, {found[key]['precision']:.3f}" for key in ("at_score", "best")]
    recall, precision = WANTED[name]
    return (
        f"| {_name(detector)} | {name} | {found['photos']} | {found['pills']} | {pairs[0]} | "
        f"{pairs[1]} ({found['best']['score']:.2f}) | {recall:.2f}, {precision:.2f} |"
    )
