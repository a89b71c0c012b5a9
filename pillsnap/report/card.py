"""The model card's contents, out of measured figures only; `pillsnap.pages.markdown` and the report write them."""

from collections.abc import Mapping
from typing import Any

from pillsnap.pages.blocks import Code, Section
from pillsnap.pages.box_sources import box_sources
from pillsnap.pages.formats import MISSING, count, figure, percent, plural, size
from pillsnap.pages.states import NO_TARGET, stage_name
from pillsnap.pages.table import Table, code, name, number
from pillsnap.pages.terms import card_paragraphs, titles
from pillsnap.report.facts.drugs import worst_drugs_table
from pillsnap.report.facts.intervals import interval
from pillsnap.report.facts.look_alikes import colours, difference, imprint, mistakes_in_words, shape
from pillsnap.report.facts.parity import precision_table
from pillsnap.report.facts.speed import speed_tables
from pillsnap.report.facts.splits import splits_table
from pillsnap.report.facts.trust import trust_tables
from pillsnap.report.facts.verdicts import verdict_table, verdicts
from pillsnap.report.inputs import Measured

LISTED_DRUGS = 200
"""Drugs that the card lists; all are in `drugs.csv` and in the model's metadata."""
LISTED_PAIRS = 15


def card_title(measured: Measured) -> str:
    """The card's heading."""
    return f"Model card: PillSnap, {stage_name(measured.stage)}"


def card_sections(measured: Measured) -> list[Section]:
    """The card's sections in their order."""
    return [
        _what_it_is(measured),
        _purpose(),
        _training_data(measured),
        _how_right(measured),
        _trust(measured),
        _unseen(measured),
        _failures(measured),
        _speed(measured),
        _files(measured),
        _use(measured),
        _drugs(measured),
    ]


def _what_it_is(measured: Measured) -> Section:
    config, used = measured.config, measured.resources
    rows = [
        ["Classes", f"{plural(len(measured.drugs), 'drug')}, each by its K-code with its EDI codes"],
        ["Input", "one RGB photograph of any size, of one pill (single) or of several (combo)"],
        ["Output", "a box, a word (known, uncertain, unknown) and up to five drugs with probabilities for each pill"],
        ["Detector", f"{config['detector']['model']}, {config['detector']['image_size']} px"],
        ["Classifier", f"{config['classifier']['model']}, {config['classifier']['image_size']} px"],
        ["Format", f"ONNX, opset {measured.parity['opset']}, one graph from photograph to answer"],
        ["Licence", "AGPL-3.0-only"],
        ["Version", used["versions"].get("pillsnap", MISSING)],
        ["Commit", _commit(used["commit"])],
        ["SHA-256 of pipeline.onnx", used["model"]],
    ]
    return Section("Model details", (*card_paragraphs(measured.sources), Table("Facts", ("", "Value"), rows)))


def _commit(commit: Mapping[str, Any]) -> str:
    earlier = " or earlier" if commit.get("shallow") else ""
    return (commit["hash"] or "unknown") + earlier + (" with local changes" if commit["dirty"] else "")


def _purpose() -> Section:
    return Section(
        "Intended use",
        (
            "It is for finding out which drug a loose tablet or capsule may be, as a first hint that a person checks, "
            "and for studying how far such hints can be trusted.",
            (
                "It is no medical device and gives no medical advice.",
                "It is not for deciding what to take, to give or to throw away; ask a pharmacist.",
                "It is not for drugs that it was not trained on, for broken pills, powders, liquids, or for pills in "
                "blisters.",
                "It estimates neither doses nor whether a drug is genuine or fit for use.",
                "Whether a photograph shows one pill or several is an input; the model does not infer it.",
            ),
        ),
    )


def _training_data(measured: Measured) -> Section:
    word = "Source" if len(measured.sources) == 1 else "Sources"
    return Section(
        "Training data",
        (
            f"{word}: {titles(measured.sources)}. The test part was seen by no training and by no choice "
            "of a threshold; views of one capture stand on one side of the split only.",
            *box_sources(measured.manifest),
            splits_table(measured.manifest, "Photographs and pills"),
            *_composed(measured.config["scenes"]),
        ),
    )


def _composed(scenes: Mapping[str, Any]) -> tuple[str, ...]:
    if not scenes["photos"]:
        return ()
    classifier = ", the classifier on crops of their pills" if scenes["crops"] else ""
    return (
        f"The detector was trained on {plural(scenes['photos'], 'composed scene')} besides{classifier}: pills cut out "
        "of training photographs, on other grounds. They are no photographs, and no figure here was measured on them.",
    )


def _how_right(measured: Measured) -> Section:
    shares = [
        ("Classifier top-1", "classifier.top1", "classifier.pills", True),
        ("Classifier top-1, single", "classifier.single.top1", "classifier.single.pills", True),
        ("Classifier top-1, combo", "classifier.combo.top1", "classifier.combo.pills", True),
        ("Classifier top-5", "classifier.top5", "classifier.pills", True),
        ("Classifier macro-F1", "classifier.macro_f1", "classifier.pills", False),
        ("Detector mAP@0.5", "detector.map50", "detector.pills", False),
        ("Detector mAP@0.5:0.95", "detector.map50_95", "detector.pills", False),
        ("Whole answer, single: found and named right", "pipeline.single_correct", "classifier.single.pills", True),
        ("Whole answer, combo: found and named right", "pipeline.combo_correct", "classifier.combo.pills", True),
    ]
    rows = [_share(measured.accuracy, *share) for share in shares]
    aims = [one for one in verdicts(measured.targets, measured.metrics) if one.state != NO_TARGET]
    return Section(
        "Accuracy",
        (
            f"Measured on {plural(measured.accuracy['photos'], 'test photograph')} with the exported ONNX models. The "
            "interval is what the number of pills leaves open (Wilson, 95 %); mAP and F1 are no shares and have none.",
            Table("Test part", ("", number("Pills"), number("Measured"), number("95 % interval")), rows),
            verdict_table("Targets of the stage", aims),
        ),
    )


def _share(accuracy: dict[str, Any], label: str, path: str, pills: str, is_share: bool) -> list[str]:
    value, total = figure(accuracy, path), figure(accuracy, pills)
    return [label, count(total), percent(value, 2), interval(value, total) if is_share else ""]


def _trust(measured: Measured) -> Section:
    tables = trust_tables(measured)
    return Section(
        "Calibration and prediction sets",
        (
            "Temperature and thresholds were chosen on validation and travel with the model. They hold for pills that "
            "are photographed like those of the data; another camera, light or background may break every promise.",
            *(tables[part] for part in ("words", "sets", "ece", "thresholds")),
        ),
    )


def _unseen(measured: Measured) -> Section:
    table = trust_tables(measured)["unseen"]
    title = "Unseen drugs"
    if not table.rows:
        return Section(
            title,
            (
                "Not measured: there is no pill of a drug that was held out, so nothing is known of how it treats "
                "unseen drugs.",
            ),
        )
    return Section(
        title,
        (
            "Some drugs were held out of both trainings. One half of them helped to choose the thresholds, the other "
            "half measures.",
            table,
        ),
    )


def _failures(measured: Measured) -> Section:
    confused = measured.accuracy["confused"]
    pairs = [
        [
            one["true"],
            one["true_name"],
            one["named"],
            one["named_name"],
            count(one["count"]),
            difference(measured.drugs[one["true"]], measured.drugs[one["named"]]).words,
        ]
        for one in confused[:LISTED_PAIRS]
    ]
    said = mistakes_in_words(confused, measured.drugs)
    return Section(
        "Failure modes",
        (
            said or "The classifier made no mistake on the labelled boxes of the test part.",
            worst_drugs_table(measured.accuracy["by_drug"]),
            Table(
                "Drugs that are confused most",
                (
                    code("K-code"),
                    name("Drug"),
                    code("Named as"),
                    name("Drug"),
                    number("Times"),
                    "What tells them apart",
                ),
                pairs,
            ),
        ),
    )


def _speed(measured: Measured) -> Section:
    tables, used = speed_tables(measured), measured.resources
    machine = [
        ["Device", used["device"]],
        ["Threads", count(used["threads"])],
        ["Peak memory of the measurement", size(used["peak_memory_bytes"])],
    ]
    return Section(
        "Speed",
        (
            "One photograph at a time, from the bytes of a file to the answer.",
            Table("Measured on", ("", "Value"), machine),
            tables["latency"],
            tables["devices"],
            tables["throughput"],
        ),
    )


def _files(measured: Measured) -> Section:
    files = [[file, size(value)] for file, value in measured.resources["model_bytes"].items()]
    return Section(
        "Files",
        (
            "`pipeline.onnx` is all that an answer needs. The smaller networks are measured on validation only; all "
            "other figures of this card are those of FP32.",
            Table("Exported files", (code("File"), number("Size")), files),
            precision_table(measured),
        ),
    )


def _use(measured: Measured) -> Section:
    folder = f"results/{measured.stage}/onnx"
    return Section(
        "Usage",
        (
            Code("bash", f"pillsnap predict --models {folder} --mode combo photo.jpg"),
            Code(
                "python",
                "from pillsnap import PillSnap\n\n"
                f'snap = PillSnap.load("{folder}")\n'
                'answer = snap.identify("photo.jpg", "combo")',
            ),
            Code(
                "bash",
                f"pillsnap serve --models {folder}\n"
                "curl -s -F photo=@photo.jpg -F mode=combo http://127.0.0.1:8000/v1/identify",
            ),
        ),
    )


def _drugs(measured: Measured) -> Section:
    rows = [
        [
            k_code,
            drug["drug_name"],
            drug["edi_codes"].replace(",", ", "),
            shape(drug),
            colours(drug),
            imprint(drug),
            count(drug["train_pills"]),
        ]
        for k_code, drug in list(measured.drugs.items())[:LISTED_DRUGS]
    ]
    listed = len(measured.drugs) > LISTED_DRUGS
    said = f"The first {LISTED_DRUGS} of {count(len(measured.drugs))}; all" if listed else "All of them"
    return Section(
        "Classes",
        (
            f"{said} are in `manifest/drugs.csv` and in the metadata of each ONNX file.",
            Table(
                "Drugs",
                (
                    code("K-code"),
                    name("Drug"),
                    code("EDI codes"),
                    "Shape",
                    "Colour",
                    "Imprint",
                    number("Training pills"),
                ),
                rows,
            ),
        ),
    )
