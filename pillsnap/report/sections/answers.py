"""Tables of the report about answers: how far they can be trusted, how fast they are, what the models are worth."""

from pillsnap.pages.html import Table
from pillsnap.report.inputs import Measured
from pillsnap.report.sections import models, trust
from pillsnap.report.sections.verdict import verdicts

TRUST_TARGETS = ("ece", "known_right", "unseen_not_known")


def trust_tables(inputs: Measured) -> dict[str, Table]:
    """Tables of the section on trust."""
    found = {one.key: one for one in verdicts(inputs.targets, inputs.metrics)}
    aims = [found[key] for key in TRUST_TARGETS]
    return {
        "trust_targets": Table(
            "Promises against the test part",
            ("Figure", "#Asked", "#Measured", "Verdict"),
            [(one.label, one.asked, one.measured, one) for one in aims],
        ),
        "ece": Table(
            "Calibration error (ECE)",
            ("Part", "#Pills", "#Before", "#After", "#If perfectly calibrated"),
            trust.ece_rows(inputs),
        ),
        "sets": Table(
            "Prediction sets on the test part",
            ("Promised", "#Held the right drug", "#95 % interval", "#Mean size", "#Sets of one drug", "#Largest"),
            trust.set_rows(trust.tested(inputs)),
        ),
        "words": Table(
            "The three words on the test part",
            ("Word", "Promises", "#Pills", "#Share", "#Named right", "#95 % interval"),
            trust.verdict_rows(inputs),
        ),
        "unseen": Table(
            "Pills of drugs that were held out",
            ("", "#Half for choosing", "#Half for measuring"),
            trust.unseen_rows(inputs),
        ),
        "thresholds": Table(
            "Thresholds, chosen on validation and stored with the models",
            ("Threshold", "#Value", "How"),
            trust.threshold_rows(inputs),
        ),
    }


def speed_tables(inputs: Measured) -> dict[str, Table]:
    """Tables of the section on latency."""
    percentiles = [f"#{mode} {p}" for mode in ("Single", "Combo") for p in models.PERCENTILES]
    return {
        "latency": Table(
            "Milliseconds, one fused graph",
            ("Step", *percentiles),
            models.latency_rows(inputs.latency, models.FUSED_STEPS),
            summed=True,
        ),
        "steps": Table(
            "Milliseconds, the single steps",
            ("Step", *percentiles),
            models.latency_rows(inputs.latency["steps"], models.SINGLE_STEPS),
            summed=True,
        ),
        "devices": Table(
            "Whole answers on every device that works here",
            ("Device", *percentiles),
            models.device_rows(inputs.latency),
        ),
        "side_by_side": Table(
            "Side by side",
            ("Photograph", "Way", "#p50", "#p95", "#p99", "#Times as long"),
            models.side_by_side_rows(inputs.latency),
        ),
        "throughput": Table(
            "Photographs a second, many asked for at once",
            ("Photographs", "#At once", "#A second"),
            models.throughput_rows(inputs.latency),
        ),
    }


def export_tables(inputs: Measured) -> dict[str, Table]:
    """Tables of the section on the delivered models."""
    return {
        "parity": Table(
            "Do the ONNX models answer like PyTorch, and the fused graph like its steps?",
            ("", "#Compared on", "#Largest difference, or share", "#Allowed"),
            models.parity_rows(inputs),
        ),
        "precisions": precision_table(inputs),
    }


def precision_table(inputs: Measured) -> Table:
    """What smaller networks cost and save."""
    return Table(
        "Smaller networks, on validation",
        ("Precision", "#mAP@0.5", "#Top-1", "#Detector", "#Classifier"),
        models.precision_rows(inputs.parity),
    )
