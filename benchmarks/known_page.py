"""Markdown page of benchmarks/known.py, all computed from `known.json`."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from known_scores import CHOSEN, NOW
from page_origin import origin

_PAGE = """# Known answers: measured

Made by `{command}`; the first lines of [known.py](known.py) tell the method, and every figure is computed from
[known.json](known.json). **The photographs are synthetic**: the figures show which score suits this pipeline, and say
nothing of real drugs.

- {date}, {device}; commit `{commit}`{dirty}
- {versions}
- {pills}

Means over {stages} stages, lowest to highest in brackets; AUROC as such, the rest in percent. Verdicts rest on
**{chosen}**; before, they rested on the {now}.

## On validation, by which the score is chosen

| score | AUROC, held-out drugs | AUROC, left-out drugs | known | held-out not known | left-out not known |
|---|---|---|---|---|---|
{validation}

## On the test part

| score | AUROC of never-seen drugs | known | right, of these | never-seen drugs not known |
|---|---|---|---|---|
{test}

## Each stage: before, and now

| stage | score | AUROC of never-seen drugs | known | right, of these | never-seen drugs not known |
|---|---|---|---|---|---|
{each}

## In the graph

The step that computes the score takes {one:.3f} ms for one crop and {four:.3f} ms for four.
"""

VALIDATION = ("auroc_unseen_val", "auroc_left_out", "known", "not_known_unseen_val", "not_known_left_out")
TEST = ("auroc_unseen_test", "known", "right", "not_known_unseen_test")


def page(result: dict[str, Any]) -> str:
    """The measured figures as Markdown."""
    found = result["scores"]
    ranked = sorted(found, key=lambda name: -np.mean([one["val"]["auroc_unseen_val"] for one in found[name]]))
    pills = "; ".join(
        f"`{stage}`: " + ", ".join(f"{count} {part}" for part, count in counts.items())
        for stage, counts in zip(result["stages"], result["pills"], strict=True)
    )
    tables = {
        table: "\n".join(
            row([_name(name)], [spread(key, [one[part][key] for one in found[name]]) for key in keys])
            for name in ranked
        )
        for table, part, keys in (("validation", "val", VALIDATION), ("test", "test", TEST))
    }
    each = "\n".join(
        row([stage, _name(name)], [spread(key, [found[name][number]["test"][key]]) for key in TEST])
        for number, stage in enumerate(result["stages"])
        for name in (NOW, CHOSEN)
    )
    return _PAGE.format(
        command=result["command"],
        **origin(result),
        **tables,
        each=each,
        pills=pills,
        stages=len(result["stages"]),
        chosen=CHOSEN,
        now=NOW,
        one=result["milliseconds"]["1"],
        four=result["milliseconds"]["4"],
    )


def _name(score: str) -> str:
    return f"**{score}**" if score == CHOSEN else score


def row(names: Sequence[str], cells: Sequence[str]) -> str:
    """A row of a table."""
    return f"| {' | '.join((*names, *cells))} |"


def spread(key: str, values: Sequence[float | None]) -> str:
    """Mean, and lowest to highest, of the stages that have the figure: keys that begin with `auroc` as
    such, the others in percent."""
    there = [value for value in values if value is not None]
    if not there:
        return "–"
    told = [f"{value:.3f}" if key.startswith("auroc") else f"{value * 100:.1f}" for value in _summary(there)]
    return told[0] if len(there) == 1 else f"{told[0]} ({told[1]} to {told[2]})"


def _summary(values: Sequence[float]) -> tuple[float, float, float]:
    return float(np.mean(values)), min(values), max(values)
