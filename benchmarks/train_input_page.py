"""Markdown page of benchmarks/train_input.py, all computed from its JSON."""

import statistics
from typing import Any

from page_origin import origin

_PAGE = """# What feeds the trainings: measured

Made by `{command}`; the first lines of [train_input.py](train_input.py) tell what is compared and how, and every figure
is computed from the JSON file of the same name. Photographs are synthetic.

- {date}, {device}; ours decodes with {cores} workers; {threads} threads of arithmetic on a CPU; commit
  `{commit}`{dirty}
- {versions}
- medians of {repeats} repeats, lowest to highest in brackets; in each repeat {steps} batches of each contestant count,
  after {warm_up} that warm up; load of the machine before each repeat: {load}

## Classifier

{model} at {image_size} px, batch {batch}, {precision}; {crops} crops of {crop_size} px, JPEG quality {crop_quality}.
Worker processes, the best for each: {other_workers}.

| | images a second | of the limit | times torchvision |
|---|---|---|---|
{classifier}

## Detector

{detector_model} at {detector_size} px, batch {detector_batch}, {precision}; ultralytics' loader with {threads} worker
processes, over {photos} photographs, each under {copies} names: prepared (long side {photo_size} px, JPEG quality
{photo_quality}) and raw (976 x 1280 PNG).

| | loader alone, images a second | training, images a second | of the limit |
|---|---|---|---|
{detector}

From prepared JPEGs the loader gives **{loader_gain}** times the images that it gives from raw PNGs, and training takes
**{training_gain}** times as many.

## Worker processes of the other loaders

Images a second of training by number of worker processes (0: the training's own process), one turn each; the best is
used above.

| | {choices} |
|---|{rules}|
{tried}
"""


def page(result: dict[str, Any]) -> str:
    """The page as Markdown."""
    classifier, detector = result["classifier"], result["detector"]
    settings, tried = result["settings"], classifier["workers_tried"]
    choices = list(next(iter(tried.values())))
    best = {name: max(rates, key=rates.__getitem__) for name, rates in tried.items()}
    return _PAGE.format(
        **result["turn"] | result["pictures"],
        **{key: result[key] for key in ("command", "cores", "threads", "precision")},
        **origin(result),
        load=", ".join(map(str, classifier["load"] + detector["load"])),
        **{key: settings["classifier"][key] for key in ("model", "image_size", "batch")},
        crop_size=settings["crops"]["size"],
        crop_quality=settings["crops"]["quality"],
        other_workers=", ".join(f"{name} {workers}" for name, workers in best.items()),
        classifier="\n".join(_classifier_row(classifier["training"], name) for name in classifier["training"]),
        detector_model=settings["detector"]["model"],
        detector_size=settings["detector"]["image_size"],
        detector_batch=settings["detector"]["batch"],
        **{key: settings["prepare"][key] for key in ("photo_size", "photo_quality")},
        detector="\n".join(_detector_row(detector, name) for name in detector["training"]),
        **{f"{part}_gain": _gain(detector[part]) for part in ("loader", "training")},
        choices=" | ".join(choices),
        rules="|".join("---" for _ in choices),
        tried="\n".join(
            f"| {name} | {' | '.join(f'{rates[choice]:.1f}' for choice in choices)} |" for name, rates in tried.items()
        ),
    )


def _classifier_row(rates: dict[str, list[float]], name: str) -> str:
    of_limit = _percent(_ratios(rates[name], rates["limit"]))
    return f"| {name} | {_spread(rates[name], '.1f')} | {of_limit} | {_times(rates[name], rates['torchvision'])} |"


def _detector_row(detector: dict[str, Any], name: str) -> str:
    alone, training = detector["loader"].get(name), detector["training"]
    of_limit = _percent(_ratios(training[name], training["limit"]))
    return f"| {name} | {_spread(alone, '.1f') if alone else ''} | {_spread(training[name], '.1f')} | {of_limit} |"


def _gain(rates: dict[str, list[float]]) -> str:
    return _times(rates["prepared JPEGs"], rates["raw PNGs"])


def _ratios(first: list[float], second: list[float]) -> list[float]:
    """Repeat by repeat."""
    return [one / other for one, other in zip(first, second, strict=True)]


def _times(first: list[float], second: list[float]) -> str:
    return _spread(_ratios(first, second), ".2f")


def _percent(values: list[float]) -> str:
    return _spread(values, ".1%")


def _spread(values: list[float], style: str) -> str:
    return f"{statistics.median(values):{style}} ({min(values):{style}} to {max(values):{style}})"
