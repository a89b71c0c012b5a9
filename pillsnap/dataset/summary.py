"""A stage's data as one JSON value, for the terminal and for other programs."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import pandas as pd

from pillsnap.dataset.facts.balance import extremes
from pillsnap.dataset.facts.boxes import BoxFacts
from pillsnap.dataset.facts.gather import gather_facts
from pillsnap.dataset.stage_data import StageData

PERCENTILES = ("p5", "p50", "p95")


def summarise(data: StageData, *, stage: str, kinds: Sequence[str]) -> dict[str, Any]:
    """Counts, views, boxes, balance and quarantine of a stage.

    Args:
        data: of the stage.
        stage: its name.
        kinds: of its sources, keys of `KINDS` in `sources/registry.py`; empty where that is not known.
    """
    facts, summary = gather_facts(data), data.summary
    most, fewest = extremes(facts.drugs)
    return {
        "stage": stage,
        "source": ", ".join(kinds) or None,
        "parts": [asdict(part) for part in facts.parts],
        "views": {word: [asdict(one) for one in counts] for word, counts in facts.views.items()},
        "photos_of_another_name": facts.unnamed,
        "combo_photos": [
            {"pills": pills, "labelled": labelled, "named": named} for pills, labelled, named in facts.combo_pills
        ],
        "unseen": summary["unseen"],
        "unseen_drugs": data.plan["unseen_drugs"],
        "backgrounds": sum(summary.get("backgrounds", {}).values()),
        "partly_labelled_photos": summary["partly_labelled_photos"],
        "without_class": summary["without_class"],
        "photo_sizes": [{"width": width, "height": height, "photos": photos} for width, height, photos in facts.sizes],
        "boxes": {one.domain: box_summary(one) for one in facts.boxes},
        "drugs": len(facts.drugs),
        "gini_of_training_pills": round(facts.gini, 6),
        "most_training_pills": _drug_rows(most),
        "fewest_training_pills": _drug_rows(fewest),
        "edi_codes": {
            "drugs_with_several": len(facts.codes.several),
            "drugs_without": len(facts.codes.without),
            "shared": {code: [drug.k_code for drug in drugs] for code, drugs in facts.codes.shared},
        },
        **({"sources": summary["sources"]} if "sources" in summary else {}),
        **{kind: summary[kind] for kind in ("photos", "labels", "repaired", "quarantined_share")},
    }


def box_summary(one: BoxFacts) -> dict[str, Any]:
    """A domain's boxes: their number, then area, aspect ratio and shorter side at three percentiles."""
    shapes = {"area_share": one.area, "width_over_height": one.aspect, "short_side_px": one.short_side}
    rounded = {name: [round(value, 6) for value in values] for name, values in shapes.items()}
    return {"boxes": one.boxes} | {
        name: dict(zip(PERCENTILES, values, strict=True)) for name, values in rounded.items()
    }


def _drug_rows(drugs: pd.DataFrame) -> list[dict[str, Any]]:
    columns = ("name", "train", "val", "test")
    return [{"k_code": row.Index, **{name: getattr(row, name) for name in columns}} for row in drugs.itertuples()]
