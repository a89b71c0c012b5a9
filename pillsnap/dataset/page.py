"""The dataset page: facts, charts and pictures in their order, as one self-contained HTML file."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from pillsnap.dataset.charts import VIEW_TITLES, all_figures
from pillsnap.dataset.facts.balance import extremes
from pillsnap.dataset.facts.boxes import QUANTILES, BoxFacts
from pillsnap.dataset.facts.composed import Composed
from pillsnap.dataset.facts.counts import PartCount
from pillsnap.dataset.facts.gather import Facts, gather_facts
from pillsnap.dataset.gallery import class_pictures, contact_sheets, overlap_pictures
from pillsnap.dataset.quarantine import Example, quarantine_examples
from pillsnap.dataset.stage_data import DOMAINS, PARTS, StageData
from pillsnap.pages import html
from pillsnap.pages.box_sources import box_sources
from pillsnap.pages.formats import backgrounds, boxes_alone, count, decimal, listing, never_seen, percent, plural
from pillsnap.pages.html import Picture, data_uri
from pillsnap.pages.quarantine import account, outcome_tables, quarantined_share, reasons
from pillsnap.pages.sources import sources_table
from pillsnap.pages.states import stage_name
from pillsnap.pages.table import Table, code, name, number
from pillsnap.sources.registry import get_kind
from pillsnap.tables.classes import DrugClass

SHOWN_ROWS = 15
"""Most rows of a table of drugs, codes or photo sizes."""


def render_page(
    data: StageData,
    *,
    stage: str,
    sources: Mapping[str, str],
    source_of: Mapping[str, str],
    prepared: Sequence[Path],
    raw: Mapping[str, str],
    hashes: Mapping[str, str],
    overlaps: pd.DataFrame,
    composed: Composed | None,
) -> str:
    """The page's HTML; the same inputs give the same text.

    Args:
        data, overlaps, composed: read files of `write_dataset_page`, whose other arguments are passed on.
        hashes: SHA-256 by file name of what the page is made from.
    """
    facts = gather_facts(data)
    most, fewest = extremes(facts.drugs)
    fractions = {archive for archive, name in source_of.items() if get_kind(sources[name]).box_fractions}
    examples = quarantine_examples(data.quarantine, raw, fractions=fractions)
    return html.render_page(
        "dataset/page.html.jinja",
        sources=sources,
        page="page",
        figures=all_figures(facts, data.summary),
        stage=stage_name(stage),
        facts=facts,
        total=facts.parts[-1],
        tiles=_tiles(facts, data),
        views=list(VIEW_TITLES),
        tables=_tables(facts, data, hashes),
        sheets=contact_sheets(data, prepared),
        composed=composed,
        classes=[("Most training pills", most), ("Fewest training pills", fewest)],
        class_pictures=class_pictures(facts.drugs.loc[[*most.index, *fewest.index]], data, prepared),
        overlaps=len(overlaps),
        overlap_photos=overlaps["image_id"].nunique(),
        overlap_pictures=overlap_pictures(overlaps, data, prepared),
        accounts=[account(kind, data.summary[kind]) for kind in ("photos", "labels")],
        rows=len(data.quarantine),
        shares=data.summary["quarantined_share"],
        reasons=reasons(data.summary, "quarantined"),
        examples={reason: [_example(one) for one in found] for reason, found in examples.items()},
        missing_archives=sorted({row for row in data.quarantine["archive"] if not Path(raw.get(row, "")).exists()}),
        partly=data.summary["partly_labelled_photos"],
        boxes=box_sources(data.summary),
        backgrounds=backgrounds(sum(data.summary.get("backgrounds", {}).values())),
        boxes_alone=boxes_alone(data.summary["without_class"]),
        never_seen=never_seen(data.summary["unseen"], data.plan["unseen_drugs"]),
        left_out=len(data.plan["classes_left_out"]),
        lacking={part: int((facts.drugs[part] == 0).sum()) for part in PARTS},
    )


def _tiles(facts: Facts, data: StageData) -> list[dict[str, str]]:
    """The figures that a hurried reader takes away."""
    total, split = facts.parts[-1], data.summary["splits"]
    single, combo = (sum(side[domain] for side in split.values()) for domain in DOMAINS)
    sizes = facts.drugs["train"]
    shown = [
        ("Photographs", count(total.photos), f"{count(single)} single, {count(combo)} combo"),
        ("Pills", count(total.pills), f"{count(split['train']['pills'])} for training"),
        ("Drugs", count(len(facts.drugs)), f"{count(sizes.min())} to {count(sizes.max())} training pills each"),
        ("Imbalance", decimal(facts.gini, 3), "Gini coefficient of training pills; 0 is even"),
        ("Quarantined", percent(quarantined_share(data.summary), 2), plural(len(data.quarantine), "row")),
    ]
    return [html.tile(*one) for one in shown]


def _tables(facts: Facts, data: StageData, hashes: Mapping[str, str]) -> dict[str, Table]:
    made_from = Table("SHA-256 of what this page was made from", ("File", code("SHA-256")), list(hashes.items()))
    outcomes = outcome_tables(data.summary, "Rows of the quarantine by reason")
    return _count_tables(facts, data.summary) | _code_tables(facts) | outcomes | {"hashes": made_from}


def _count_tables(facts: Facts, summary: Mapping[str, Any]) -> dict[str, Table]:
    columns = 3 if any(named for _, _, named in facts.combo_pills) else 2
    sizes = [(f"{width} x {height}", count(photos)) for width, height, photos in facts.sizes[:SHOWN_ROWS]]
    return {
        "sources": sources_table(summary),
        "parts": Table(
            "What there is, by part and domain",
            ("", number("Photos"), number("Pills"), number("Drugs"), number("Capture groups")),
            [_part_row(part) for part in facts.parts],
            summed=True,
        ),
        "combo_pills": Table(
            "Combo photographs by their number of pills",
            ("Pills", number("Labelled so many"), number("So many by their name"))[:columns],
            [[count(value) for value in row[:columns]] for row in facts.combo_pills],
        ),
        "sizes": Table(
            _first("Sizes of photographs, pixels", len(facts.sizes)), ("Width x height", number("Photos")), sizes
        ),
        "boxes": Table(
            "Labelled boxes at three percentiles",
            ("", *(number(percent(share, 0)) for share in QUANTILES)),
            [row for one in facts.boxes for row in _box_rows(one)],
        ),
    }


def _part_row(part: PartCount) -> list[str]:
    words = {"all": "All", **PARTS}[part.part]
    title = words if part.domain == "all" else f"{words}, {part.domain}"
    return [title, *(count(value) for value in (part.photos, part.pills, part.drugs, part.groups))]


def _box_rows(one: BoxFacts) -> list[list[str]]:
    domain = DOMAINS[one.domain]
    return [
        [f"{domain}: share of the photograph's area", *(percent(value) for value in one.area)],
        [f"{domain}: width over height", *(decimal(value) for value in one.aspect)],
        [f"{domain}: shorter side, pixels", *(count(value) for value in one.short_side)],
    ]


def _code_tables(facts: Facts) -> dict[str, Table]:
    codes = facts.codes
    shared = [[edi_code, _names(drugs)] for edi_code, drugs in codes.shared[:SHOWN_ROWS]]
    several = [[drug.k_code, drug.name, ", ".join(drug.edi_codes)] for drug in codes.several[:SHOWN_ROWS]]
    without = [[drug.k_code, drug.name] for drug in codes.without[:SHOWN_ROWS]]
    return {
        "shared_codes": Table(
            _first("EDI codes of several drugs", len(codes.shared)), (code("EDI code"), name("Drugs")), shared
        ),
        "several_codes": Table(
            _first("Drugs with several EDI codes", len(codes.several)),
            (code("K-code"), name("Drug"), code("EDI codes")),
            several,
        ),
        "without_code": Table(
            _first("Drugs without EDI code", len(codes.without)), (code("K-code"), name("Drug")), without
        ),
    }


def _first(words: str, total: int) -> str:
    return f"{words}: {count(total)}" + (f", the first {SHOWN_ROWS}" if total > SHOWN_ROWS else "")


def _names(drugs: Sequence[DrugClass]) -> str:
    return listing([f"{drug.k_code} {drug.name}" for drug in drugs])


def _example(one: Example) -> dict[str, Any]:
    file = (one.member or one.label_member).rpartition("/")[2]
    words = f"Quarantined photograph {one.member} of {one.archive}, {one.reason}. {one.note}"
    picture = Picture(data_uri(one.picture), words, f"{one.reason}: {file}. {one.note}") if one.picture else None
    return {"picture": picture, "name": file, "detail": one.detail, "note": one.note, "archive": one.archive}
