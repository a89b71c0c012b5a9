"""Forecast the hours of a stage's trainings from measured rates."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pillsnap.classifier.epoch_order import picture_size
from pillsnap.config.config import Config
from pillsnap.config.training import Classifier
from pillsnap.preflight.gpu_check.rows import NotCheckedError, Row, Verdict


def forecast(config: Config, stage: str, rows: Sequence[Row]) -> Iterator[Row]:
    """Hours of both trainings by the rates that `rows` measured, validations of the classifier and other rules left
    out, and the batch that trained fastest."""
    from pillsnap.preflight.amounts import estimate_amounts

    measured = [row.figures for row in rows if "images_per_second" in row.figures]
    plain = [each for each in measured if each.get("compiled") is False]
    if not plain:
        raise NotCheckedError("no rate of the classifier was measured")
    amounts = estimate_amounts(config, stage)
    recipe, share = config.classifier, 1 - config.plan.val_fraction
    reference = recipe.global_batch_size
    for batch, words in ((reference, "the recipe's batch"), (fastest_batch(plain, recipe), "the fastest batch")):
        rates = {each["size"]: each["images_per_second"] for each in plain if each["batch"] == batch}
        hours = classifier_hours(recipe, rates, amounts.trained_pills * share)
        rate = recipe.learning_rate * math.sqrt(batch / reference)
        text = f"{hours:,.1f} h for {recipe.epochs} epochs; learning rate by the square root rule {rate:.2g}"
        figures = {"hours": hours, "batch": batch, "learning_rate": rate, "pills": amounts.trained_pills * share}
        yield Row(f"forecast: classifier, {words} {batch}", text, "", Verdict.ok, figures=figures)
    found = [row.figures for row in rows if row.check.startswith("detector") and "images_per_second" in row.figures]
    for each in found:
        photos = amounts.detector_photos * share
        hours = config.detector.epochs * photos / each["images_per_second"] / 3600
        text = f"{hours:,.1f} h for {config.detector.epochs} epochs of {photos:,.0f} photographs"
        yield Row("forecast: detector", text, "", Verdict.ok, figures={"hours": hours, "photos": photos})


def fastest_batch(measured: Sequence[Mapping[str, Any]], recipe: Classifier) -> int:
    """The batch with the highest rate at the recipe's last size, of those that were measured at every size."""
    sizes = {each["size"] for each in measured}
    whole = [
        each
        for each in measured
        if each["size"] == recipe.image_size and {s["size"] for s in measured if s["batch"] == each["batch"]} == sizes
    ]
    return max(whole, key=lambda each: each["images_per_second"])["batch"] if whole else recipe.global_batch_size


def classifier_hours(recipe: Classifier, rates: Mapping[int, float], pills: float) -> float:
    """Hours of all epochs, each at its size.

    Args:
        recipe: epochs and sizes.
        rates: images a second by size in pixels; between two sizes an image's seconds are taken for linear in its
            pixels.
        pills: of an epoch.
    """
    low, high = min(rates), max(rates)

    def seconds(size: int) -> float:
        if low == high:
            return 1 / rates[low]
        share = (size**2 - low**2) / (high**2 - low**2)
        return (1 - share) / rates[low] + share / rates[high]

    return sum(seconds(picture_size(recipe, epoch)) for epoch in range(recipe.epochs)) * pills / 3600
