"""Hours of a stage's rules: by rates that this check measured, or by a finished stage of this machine."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path
from typing import Any

from pillsnap.config.config import Config
from pillsnap.hardware import cores, usable_threads
from pillsnap.preflight.amounts import Amounts, estimate_amounts
from pillsnap.preflight.gpu_check.rows import Row, Verdict
from pillsnap.preflight.memory import CROPS_PER_DRUG
from pillsnap.report.rule_times import RuleTime, rule_times
from pillsnap.sources.registry import get_kind
from pillsnap.workflow.rules import RULES


@dataclass(frozen=True)
class RuleHours:
    """Hours of a rule, and by what they were found."""

    hours: float
    by: str


def calibration_crops(amounts: Amounts) -> float:
    """Crops that `calibrate_answers` fits the drug space on."""
    return min(amounts.trained_pills, amounts.drugs * CROPS_PER_DRUG)


GROWS_WITH: Mapping[str, Callable[[Amounts], float]] = {
    "prepare_archive": attrgetter("photos"),
    "build_manifest": attrgetter("pills"),
    "write_dataset_page": attrgetter("photos"),
    "build_yolo_dataset": attrgetter("detector_photos"),
    "detect_pills": attrgetter("photos"),
    "audit_labels": attrgetter("pills"),
    "cut_crops": attrgetter("trained_pills"),
    "calibrate_answers": calibration_crops,
    "run_benchmark": attrgetter("photos"),
    "measure_references": attrgetter("drugs"),
}
"""What a rule's time is taken to grow with. The others, such as the index of all labels or the export, take about as
long in every stage."""
RESUMED = {"train_detector", "train_classifier"}
"""Rules whose last duration may be that of their training's end alone."""


def rules_of(config: Config) -> list[str]:
    """Rules of a stage that ends with the report; the pages' own are not timed."""
    drawn = any(get_kind(source.kind).drawn for source in config.named_sources.values())
    left_out = {"evaluate_detector"}
    left_out |= set() if drawn else {"make_synthetic_archive"}
    left_out |= set() if config.scenes.photos else {"cut_pills", "compose_scenes"}
    return [rule for rule in RULES if rule not in left_out]


def scaled_hours(config: Config, stage: str) -> dict[str, RuleHours]:
    """Hours of each rule that some stage's logs have the duration of, in proportion to the stages' amounts; of several
    stages the largest counts. Jobs of one rule are taken to run on all cores side by side.

    Args:
        config: of both stages; that the finished one was made with the same recipe is not checked.
        stage: that is forecast.
    """
    hours: dict[str, RuleHours] = {}
    target = estimate_amounts(config, stage)
    stages = sorted(type(config.stages).model_fields, key=lambda name: getattr(config.stages, name).images)
    for name in stages:
        amounts = estimate_amounts(config, name)
        times = rule_times(Path(config.pathvars.logs), name)
        for time in [each for each in times if each.rule not in RESUMED]:
            grows = GROWS_WITH.get(time.rule)
            factor = grows(target) / max(1.0, grows(amounts)) if grows else 1.0
            hours[time.rule] = RuleHours(_elapsed(time) * factor / 3600, f"{name} in {config.pathvars.logs}, scaled")
    return hours


def _elapsed(time: RuleTime) -> float:
    return time.seconds / min(time.jobs, cores())


def data_hours(amounts: Amounts, figures: Sequence[Mapping[str, Any]], *, threads: int) -> dict[str, RuleHours]:
    """Hours of the rules whose work on a photograph `check_data` measured: `prepare_archive` has jobs for all cores,
    `cut_crops` so many `threads`."""
    work = {"prepare_archive": amounts.photos / cores(), "cut_crops": amounts.trained_pills / usable_threads(threads)}
    return {
        each["rule"]: RuleHours(work[each["rule"]] / each["each_second"] / 3600, "this check, pictures alone")
        for each in figures
        if each.get("rule") in work
    }


def forecast_rules(config: Config, stage: str, measured: Mapping[str, RuleHours]) -> Iterator[Row]:
    """A row for each rule of the stage, and one of their sum.

    Args:
        config: settings.
        stage: its name.
        measured: hours by rates of this check; they count more than those of an earlier stage.
    """
    found = scaled_hours(config, stage) | dict(measured)
    rules = rules_of(config)
    for rule in rules:
        if rule in found:
            text = f"{_in_words(found[rule].hours)} ({found[rule].by})"
            yield Row(f"forecast: {rule}", text, "", Verdict.ok, figures={"hours": found[rule].hours})
        else:
            scaled = "make a smaller stage with these settings first: its durations are scaled"
            cure = "see its check above" if rule in RESUMED else scaled
            yield Row(f"forecast: {rule}", "not measured", "", Verdict.not_checked, cure)
    missing = [rule for rule in rules if rule not in found]
    hours = sum(found[rule].hours for rule in rules if rule in found)
    text = f"{_in_words(hours)}, one rule after the other"
    text += f"; not measured: {', '.join(missing)}" if missing else ""
    verdict = Verdict.not_checked if missing else Verdict.ok
    figures = {"hours": hours, "not_measured": missing}
    yield Row(f"forecast: {stage}", text, "", verdict, "" if not missing else "see the rows above", figures)


def _in_words(hours: float) -> str:
    return f"{hours:,.1f} h" if hours >= 1 else f"{hours * 60:,.1f} min"
