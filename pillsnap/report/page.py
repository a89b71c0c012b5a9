"""The page: facts and charts in their order, as one self-contained HTML file."""

from collections.abc import Sequence

import yaml

from pillsnap.pages import formats, quarantine, states
from pillsnap.pages.blocks import kind_of
from pillsnap.pages.drawing import Figure
from pillsnap.pages.html import Table, render
from pillsnap.report.card import card_sections
from pillsnap.report.inputs import Inputs
from pillsnap.report.sections import audit, facts, gallery, look_alikes, trainings, trust, verdict
from pillsnap.report.sections.answers import export_tables, speed_tables, trust_tables
from pillsnap.report.sections.checklist import checklists, leaks

LISTED_DRUGS = 200
"""Drugs that the page lists, worst first."""


def render_page(inputs: Inputs, figures: Sequence[Figure]) -> str:
    """The page's HTML; the same inputs give the same text."""
    found = verdict.verdicts(inputs.targets, inputs.metrics)
    return render(
        "report/template.html.jinja",
        source=inputs.source_kind,
        page="report",
        figures=figures,
        inputs=inputs,
        stage=states.stage_name(inputs.stage),
        headline=verdict.headline(inputs.stage, found),
        tiles=_tiles(inputs, found),
        accounts=[quarantine.account(kind, inputs.manifest[kind]) for kind in ("photos", "labels")],
        verdicts={one.key: one for one in found},
        tables=_tables(inputs, found),
        checks=checklists(inputs),
        tested=trust.tested(inputs),
        top1_interval=facts.top1_interval(inputs.accuracy),
        never_seen=formats.never_seen(inputs.manifest["unseen"]),
        quarantine_share=quarantine.quarantined_share(inputs.manifest),
        estimated_seconds=trainings.estimated_seconds(inputs),
        longest=max(inputs.times, key=lambda time: time.seconds, default=None),
        samples=gallery.samples(inputs),
        pairs=gallery.pairs(inputs),
        card=[(one.title, [(kind_of(block), block) for block in one.blocks]) for one in card_sections(inputs)],
        mistakes=look_alikes.mistakes_in_words(inputs.accuracy["confused"], inputs.drugs),
        findings=gallery.findings(inputs),
        config=yaml.safe_dump(inputs.config, allow_unicode=True, sort_keys=False),
    )


def _tiles(inputs: Inputs, found: Sequence[verdict.Verdict]) -> list[dict[str, str]]:
    """The four figures that a hurried reader takes away."""
    by_key = {one.key: one for one in found}
    whole = formats.figure(inputs.metrics, "pipeline.combo_correct")
    shown = [
        ("Drug named right", "classifier top-1", "top1"),
        ("Detection", "mAP@0.5", "map50"),
        ("Answer time", "p95, slower domain", "p95_ms"),
    ]
    tiles = [
        {
            "title": title,
            "value": by_key[key].measured,
            "note": note,
            "asked": by_key[key].asked,
            "state": by_key[key].state,
        }
        for title, note, key in shown
    ]
    combo = {
        "title": "Combo pills right",
        "value": formats.percent(whole, 2),
        "note": "found and named",
        "asked": "",
        "state": states.NO_TARGET,
    }
    return [*tiles[:2], combo, tiles[2]]


def _tables(inputs: Inputs, found: Sequence[verdict.Verdict]) -> dict[str, Table]:
    return (
        _verdict_tables(inputs, found)
        | _data_tables(inputs)
        | _training_tables(inputs)
        | _model_tables(inputs)
        | trust_tables(inputs)
        | speed_tables(inputs)
        | export_tables(inputs)
        | _provenance_tables(inputs)
    )


def _verdict_tables(inputs: Inputs, found: Sequence[verdict.Verdict]) -> dict[str, Table]:
    success = verdict.success(found, inputs.detector_history)
    return {
        "verdicts": Table(
            "Targets on the test part",
            ("Figure", "#Asked", "#Measured", "Verdict"),
            [(one.label, one.asked or formats.MISSING, one.measured, one) for one in found],
        ),
        "success": Table(
            "Does the stage succeed?",
            ("Statement", "Measured", "Verdict"),
            [(one.text, one.fact, one) for one in success],
        ),
        "forecasts": Table(
            "Against the forecasts made before",
            ("Figure", "#Conservative", "#Realistic", "#Optimistic", "#Measured", "Reached"),
            verdict.forecasts(inputs.stage, inputs.metrics),
        ),
        "budget": Table("Budget of the stage", ("", "#Asked, at most", "#Used", "#Share"), facts.budget(inputs.plan)),
    }


def _data_tables(inputs: Inputs) -> dict[str, Table]:
    outcomes = {
        outcome: [
            (reason.name, formats.count(reason.photos), formats.count(reason.labels), reason.meaning)
            for reason in quarantine.reasons(inputs.manifest, outcome)
        ]
        for outcome in ("quarantined", "skipped")
    }
    columns = ("archive", "member", "label_member", "reason", "detail")
    reason_head = ("@Reason", "#Photos", "#Labels", "Meaning")
    return {
        "splits": Table(
            "What is on each side of the split",
            ("", "#Photos", "#Pills", "#Single", "#Combo", "#Capture groups", "#Drugs"),
            facts.splits(inputs.manifest),
            summed=True,
        ),
        "leaks": Table(
            "Audit of the split",
            ("", "#Found", "Verdict"),
            [
                *((one.text, one.fact, one) for one in leaks(inputs.manifest)),
                *(
                    (f"Near-duplicate pairs: {sides.lower()}", formats.count(pairs), photos)
                    for sides, pairs, photos in facts.near_duplicates(inputs.manifest)
                ),
            ],
        ),
        "quarantined": Table("What each reason means", reason_head, outcomes["quarantined"]),
        "skipped": Table("Skipped, nothing wrong with them", reason_head, outcomes["skipped"]),
        "repaired": Table("Repaired and kept", ("@Repair", "#Rows", "Meaning"), quarantine.repairs(inputs.manifest)),
        "quarantine": Table(
            f"First {len(inputs.first_quarantined)} of {formats.plural(inputs.quarantined, 'row')}",
            ("@Archive", "@Photo", "@Label", "@Reason", "Detail"),
            [[row[column] for column in columns] for row in inputs.first_quarantined],
        ),
    }


def _training_tables(inputs: Inputs) -> dict[str, Table]:
    both = ("", "#Detector", "#Classifier")
    return {
        "training": Table("Both trainings", ("", "Detector", "Classifier"), trainings.training_rows(inputs)),
        "milestones": Table(
            "Milestones, when their epoch ended",
            ("Milestone", "#Asked", "#Reached", "Ahead or behind", "Verdict"),
            trainings.milestone_rows(inputs),
        ),
        "steering": Table(
            "What steering said and did",
            ("Training", "#After epoch", "What", "Said", "Effect"),
            trainings.steering_rows(inputs),
        ),
        "taken": Table("What the trainings took", both, trainings.taken_rows(inputs)),
        "estimate": Table(
            "Estimate for the whole budget of the stage", both, trainings.estimate_rows(inputs), summed=True
        ),
    }


def _model_tables(inputs: Inputs) -> dict[str, Table]:
    return {
        "found": Table(
            "What the detector finds",
            ("Part", "#Pills", "#Found", "#Mean IoU", "#Extra boxes per photo"),
            facts.found_rows(inputs),
        ),
        "audit": Table(
            "Where detector and labels disagree",
            ("Finding", "#All", "#Training", "#Validation", "#Single", "#Combo", "#Partly labelled"),
            audit.count_rows(inputs.audit),
        ),
        "findings": Table(
            f"First {len(inputs.first_findings)} of {formats.plural(audit.findings(inputs.audit), 'finding')}",
            ("Finding", "@Archive", "@Photo", "@K-code", "@Named, not labelled", "#Score", "#Best IoU"),
            audit.finding_rows(inputs.first_findings),
        ),
        "domains": Table(
            "Classifier on labelled boxes of the test part",
            ("", "#Pills", "#Top-1", "#Top-5", "#Macro-F1"),
            facts.domain_rows(inputs.accuracy),
        ),
        "worst": Table(
            "Drugs that are named wrong most often",
            ("@K-code", "*Drug", "#Test pills", "#Top-1", "#95 % interval"),
            facts.worst_drugs(inputs.accuracy["by_drug"]),
        ),
        "by_drug": Table(
            _first("drug", LISTED_DRUGS, len(inputs.accuracy["by_drug"])) + ", worst first",
            ("@K-code", "*Drug", "#Test pills", "#Top-1", "#95 % interval", "Shape", "Colour", "Imprint"),
            look_alikes.drug_rows(inputs.accuracy["by_drug"], inputs.drugs, LISTED_DRUGS),
        ),
        "pipeline": Table(
            "Whole answers, pill by pill",
            ("Photographs", "#Found", "#Found and named right", "#Extra boxes per photo"),
            facts.pipeline_rows(inputs.metrics),
        ),
    }


def _first(word: str, shown: int, number: int) -> str:
    return (
        f"All {formats.plural(number, word)}" if number <= shown else f"First {shown} of {formats.plural(number, word)}"
    )


def _provenance_tables(inputs: Inputs) -> dict[str, Table]:
    return {
        "made_by": Table("Code, seed and device", ("Part", "@Commit", "#Seed", "Device"), facts.made_by(inputs)),
        "machine": Table("Machine and models", ("", "#Value"), facts.machine_rows(inputs)),
        "versions": Table("Versions", ("Package", "@Version"), list(inputs.resources["versions"].items())),
        "times": Table(
            "Time and memory of every rule",
            ("@Rule", "#Jobs", "#Time", "#Processor time", "#Peak memory"),
            facts.time_rows(inputs),
            summed=True,
        ),
        "hashes": Table("SHA-256 of inputs", ("Input", "@SHA-256"), facts.input_hashes(inputs)),
    }
