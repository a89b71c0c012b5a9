"""Facts of a stage's data for page and terminal, counted once."""

from dataclasses import dataclass

import pandas as pd

from pillsnap.dataset.facts.balance import Codes, class_table, codes_of, gini
from pillsnap.dataset.facts.boxes import BoxFacts, box_facts
from pillsnap.dataset.facts.counts import Count, PartCount, combo_pill_counts, part_counts, photo_sizes, view_counts
from pillsnap.dataset.stage_data import StageData


@dataclass(frozen=True)
class Facts:
    """A stage's data in figures.

    Attributes:
        parts: counts by part and domain; the last one is of everything.
        views: photographs by what their names tell.
        unnamed: photographs whose name is not of AIHub's form.
        combo_pills: (pills, photographs with so many labelled, with so many by their name).
        sizes: (width, height, photographs), most frequent first.
        boxes: of each domain.
        drugs: one row a drug, as `class_table` tells.
        gini: Gini coefficient of the drugs' training pills.
        codes: what is special about EDI codes.
    """

    parts: list[PartCount]
    views: dict[str, list[Count]]
    unnamed: int
    combo_pills: list[tuple[int, int, int]]
    sizes: list[tuple[int, int, int]]
    boxes: list[BoxFacts]
    drugs: pd.DataFrame
    gini: float
    codes: Codes


def gather_facts(data: StageData) -> Facts:
    """Count everything."""
    drugs = class_table(data.pills, data.classes)
    return Facts(
        parts=part_counts(data.pills.assign(k_code=data.pills["k_code"].where(data.pills["class_index"] >= 0))),
        views=view_counts(data.photos),
        unnamed=int(data.photos["named_pills"].isna().sum()),
        combo_pills=combo_pill_counts(data.photos),
        sizes=photo_sizes(data.photos),
        boxes=box_facts(data.pills),
        drugs=drugs,
        gini=gini(drugs["train"]),
        codes=codes_of(data.classes),
    )
