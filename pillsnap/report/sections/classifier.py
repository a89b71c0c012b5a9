"""Classifier: accuracy by domain and by drug, and the drugs that are confused."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import altair as alt

from pillsnap.pages.drawing import BLUE, DESCRIPTION, INK, SHARE, Figure, chart, draw
from pillsnap.pages.formats import count, figure, percent, plural
from pillsnap.pages.html import Picture, data_uri
from pillsnap.pages.table import Rows, Table, code, name, number
from pillsnap.report.facts.drugs import accuracy_cells, worst_drugs_table, worst_first
from pillsnap.report.facts.look_alikes import Drug, colours, difference, imprint, mistakes_in_words, shape
from pillsnap.report.inputs import Inputs
from pillsnap.report.section import Section

LISTED_DRUGS = 200
"""Drugs that are listed, worst first."""


@dataclass(frozen=True)
class Pair:
    """Two drugs that were confused, and how they differ in words: pictures may be missing."""

    facts: dict[str, Any]
    difference: str
    true: Picture | None
    named: Picture | None


def section(inputs: Inputs) -> Section:
    """Accuracy of the classifier on the labelled boxes of the test part."""
    by_drug = inputs.accuracy["by_drug"]
    listed = plural(len(by_drug), "drug")
    listed = f"All {listed}" if len(by_drug) <= LISTED_DRUGS else f"First {LISTED_DRUGS} of {listed}"
    return Section(
        id="classifier",
        title="Classifier",
        tables={
            "domains": Table(
                "Classifier on labelled boxes of the test part",
                ("", *map(number, ("Pills", "Top-1", "Top-5", "Macro-F1"))),
                _domain_rows(inputs.accuracy),
            ),
            "worst": worst_drugs_table(by_drug),
            "by_drug": Table(
                f"{listed}, worst first",
                (
                    code("K-code"),
                    name("Drug"),
                    *map(number, ("Test pills", "Top-1", "95 % interval")),
                    *("Shape", "Colour", "Imprint"),
                ),
                drug_rows(by_drug, inputs.drugs, LISTED_DRUGS),
            ),
        },
        figures=[_accuracy_by_drug(by_drug)],
        values={
            "pairs": _pairs(inputs),
            "mistakes": mistakes_in_words(inputs.accuracy["confused"], inputs.drugs),
        },
    )


def _domain_rows(accuracy: Mapping[str, Any]) -> Rows:
    """The classifier's figures: all test pills, single, combo."""
    rows = []
    for word, path in (("All test pills", ""), ("Single", "single."), ("Combo", "combo.")):
        shares = [percent(figure(accuracy, f"classifier.{path}{name}"), 2) for name in ("top1", "top5", "macro_f1")]
        rows.append([word, count(figure(accuracy, f"classifier.{path}pills")), *shares])
    return rows


def drug_rows(by_drug: Sequence[Mapping[str, Any]], drugs: Mapping[str, Drug], at_most: int) -> Rows:
    """The drugs of the test part, worst first: pills, top-1 with its interval, and how each looks."""
    shown = [(one, drugs[one["k_code"]]) for one in worst_first(by_drug)[:at_most]]
    return [[*accuracy_cells(one), shape(drug), colours(drug), imprint(drug)] for one, drug in shown]


def _pairs(inputs: Inputs) -> list[Pair]:
    """Drugs that were confused, each with a crop."""
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


def _crop(folder: Path, name: str | None, words: str) -> Picture | None:
    return Picture(data_uri((folder / name).read_bytes()), words, words) if name else None


def _accuracy_by_drug(by_drug: Sequence[Mapping[str, Any]]) -> Figure | None:
    if not by_drug:
        return None
    # a share just below a tenth by rounding, such as 0.7 * 10 = 6.999…, belongs to the bin it names
    bins = [sum(min(int(drug["top1"] * 10 + 1e-9), 9) == place for drug in by_drug) for place in range(10)]
    rows = [
        {
            "from": place / 10,
            "middle": place / 10 + 0.05,
            "to": (place + 1) / 10,
            "drugs": number,
            "text": count(number) if number else "",
            "description": f"Top-1 {place * 10} to {place * 10 + 10} %: {plural(number, 'drug')}",
        }
        for place, number in enumerate(bins)
    ]
    drugs = alt.Y("drugs:Q", title="Drugs", axis=alt.Axis(tickMinStep=1, tickCount=5, format=",d"))
    top1 = {"title": "Top-1 of a drug", "axis": alt.Axis(format=".0%", tickCount=5, grid=False), "scale": SHARE}
    columns = chart(rows).mark_bar(color=BLUE, binSpacing=3)
    columns = columns.encode(x=alt.X("from:Q", **top1), x2="to:Q", y=drugs, y2=alt.datum(0), description=DESCRIPTION)
    numbers = chart(rows).mark_text(dy=-7, color=INK, fontSize=12)
    numbers = numbers.encode(x=alt.X("middle:Q", **top1), y=drugs, text="text:N")
    right = sum(drug["top1"] == 1 for drug in by_drug)
    words = f"Histogram of each drug's top-1; {count(right)} of {plural(len(by_drug), 'drug')} are always named right."
    return draw("accuracy_by_drug", "Drugs by their accuracy", words, [columns, numbers])
