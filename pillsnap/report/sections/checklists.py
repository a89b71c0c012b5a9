"""Checklists before, during and after a run; every line is computed from a file and can fail."""

from collections.abc import Mapping, Sequence
from typing import Any

from pillsnap.pages.formats import count, decimal, figure, listing, percent, plural, tiny
from pillsnap.pages.quarantine import account, quarantined_share
from pillsnap.pages.states import MET, NO_TARGET, UNMEASURED, WARNED, Statement, state_of
from pillsnap.report.facts.parity import map50_difference, top1_difference
from pillsnap.report.facts.splits import leaks
from pillsnap.report.facts.trainings import (
    Training,
    events_of,
    history_of,
    improving,
    milestones,
    resources_of,
    training,
)
from pillsnap.report.facts.trust import tested
from pillsnap.report.facts.verdicts import verdicts
from pillsnap.report.inputs import Inputs
from pillsnap.report.section import Section
from pillsnap.sources.registry import get_kind
from pillsnap.training.milestones import Model
from pillsnap.workflow.rules import RULES

VALIDATED = {"precision", "recall", "map50", "map50_95", "val_top1", "val_top5"}
"""Columns that only an epoch with a validation has."""


def section(inputs: Inputs) -> Section:
    """Statements before, during and after."""
    checks = {
        "Before: machine and data": [*_preflight(inputs.preflight), *_before(inputs)],
        "During: training": _during(inputs),
        "After: export and benchmark": _after(inputs),
    }
    return Section(id="checklists", title="Checklists", values={"checks": checks})


def _preflight(findings: Sequence[Mapping[str, str]]) -> list[Statement]:
    """Findings of `check_machine` before the first photograph was decoded; a refused stage has no report."""
    if not findings:
        return [
            Statement("The machine was checked before the first photograph was decoded", "no record of it", UNMEASURED)
        ]
    return [
        Statement(
            f"Preflight: {one['what']}",
            f"{one['found']}. {one['cure']}" if one["cure"] else one["found"],
            MET if one["verdict"] == "ok" else WARNED,
        )
        for one in findings
    ]


def _before(inputs: Inputs) -> list[Statement]:
    manifest, used, asked = inputs.manifest, inputs.plan["used"], inputs.plan["asked"]
    balances = [account(kind, manifest[kind]) for kind in ("photos", "labels")]
    share = quarantined_share(manifest)
    limit = inputs.config["manifest"]["max_quarantined_fraction"]
    unread = sum(manifest["archives"]["quarantined"].values())
    trained = manifest["splits"]["train"]["classes"]
    within = used["images"] <= asked["images"] and used["classes"] <= asked["classes"]
    return [
        Statement(
            f"Every {one.kind[:-1]} that was read is accounted for",
            f"{count(one.read)} read, {count(one.kept + one.quarantined + one.skipped)} accounted for",
            state_of(one.balances),
        )
        for one in balances
    ] + [
        Statement("Every archive could be opened", f"{plural(unread, 'archive')} could not", state_of(not unread)),
        Statement(
            "The quarantine is within its limit",
            f"{percent(share, 2)} of at most {percent(limit)}",
            state_of(share <= limit),
        ),
        *leaks(manifest),
        Statement(
            "Every drug has a training pill",
            f"{count(trained)} of {plural(len(inputs.classes), 'drug')}",
            state_of(trained == len(inputs.classes)),
        ),
        Statement(
            "The stage stays within its budget",
            f"{plural(used['images'], 'photo')}, {plural(used['classes'], 'drug')}",
            state_of(within),
        ),
    ]


def _during(inputs: Inputs) -> list[Statement]:
    detector, classifier = training(inputs, "detector"), training(inputs, "classifier")
    return [
        _ended("Detector", detector, inputs.detector_history),
        _ended("Classifier", classifier, inputs.classifier_history),
        _fell("detector's box loss", inputs.detector_history, "box_loss"),
        _fell("classifier's loss", inputs.classifier_history, "loss"),
        improving(inputs.detector_history),
        _complete(inputs),
        *_milestones(inputs),
        *_steering(inputs),
        _measured(inputs),
        _one_commit(inputs),
    ]


def _ended(name: str, one: Training, history: Sequence[Mapping[str, float | None]]) -> Statement:
    done = len(history) >= one.asked or (one.best is not None and one.done - one.best >= one.patience)
    how = f"{count(one.done)} of {plural(one.asked, 'epoch')}"
    if done and one.done < one.asked:
        how += f", stopped early (patience {one.patience})"
    return Statement(f"{name}: the training ran to its end", how, state_of(done))


def _fell(name: str, history: Sequence[Mapping[str, float | None]], column: str) -> Statement:
    values = [value for row in history if (value := row[column]) is not None]
    text = f"The {name} fell from the first epoch to the last"
    if len(values) < 2:
        return Statement(text, "too few epochs", state_of(None))
    return Statement(text, f"{values[0]:.3g} → {values[-1]:.3g}", state_of(values[-1] < values[0]))


def _complete(inputs: Inputs) -> Statement:
    gaps = sum(
        value is None
        for model in inputs.models
        for row in history_of(inputs, model)
        for column, value in row.items()
        if column not in VALIDATED or _validated(inputs, model, row)
    )
    return Statement("Every epoch has all figures that it should have", plural(gaps, "gap"), state_of(gaps == 0))


def _validated(inputs: Inputs, model: Model, row: Mapping[str, float | None]) -> bool:
    """Tell whether an epoch has a validation: every few epochs, and the last of a training."""
    last = row["epoch"] == training(inputs, model).done
    return last or (row["epoch"] or 0) % inputs.config[model]["validate_every"] == 0


def _milestones(inputs: Inputs) -> list[Statement]:
    passed = [
        (model, stone) for model in inputs.models for stone in milestones(inputs, model) if stone.value is not None
    ]
    if not passed:
        return []
    recorded = {
        (model, event["epoch"])
        for model in inputs.models
        for event in events_of(inputs, model)
        if event["kind"] == "milestone"
    }
    checked = sum((model, stone.epoch) in recorded for model, stone in passed)
    met = sum((stone.points or 0) >= 0 for _, stone in passed)
    return [
        Statement(
            "Every milestone was checked when its epoch ended",
            f"{checked} of {len(passed)}",
            state_of(checked == len(passed)),
        ),
        Statement("Every milestone was reached at its epoch", f"{met} of {len(passed)}", state_of(met == len(passed))),
    ]


def _steering(inputs: Inputs) -> list[Statement]:
    events = [event for model in inputs.models for event in events_of(inputs, model)]
    called = [event for event in events if event["kind"] == "intervention"]
    short = [event for event in events if event["kind"] == "out_of_memory"]
    applied = sum(event["applied"] for event in called)
    return [
        Statement(
            "No intervention was triggered",
            f"{len(called)} triggered, {applied} applied" if called else "none",
            state_of(not called),
        ),
        Statement("Memory never ran out", plural(len(short), "time") if short else "never", state_of(not short)),
    ]


def _measured(inputs: Inputs) -> Statement:
    samples = [resources_of(inputs, model)["samples"] for model in inputs.models]
    fact = " and ".join(f"{count(number)} ({model})" for number, model in zip(samples, inputs.models, strict=True))
    return Statement("Memory and disk were measured during both trainings", fact, state_of(all(samples) or None))


def _one_commit(inputs: Inputs) -> Statement:
    commits = [part["commit"] for part in (inputs.detector_record, inputs.classifier_record, inputs.resources)]
    hashes = {commit["hash"] for commit in commits}
    dirty = any(commit["dirty"] for commit in commits)
    known = "" not in hashes
    fact = plural(len(hashes), "commit") if known else "commit unknown"
    return Statement(
        "Both trainings and the benchmark come from one commit without local changes",
        fact + (", with local changes" if dirty else ""),
        state_of(known and len(hashes) == 1 and not dirty),
    )


def _after(inputs: Inputs) -> list[Statement]:
    tested = len(inputs.accuracy["by_drug"])
    same_list = inputs.hashes["classes"] in inputs.classifier_record["inputs"].values()
    return [
        Statement(
            "The classifier was trained on this very class list",
            "same SHA-256" if same_list else "another SHA-256",
            state_of(same_list),
        ),
        *_parities(inputs),
        _same_answers(inputs),
        Statement(
            "Every drug has a test pill",
            f"{count(tested)} of {plural(len(inputs.classes), 'drug')}",
            state_of(tested == len(inputs.classes)),
        ),
        _both_domains(inputs.metrics),
        _all_timed(inputs),
        _calibrated(inputs),
        _promises_something(inputs),
        _unseen_measured(inputs),
        *_targets(inputs),
    ]


def _parities(inputs: Inputs) -> list[Statement]:
    allowed, parity = inputs.config["onnx"], inputs.parity
    compared = [
        ("Detector", figure(parity, "detector.max_box_error_px"), "max_box_error", " px"),
        ("Detector", map50_difference(parity), "max_map50_difference", " mAP@0.5"),
        ("Classifier", figure(parity, "classifier.max_logit_error"), "max_logit_error", " in a logit"),
        ("Classifier", top1_difference(parity), "max_top1_difference", " top-1"),
    ]
    return [
        Statement(
            f"{name}: ONNX Runtime answers like PyTorch",
            f"at most {tiny(error)}{unit}, allowed {tiny(allowed[key])}",
            state_of(None if error is None else error <= allowed[key]),
        )
        for name, error, key, unit in compared
    ]


def _same_answers(inputs: Inputs) -> Statement:
    same, least = inputs.parity["fused"]["same_top1"], inputs.config["onnx"]["min_same_answers"]
    fact = f"{percent(same, 2)} of the validation photographs, at least {percent(least, 0)}"
    return Statement("The fused graph answers like the single steps", fact, state_of(same >= least))


def _calibrated(inputs: Inputs) -> Statement:
    error = tested(inputs)["ece"]
    return Statement(
        "Temperature scaling lowered the calibration error on the test part",
        f"ECE {decimal(error['before'], 4)} → {decimal(error['after'], 4)}",
        state_of(None if error["after"] is None else error["after"] <= error["before"]),
    )


def _promises_something(inputs: Inputs) -> Statement:
    chosen, known = inputs.calibration["calibration"], tested(inputs)["verdicts"]["known"]
    promised = chosen["known_from"] is not None
    fact = f"{percent(known['share'])} of the test pills are known" if promised else "no answer is known"
    return Statement("Validation had enough pills to promise known answers", fact, state_of(promised))


def _unseen_measured(inputs: Inputs) -> Statement:
    unseen = tested(inputs)["unseen"]
    fact = plural(unseen["pills"], "pill") if unseen else "no pill of a drug that was held out (plan.unseen_drugs)"
    text = "Answers were asked about drugs that the model never saw"
    return Statement(text, fact, state_of(True if unseen else None))


def _both_domains(metrics: Mapping[str, Any]) -> Statement:
    found = [mode for mode in ("single", "combo") if figure(metrics, f"latency.{mode}.p95_ms") is not None]
    fact = listing(found) if found else "none"
    return Statement("Single and combo photographs were tested and timed", fact, state_of(len(found) == 2))


def _all_timed(inputs: Inputs) -> Statement:
    drawn = any(get_kind(kind).drawn for kind in inputs.sources.values())
    composed = inputs.config["scenes"]["photos"] > 0
    scenes = dict.fromkeys(("cut_pills", "compose_scenes"), composed)
    runs = {"make_synthetic_archive": drawn, "evaluate_detector": False, **scenes}
    wanted = [rule for rule in RULES if runs.get(rule, True)]
    missing = sorted(set(wanted) - {time.rule for time in inputs.times})
    fact = f"no duration of {listing(missing)}" if missing else plural(len(wanted), "rule")
    return Statement("The duration of every rule is known", fact, state_of(not missing))


def _targets(inputs: Inputs) -> list[Statement]:
    asked = [verdict for verdict in verdicts(inputs.targets, inputs.metrics) if verdict.state != NO_TARGET]
    if not asked:
        return []
    met = sum(verdict.state == MET for verdict in asked)
    return [Statement("Every target of the stage is met", f"{met} of {len(asked)}", state_of(met == len(asked)))]
