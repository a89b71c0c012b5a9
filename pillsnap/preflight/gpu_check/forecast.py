"""Forecast the hours of a stage from measured rates, and advise a batch."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pillsnap.classifier.epoch_order import picture_size
from pillsnap.config.config import Config
from pillsnap.config.training import Classifier
from pillsnap.cuda import cuda_driver
from pillsnap.preflight.gpu_check.rows import Row, Verdict

if TYPE_CHECKING:  # they bring pandas, which a check of the GPU does without
    from pillsnap.preflight.amounts import Amounts
    from pillsnap.preflight.gpu_check.rule_hours import RuleHours

Figures = Mapping[str, Any]


def forecast(config: Config, stage: str, rows: Sequence[Row]) -> Iterator[Row]:
    """Hours of each rule by the rates that `rows` measured, or by a stage that is finished here; and of the classifier
    with the batch that trained fastest."""
    from pillsnap.preflight.amounts import estimate_amounts
    from pillsnap.preflight.gpu_check.rule_hours import data_hours, forecast_rules

    amounts, figures = estimate_amounts(config, stage), [row.figures for row in rows]
    hours = data_hours(amounts, figures, threads=config.threads) | gpu_hours(config, amounts, figures)
    yield from forecast_rules(config, stage, hours)
    yield from _advice(config.classifier, amounts.trained_pills * (1 - config.plan.val_fraction), figures)


def gpu_hours(config: Config, amounts: "Amounts", figures: Sequence[Figures]) -> dict[str, "RuleHours"]:
    """Hours of both trainings and of the calibration, as far as their rates were measured."""
    from pillsnap.preflight.gpu import choose_batches, with_batches
    from pillsnap.preflight.gpu_check.rule_hours import RuleHours, calibration_crops

    hours, val = {}, config.plan.val_fraction
    recipe = with_batches(config, choose_batches(cuda_driver(), amounts, config)).classifier
    for each in figures:
        if each.get("model") == "detector":
            seconds = config.detector.epochs * amounts.detector_photos * (1 - val) / each["images_per_second"]
            hours["train_detector"] = RuleHours(seconds / 3600, "this check, validations included")
    validating = _first(figures, "validation_images_per_second")
    if calibrating := _first(figures, "calibration_images_per_second"):
        crops = calibration_crops(amounts) + amounts.trained_pills * val
        hours["calibrate_answers"] = RuleHours(crops / calibrating / 3600, "this check, both networks alone")
    rates = _rates(figures, recipe, recipe.global_batch_size, recipe.compile)
    compiled = ""
    if not rates:
        rates = _rates(figures, recipe, recipe.global_batch_size, False)
        compiled = ", uncompiled"
    if rates:
        training = classifier_hours(recipe, rates, amounts.trained_pills * (1 - val))
        validations = math.ceil(recipe.epochs / recipe.validate_every) * amounts.trained_pills * val
        training += validations / validating / 3600 if validating else 0.0
        validated = f"validations {'included' if validating else 'left out'}"
        by = f"this check, batch {recipe.global_batch_size}{compiled}, {validated}"
        hours["train_classifier"] = RuleHours(training, by)
    return hours


def _first(figures: Sequence[Figures], name: str) -> float | None:
    return next((each[name] for each in figures if name in each), None)


def _rates(figures: Sequence[Figures], recipe: Classifier, batch: int, compiled: bool | str) -> dict[int, float]:
    """The classifier's images a second by size in pixels, no more than its loader gives; none where the recipe's last
    size was not measured."""
    loader = _first(figures, "loader_images_per_second") or math.inf
    found = {
        each["size"]: min(loader, each["images_per_second"])
        for each in figures
        if each.get("batch") == batch and each.get("compiled") == compiled
    }
    return found if recipe.image_size in found else {}


def _advice(recipe: Classifier, pills: float, figures: Sequence[Figures]) -> Iterator[Row]:
    """The batch of the highest rate, with its hours and learning rate, beside the reference batch."""
    plain = [each for each in figures if each.get("compiled") is False]
    reference = recipe.global_batch_size
    for batch, words in ((reference, "the recipe's batch"), (fastest_batch(plain, recipe), "the fastest batch")):
        if rates := _rates(figures, recipe, batch, False):
            hours = classifier_hours(recipe, rates, pills)
            rate = recipe.learning_rate * math.sqrt(batch / reference)
            text = f"{hours:,.1f} h for {recipe.epochs} epochs; learning rate by the square root rule {rate:.2g}"
            values = {"hours": hours, "batch": batch, "learning_rate": rate, "pills": pills}
            yield Row(f"classifier, {words} {batch}", text, "", Verdict.ok, figures=values)


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
