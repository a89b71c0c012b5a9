"""Markdown page of benchmarks/seeds.py, all computed from `seeds.json`."""

import statistics
from collections.abc import Callable, Sequence
from typing import Any

from page_origin import origin

from pillsnap.pages.formats import MISSING, decimal, figure, percent
from pillsnap.pages.states import MET, NO_TARGET
from pillsnap.report.facts.verdicts import Verdict, verdicts

_PAGE = """# {stage} with several seeds: measured

Made by `{command}`; the first lines of [seeds.py](seeds.py) tell the method, and every figure is computed from
[seeds.json](seeds.json). **The photographs are synthetic**: the figures show that the pipeline works, and say nothing
of real drugs.

- {date}, {device}; commit `{commit}`{dirty}
- {versions}

Targets that are missed stand in **bold** type.

{table}

Targets met: {sentence}.
"""

_BESIDE: tuple[tuple[str, str, Callable[[float | None], str]], ...] = (
    ("Answers that are known", "trust.known", percent),
    ("AUROC of never-seen drugs", "trust.unseen_auroc", lambda value: decimal(value, 3)),
    ("Pills in combinations found and named right", "pipeline.combo_correct", percent),
    ("Two photographs of a pill: top-1", "same_pill.top1", percent),
    ("Two photographs of a pill: answers that are known", "same_pill.known", percent),
    ("Two photographs of a pill: right among these", "same_pill.known_right", percent),
    ("Two photographs of a never-seen drug: not known", "same_pill.unseen_not_known", percent),
    ("Whole imprints read right, never-seen drugs", "reading.unseen.imprint", percent),
    ("Shapes read right, never-seen drugs", "reading.unseen.shape", percent),
    ("Colours read right, never-seen drugs", "reading.unseen.colours", percent),
)
"""Figures without a target: label, where in the metrics, how it is written."""


def page(result: dict[str, Any]) -> str:
    """Write the page; `result` is the content of seeds.json."""
    runs, targets = result["runs"], result["targets"]
    metrics = [run["metrics"] for run in runs] + [_mean([run["metrics"] for run in runs])]
    minutes = [run["minutes"] for run in runs]
    rows = [_row(each) for each in zip(*(verdicts(targets, one) for one in metrics), strict=True)]
    rows += [[label, MISSING, *(written(figure(one, path)) for one in metrics)] for label, path, written in _BESIDE]
    if any(minutes):
        times = [decimal(one, 1) for one in [*minutes, _mean(minutes)]]
        rows.append(["Minutes, from nothing to the report", MISSING, *times])
    rows.append(["Commit", MISSING, *(f"`{run['commit']['hash'][:10]}`" for run in runs), MISSING])
    head = ["figure", "target", *(f"seed {run['seed']}" for run in runs), "mean"]
    return _PAGE.format(
        stage=result["stage"],
        command=result["command"],
        table="\n".join("| " + " | ".join(row) + " |" for row in [head, ["---"] * len(head), *rows]),
        sentence=", ".join(f"{_met(targets, run)} with seed {run['seed']}" for run in runs),
        **origin(result),
    )


def _row(found: Sequence[Verdict]) -> list[str]:
    """One figure in every run and in the mean; where chance makes each run's target another one, it stands beside."""
    asked = {one.asked for one in found}
    cells = [one.measured if one.state in (MET, NO_TARGET) else f"**{one.measured}**" for one in found]
    if len(asked) > 1:
        cells = [f"{cell} ({one.asked})" for cell, one in zip(cells, found, strict=True)]
    return [found[0].label, (found[0].asked if len(asked) == 1 else "") or MISSING, *cells]


def _mean(values: Sequence[Any]) -> Any:
    """The mean of numbers, of mappings leaf by leaf; `None` counts for nothing."""
    known = [value for value in values if value is not None]
    if known and isinstance(known[0], dict):
        return {name: _mean([value.get(name) for value in known]) for name in known[0]}
    return statistics.fmean(known) if known and not isinstance(known[0], str) else None


def _met(targets: dict[str, float | None], run: dict[str, Any]) -> str:
    found = [one for one in verdicts(targets, run["metrics"]) if one.state != NO_TARGET]
    return f"{sum(one.state == MET for one in found)} of {len(found)}"
