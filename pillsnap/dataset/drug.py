"""Facts and pictures of one drug of a stage."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
import pandas as pd
from PIL import Image, ImageDraw, ImageFont

from pillsnap.dataset.choose import spread
from pillsnap.dataset.facts.boxes import BoxFacts, box_facts
from pillsnap.dataset.facts.counts import Count, PartCount, part_counts, view_counts
from pillsnap.dataset.stage_data import DataError, StageData, stem_of
from pillsnap.dataset.stored_pictures import pill_crops
from pillsnap.sources.aihub_name import parse_photo_name
from pillsnap.tables.classes import DrugClass

EXAMPLES = 5
SHEET_CROPS, SHEET_COLUMNS, CROP_SIDE, STRIP = 30, 6, 144, 18


@dataclass(frozen=True)
class DrugFacts:
    """One drug in figures.

    Attributes:
        drug: its entry in the class list.
        parts: photographs, pills and capture groups by part and domain.
        sources: name, photographs and pills of each source that shows it; empty where the stage has one source.
        views: photographs that show it, by what their names tell.
        boxes: its boxes in each domain.
        quarantined: rows of the quarantine list that are about it.
        examples: some of its pills, manifest rows.
    """

    drug: DrugClass
    parts: list[PartCount]
    sources: list[tuple[str, int, int]]
    views: dict[str, list[Count]]
    boxes: list[BoxFacts]
    quarantined: pd.DataFrame
    examples: pd.DataFrame


def drug_facts(data: StageData, drug: DrugClass, planned: pd.DataFrame) -> DrugFacts:
    """Count what there is of a drug.

    Args:
        data: of the stage.
        drug: one of its class list.
        planned: the stage's plan, schema `PLAN`.
    """
    pills = data.pills[data.pills["k_code"] == drug.k_code]
    return DrugFacts(
        drug=drug,
        parts=part_counts(pills),
        sources=_source_counts(pills) if "sources" in data.summary else [],
        views=view_counts(data.photos.loc[pills["image_id"].unique()]),
        boxes=box_facts(pills),
        quarantined=rows_about(data.quarantine, drug.k_code, planned),
        examples=pills.iloc[spread(len(pills), EXAMPLES)],
    )


def _source_counts(pills: pd.DataFrame) -> list[tuple[str, int, int]]:
    """Count photographs and pills of each source; an archive's name begins with that of its source."""
    by_source = pills.groupby(pills["archive"].str.partition("-")[0])
    return [(str(name), rows["image_id"].nunique(), len(rows)) for name, rows in by_source]


def rows_about(quarantine: pd.DataFrame, k_code: str, planned: pd.DataFrame) -> pd.DataFrame:
    """Rows of the quarantine list about a drug: by the plan, by the names of photograph and label, by the detail.

    What the index refused is in no plan: where its names do not tell the drug, as in YOLO data, it is not found.
    """
    mine = planned[planned["k_code"] == k_code]
    labels = set(zip(mine["archive"], mine["label_member"], strict=True))
    photos = set(zip(mine["archive"], mine["member"], strict=True))
    about = [
        (row.archive, row.label_member) in labels
        or (not row.label_member and (row.archive, row.member) in photos)
        or k_code in _drugs_named(row.member, row.label_member)
        or row.detail == k_code
        for row in quarantine.itertuples()
    ]
    return quarantine[np.array(about, bool)]


def _drugs_named(member: str, label_member: str) -> tuple[str, ...]:
    """The drugs that a row's names tell: a label's own folder, or else the photograph's name."""
    name = parse_photo_name(stem_of(label_member or member))
    if name and label_member and len(name.drugs) > 1:
        return tuple(part for part in PurePosixPath(label_member).parent.parts if part in name.drugs)
    return name.drugs if name else ()


def crop_sheet(data: StageData, drug: DrugClass, prepared: Path) -> np.ndarray:
    """Pills of one drug side by side, spread over parts and domains, each with its part below: uint8 (H, W, 3).

    Args:
        data: of the stage.
        drug: one of its class list.
        prepared: folder with those of `prepare_archive`.

    Raises:
        DataError: the prepared photographs are not there, or damaged.
    """
    pills = data.pills[data.pills["k_code"] == drug.k_code].sort_values(["domain", "split", "image_id", "label_member"])
    chosen = pills.iloc[spread(len(pills), SHEET_CROPS)]
    folders = [prepared / archive for archive in sorted(set(chosen["archive"]))]
    missing = [folder for folder in folders if not folder.is_dir()]
    if missing:
        raise DataError(f"{missing[0]}: is not there. Make it with `snakemake --cores all -- {missing[0]}`.")
    try:
        crops = pill_crops(chosen, folders, size=CROP_SIDE)
        tiles = [(crops[row.image_id, row.label_member], f"{row.split} {row.domain}") for row in chosen.itertuples()]
    except (OSError, ValueError, KeyError) as error:
        raise DataError(
            f"{prepared}: its pills cannot be read ({error}). Remove it, and make it again with its rule."
        ) from error
    return _laid_out(tiles)


def _laid_out(tiles: Sequence[tuple[np.ndarray, str]]) -> np.ndarray:
    columns, rows = min(len(tiles), SHEET_COLUMNS), -(-len(tiles) // SHEET_COLUMNS)
    sheet = Image.new("RGB", (columns * (CROP_SIDE + 4) + 4, rows * (CROP_SIDE + STRIP + 4) + 4), "white")
    canvas, font = ImageDraw.Draw(sheet), ImageFont.load_default(size=12)
    for place, (crop, words) in enumerate(tiles):
        left = 4 + place % SHEET_COLUMNS * (CROP_SIDE + 4)
        top = 4 + place // SHEET_COLUMNS * (CROP_SIDE + STRIP + 4)
        sheet.paste(Image.fromarray(crop), (left, top))
        canvas.text((left, top + CROP_SIDE), words, fill="black", font=font)
    return np.asarray(sheet)
