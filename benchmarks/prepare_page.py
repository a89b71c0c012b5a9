"""Markdown page of benchmarks/prepare.py, all computed from `prepare.json`."""

import statistics
from typing import Any

from page_origin import origin

EPOCHS = 10
READY = ("unzip", "validate", "resize", "crop")
Run = dict[str, Any]

_PAGE = """# Preparing photographs: measured

Made by `python benchmarks/prepare.py`, whose first lines tell what is compared and why; every figure is computed from
[prepare.json](prepare.json). Photographs are synthetic.

- {date}, {device}; {cores} processes; commit `{commit}`{dirty}
- {versions}
- {prepared} photographs a repeat ({different} different ones), {size:.2f} MB each on average
- long side of the detector's photographs {photo_size}, crops {crop_size}, as in profiles/production
- medians of {repeats} repeats, lowest to highest in brackets; load of the machine before each repeat: {load}

## Against the limit

The limit is {limit_decoder}, decoding only.

| | photographs a second | processor time a photograph |
|---|---|---|
{rates}

Ours runs at **{of_limit}** of the limit's rate ({of_limit_cpu} by processor time); two cores give {scaling} times one
core's rate, and the limit's {limit_scaling}. A job costs {job_seconds:.1f} s besides its photographs.

## Against the usual way

Milliseconds of elapsed time a photograph, {cores} processes:

| | to ready data | one epoch of reads (detector + classifier) | ready data and {epochs} epochs | the usual way takes |
|---|---|---|---|---|
{usual}

The usual way's steps: {steps}.

## Memory

Peak of one process: {memory}.

## Decoders

Milliseconds of processor time a photograph, one core:

| | {kinds} |
|---|{rules}|
{decoders}
"""


def page(result: dict[str, Any]) -> str:
    """The page as Markdown."""
    runs = result["runs"]
    limit, ours, usual = runs["limit"], runs["ours"], runs["the usual way"]
    kinds = list(result["decoders_ms"])
    return _PAGE.format(
        **result["photos"] | {key: result[key] for key in ("cores", "repeats", "limit_decoder")},
        **origin(result),
        size=result["photos"]["mean_bytes"] / 1e6,
        photo_size=result["settings"]["prepare"]["photo_size"],
        crop_size=result["settings"]["crops"]["size"],
        rates="\n".join(_rate_row(name, runs[name]) for name in runs if name != "the usual way"),
        of_limit=_percent(_ratios(_seconds(limit, "decode"), _seconds(ours, "prepare"))),
        of_limit_cpu=_percent(_ratios(_cpu(limit, "decode"), _cpu(ours, "prepare"))),
        scaling=_times(_ratios(_seconds(runs["ours, 1 core"], "prepare"), _seconds(ours, "prepare"))),
        limit_scaling=_times(_ratios(_seconds(runs["limit, 1 core"], "decode"), _seconds(limit, "decode"))),
        load=", ".join(map(str, result["load"])),
        job_seconds=statistics.median(result["job_seconds"]),
        epochs=EPOCHS,
        usual="\n".join(_usual_rows(ours, usual)),
        steps=", ".join(f"{name} {_ms(_seconds(usual, name))} ms" for name in usual[0]["steps"]),
        memory=", ".join(f"{size / 1e6:.0f} MB for {n} photographs" for n, size in result["peak_memory"].items()),
        kinds=" | ".join(f"PNG by {kind}" for kind in kinds),
        rules="|".join("---" for _ in kinds),
        decoders="\n".join(
            f"| {name} | " + " | ".join(f"{result['decoders_ms'][kind][name]:.1f}" for kind in kinds) + " |"
            for name in sorted(result["decoders_ms"][kinds[0]], key=result["decoders_ms"][kinds[0]].get)
        ),
    )


def _seconds(runs: list[Run], *steps: str) -> list[float]:
    """Elapsed seconds a photograph of the named steps together, repeat by repeat."""
    return [sum(run["steps"][step]["seconds"] for step in steps) / run["photos"] for run in runs]


def _cpu(runs: list[Run], *steps: str) -> list[float]:
    return [sum(run["steps"][step]["cpu_seconds"] for step in steps) / run["photos"] for run in runs]


def _rate_row(name: str, runs: list[Run]) -> str:
    step = "decode" if "decode" in runs[0]["steps"] else "prepare"
    rates = [1 / seconds for seconds in _seconds(runs, step)]
    return f"| {name} | {_spread(rates, '.1f')} | {_spread([value * 1e3 for value in _cpu(runs, step)], '.1f')} ms |"


def _usual_rows(ours: list[Run], usual: list[Run]) -> list[str]:
    """Ready data, an epoch, and both together: ours first, then the two readings of the usual way."""
    ready, epoch = _seconds(ours, "prepare"), _seconds(ours, "detector epoch", "classifier epoch")
    all_ours = _sum(ready, _seconds(ours, "lay out"), epoch)
    rows = [f"| ours | {_ms(ready)} | {_ms(epoch)} | {_ms(all_ours)} | |"]
    for name, steps, photos in (
        ("the usual way, epochs of raw photographs", ("unzip", "validate", "crop"), "detector epoch of raw photos"),
        ("the usual way, epochs of resized copies", READY, "detector epoch of small photos"),
    ):
        made, read = _seconds(usual, *steps), _seconds(usual, photos, "classifier epoch")
        whole = _sum(made, [0.0] * len(made), read)
        times = f"{_times(_ratios(made, ready))} times to ready data, {_times(_ratios(whole, all_ours))} with epochs"
        rows.append(f"| {name} | {_ms(made)} | {_ms(read)} | {_ms(whole)} | {times} |")
    return rows


def _sum(ready: list[float], once: list[float], epoch: list[float]) -> list[float]:
    return [first + second + EPOCHS * third for first, second, third in zip(ready, once, epoch, strict=True)]


def _ratios(first: list[float], second: list[float]) -> list[float]:
    return [one / other for one, other in zip(first, second, strict=True)]


def _spread(values: list[float], style: str) -> str:
    return f"{statistics.median(values):{style}} ({min(values):{style}} to {max(values):{style}})"


def _percent(values: list[float]) -> str:
    return f"{statistics.median(values):.0%} ({min(values):.0%} to {max(values):.0%})"


def _times(values: list[float]) -> str:
    return _spread(values, ".2f")


def _ms(values: list[float]) -> str:
    return f"{statistics.median(values) * 1000:.1f}"
