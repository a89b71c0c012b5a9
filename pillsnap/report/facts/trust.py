"""Calibration, prediction sets and unseen drugs: promises, and what the test part shows."""

from collections.abc import Mapping
from typing import Any

from pillsnap.pages.formats import MISSING, count, decimal, figure, percent
from pillsnap.pages.table import Rows, Table, number
from pillsnap.report.facts.intervals import interval
from pillsnap.report.facts.verdicts import verdict_table, verdicts
from pillsnap.report.inputs import Measured

TARGETS = ("ece", "known_right", "unseen_not_known")
VERDICTS = ("known", "uncertain", "unknown")
NOTHING: dict[str, Any] = {
    "pills": 0,
    "ece": {"before": None, "after": None, "by_chance": None, "chance_95": None},
    "sets": {},
    "verdicts": {word: {"pills": 0, "share": None, "right": None} for word in VERDICTS},
    "unseen": None,
}
"""What `calibration_metrics` gives without any pill."""


def tested(inputs: Measured) -> Mapping[str, Any]:
    """Figures of the answered pills of the test part, `NOTHING` where there is none."""
    return inputs.accuracy["trust"] or NOTHING


def trust_tables(inputs: Measured) -> dict[str, Table]:
    """Tables of the report's section on trust and of the model card, by name."""
    found = {one.key: one for one in verdicts(inputs.targets, inputs.metrics)}
    return {
        "trust_targets": verdict_table("Promises against the test part", [found[key] for key in TARGETS]),
        "ece": Table(
            "Calibration error (ECE)",
            (
                "Part",
                number("Pills"),
                number("Before"),
                number("After"),
                number("If perfectly calibrated"),
                number("95 % of these below"),
            ),
            ece_rows(inputs),
        ),
        "sets": Table(
            "Prediction sets on the test part",
            (
                "Promised",
                number("Held the right drug"),
                number("95 % interval"),
                number("Mean size"),
                number("Sets of one drug"),
                number("Largest"),
            ),
            set_rows(tested(inputs)),
        ),
        "words": Table(
            "The three words on the test part",
            ("Word", "Promises", number("Pills"), number("Share"), number("Named right"), number("95 % interval")),
            verdict_rows(inputs),
        ),
        "unseen": Table(
            "Pills of drugs that were held out",
            ("", number("Half for choosing"), number("Half for measuring")),
            unseen_rows(inputs),
        ),
        "thresholds": Table(
            "Thresholds, chosen on validation and stored with the models",
            ("Threshold", number("Value"), "How"),
            threshold_rows(inputs),
        ),
    }


def ece_rows(inputs: Measured) -> Rows:
    """Calibration error before and after the temperature, on validation and test."""
    parts = (("Validation", inputs.calibration["validation"] or NOTHING), ("Test", tested(inputs)))
    return [
        [
            word,
            count(part["pills"]),
            *(decimal(part["ece"][name], 4) for name in ("before", "after", "by_chance", "chance_95")),
        ]
        for word, part in parts
    ]


def set_rows(trust: Mapping[str, Any]) -> Rows:
    """Prediction sets by promised coverage: how many held the right drug, and how large they are."""
    return [
        [
            percent(float(promised), 0),
            percent(found["covered"], 2),
            interval(found["covered"], trust["pills"]),
            decimal(found["mean_size"]),
            percent(found["single"]),
            count(found["largest"]),
        ]
        for promised, found in trust["sets"].items()
    ]


def verdict_rows(inputs: Measured) -> Rows:
    """The three words: what each promises, and how many test pills got it and were named right."""
    promised, found = inputs.calibration["calibration"], tested(inputs)["verdicts"]
    words = {
        "known": f"at least {percent(promised['precision'], 0)} are right"
        if promised["known_from"] is not None
        else "nothing: validation has too few pills to show it, so no answer is known",
        "uncertain": f"{percent(promised['coverage'], 0)} of all sets hold the right drug",
        "unknown": f"at most {percent(1 - promised['kept'], 0)} of the pills of trained drugs"
        + ("; ✗ here more" if (found["unknown"]["share"] or 0) > 1 - promised["kept"] else ""),
    }
    return [
        [
            word.capitalize(),
            words[word],
            count(found[word]["pills"]),
            percent(found[word]["share"]),
            percent(found[word]["right"], 2),
            interval(found[word]["right"], found[word]["pills"]),
        ]
        for word in VERDICTS
    ]


def unseen_rows(inputs: Measured) -> Rows:
    """Pills of drugs that were held out, of both halves: the one that chose thresholds, and the one that measures."""
    halves = [part["unseen"] or {} for part in (inputs.calibration["validation"] or NOTHING, tested(inputs))]
    if not any(halves):
        return []
    shares = [
        ("Rejected by relative distance, at 95 % of trained drugs kept", "caught_at_95_kept"),
        *((f"Called {word}", f"verdicts.{word}.share") for word in VERDICTS),
        ("Not called known", "not_known"),
    ]
    return [
        ["Pills", *(count(figure(half, "pills")) for half in halves)],
        ["AUROC by relative distance", *(decimal(figure(half, "auroc"), 4) for half in halves)],
        ["AUROC by probability", *(decimal(figure(half, "auroc_of_probability"), 4) for half in halves)],
        *([label, *(percent(figure(half, path), 2) for half in halves)] for label, path in shares),
    ]


def threshold_rows(inputs: Measured) -> Rows:
    """Thresholds chosen on validation, and the rule that chose each."""
    chosen, asked = inputs.calibration["calibration"], inputs.config["answers"]
    chosen_as = (
        f"with the most known pills, at most {percent(asked['known'], 0)}, at which validation still shows "
        f"{percent(asked['precision'], 0)} right, with {percent(asked['confidence'], 0)} confidence"
    )
    if (inputs.calibration["validation"] or NOTHING)["unseen"]:
        chosen_as += f", and at most {percent(asked['unseen_known'], 0)} of the held-out pills known"
    sets = [
        [
            f"In the set of {percent(float(promised), 0)} from probability",
            decimal(least, 4),
            "split conformal: as many right drugs of validation reach it",
        ]
        for promised, least in chosen["set_from"].items()
    ]
    known, blank = chosen["known_from"] is not None, []
    if known and chosen["blank_within"] is not None:
        blank = [["where no imprint is read", decimal(chosen["blank_within"]), "chosen with both"]]
    return [
        ["Temperature", decimal(chosen["temperature"], 4), "least negative log-likelihood"],
        ["Known from probability", decimal(chosen["known_from"], 4), chosen_as],
        [
            "Known below relative distance",
            decimal(chosen["known_within"]) if known else MISSING,
            "chosen with the probability",
        ],
        *blank,
        [
            "Unknown from relative distance",
            decimal(chosen["unknown_from"]),
            f"{percent(asked['kept'], 0)} of the validation pills lie below",
        ],
        *sets,
    ]
