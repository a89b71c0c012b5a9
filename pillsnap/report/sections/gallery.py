"""Pictures of the page, as data URIs."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pillsnap.pages import formats
from pillsnap.pages.html import Picture, data_uri
from pillsnap.report.inputs import Inputs
from pillsnap.report.sections import audit
from pillsnap.report.sections.look_alikes import difference


@dataclass(frozen=True)
class Pair:
    """Two drugs that were confused, and how they differ in words: pictures may be missing."""

    facts: dict[str, Any]
    difference: str
    true: Picture | None
    named: Picture | None


def samples(inputs: Inputs) -> list[Picture]:
    """Sample answers."""
    return [_sample(inputs.examples_folder, sample) for sample in inputs.examples["samples"]]


def _sample(folder: Path, sample: dict[str, Any]) -> Picture:
    # a box that is no pill is wrong too, even where every pill is right
    perfect = sample["right"] == sample["pills"] == sample["answered"]
    boxes = "box" if sample["answered"] == 1 else "boxes"
    right = f"{sample['right']} of {formats.plural(sample['pills'], 'pill')} named right"
    words = f"{right}, {sample['answered']} {boxes} drawn"
    return Picture(
        data_uri((folder / sample["file"]).read_bytes()),
        f"Test photograph {sample['image_id']} with the boxes of the answer: {words}.",
        f"{sample['domain'].capitalize()}: {words}",
        "right" if perfect else "wrong",
    )


def pairs(inputs: Inputs) -> list[Pair]:
    """Drugs that were confused."""
    folder = inputs.examples_folder
    return [
        Pair(
            pair,
            difference(inputs.drugs[pair["true"]], inputs.drugs[pair["named"]]).words,
            _crop(folder, pair["true_file"], f"A pill of {pair['true_name']} that was taken for another drug"),
            _crop(folder, pair["named_file"], f"A pill of {pair['named_name']}, for comparison"),
        )
        for pair in inputs.examples["confused"]
    ]


def findings(inputs: Inputs) -> dict[str, list[Picture]]:
    """Photographs of the label audit by the name of the kind of finding."""
    return {
        word: [
            _finding(inputs.audit_folder / name, rows)
            for name, rows in inputs.drawn_findings.items()
            if rows[0]["kind"] == kind
        ]
        for kind, word in audit.KINDS.items()
    }


def _finding(path: Path, rows: Sequence[dict[str, str]]) -> Picture:
    said = audit.words_of(rows)
    words = f"Photograph {rows[0]['image_id']}, {audit.KINDS[rows[0]['kind']].lower()}. {said}."
    return Picture(data_uri(path.read_bytes()), words, said)


def _crop(folder: Path, name: str | None, words: str) -> Picture | None:
    return Picture(data_uri((folder / name).read_bytes()), words, words) if name else None
