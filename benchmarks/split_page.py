"""Markdown page of benchmarks/split.py, all computed from `split.json`."""

import statistics
from typing import Any

from page_origin import origin

_PAGE = """# What a random split pretends: measured

Made by `{command}`; the first lines of [split.py](split.py) tell the method, and every figure is computed from
[split.json](split.json). **The photographs are synthetic**: the size of the effect is that of drawn pills.

- {date}, {device}; commit `{commit}`{dirty}
- {versions}
- {drugs} drugs, of each {groups} capture groups with {longitudes} photographs: {train} for training, {val} for
  validation, {test} for the test in both splits; {unseen_pills} photographs of {unseen} further capture groups of each
  drug that neither split holds
- classifier {model} at {image_size} px, at most {epochs} epochs (settings in split.json); both splits with the
  same seed

## Top-1

95 % Wilson intervals in brackets. *Pretended* is the test part's figure minus that on the unseen groups, in points.

| seed | split | validation | test part | unseen groups | pretended |
|---|---|---|---|---|---|
{rows}

Means over {seeds} seeds, lowest to highest in brackets:

| split | validation | test part | unseen groups | pretended |
|---|---|---|---|---|
{means}

## What leaks

The audit of `build_manifest`, by the true capture groups, seed by seed; alike is what the perceptual hash calls a
near-duplicate across two sides:

| split | groups on two sides | test photographs with their group in training | pairs alike | of one group |
|---|---|---|---|---|
{leaks}

## What it means

The random split reports {random_test}; on capture groups that it never saw, its model reaches {random_unseen}: it
pretended {random_pretended} points. The grouped split reports {grouped_test} for a model that reaches {grouped_unseen}:
{grouped_pretended} points. A random split's validation figure leaks in the same way, and the best epoch is chosen
on it.

- Both models were trained on equally many photographs, but the random split's on some of nearly every group. It may
  well be worth more for that; how much, its own test part cannot tell.
- Wilson intervals take photographs as independent. Those of one group are not, so the test parts' true intervals are
  wider; each unseen photograph is of another group.
- The source draws place, light and noise anew for each photograph, so two longitudes of a group are less alike here
  than real ones, taken on one turntable. What a perceptual hash calls near-duplicates are here mostly photographs of
  different groups, in both splits: it does not see this leak, and the capture groups do.
- Each drug has few groups so that the difference shows. With more groups it should be smaller; that is not measured
  here.
"""


def page(result: dict[str, Any]) -> str:
    """The page as Markdown."""
    runs, recipe = result["runs"], result["settings"]["classifier"]
    by_split = {split: [run for run in runs if run["split"] == split] for split in ("grouped", "random")}
    figures = {
        f"{split}_{name}": value
        for split, some in by_split.items()
        for name, value in zip(("test", "unseen", "pretended"), _means(some)[1:], strict=True)
    }
    return _PAGE.format(
        **result["sizes"] | runs[0]["photos"] | figures,
        command=result["command"],
        **origin(result),
        unseen_pills=runs[0]["unseen"]["pills"],
        **{key: recipe[key] for key in ("model", "image_size", "epochs")},
        seeds=len(by_split["random"]),
        rows="\n".join(_row(run) for run in runs),
        means="\n".join(f"| {split} | {' | '.join(_means(some))} |" for split, some in by_split.items()),
        leaks="\n".join(f"| {split} | {' | '.join(_leaks(some))} |" for split, some in by_split.items()),
    )


def _row(run: dict[str, Any]) -> str:
    parts = (run["test"], run["unseen"])
    test, unseen = (f"{part['top1']:.1%} ({part['low']:.1%} to {part['high']:.1%})" for part in parts)
    pretended = f"{100 * run['pretended']:+.1f}"
    return f"| {run['seed']} | {run['split']} | {run['val_top1']:.1%} | {test} | {unseen} | {pretended} |"


def _means(runs: list[dict[str, Any]]) -> list[str]:
    """Validation, test, unseen and pretended: mean (lowest to highest)."""
    columns = [[run["val_top1"] for run in runs]]
    columns += [[run[part]["top1"] for run in runs] for part in ("test", "unseen")]
    shares = [f"{statistics.mean(values):.1%} ({min(values):.1%} to {max(values):.1%})" for values in columns]
    pretended = [100 * run["pretended"] for run in runs]
    return [*shares, f"{statistics.mean(pretended):+.1f} ({min(pretended):+.1f} to {max(pretended):+.1f})"]


def _leaks(runs: list[dict[str, Any]]) -> list[str]:
    test = [f"{run['test_photos_of_trained_groups']} of {run['photos']['test']}" for run in runs]
    groups = [str(run["audit"]["groups_on_two_sides"]) for run in runs]
    near = [str(run["audit"]["near_duplicates"]["pairs"]) for run in runs]
    of_one = [str(run["near_duplicates_of_one_group"]) for run in runs]
    return [", ".join(values) for values in (groups, test, near, of_one)]
