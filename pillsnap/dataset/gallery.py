"""The pictures of the dataset page: a contact sheet for each part and domain, and a pill of each extreme class."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from pillsnap.dataset.choose import spread_photos
from pillsnap.dataset.stage_data import DOMAINS, PARTS, StageData
from pillsnap.dataset.stored_pictures import boxed_photos, pill_crops
from pillsnap.pages.formats import plural
from pillsnap.pages.html import Picture, data_uri
from pillsnap.pictures.decode import encode_jpeg
from pillsnap.sources.aihub_name import BACKGROUNDS, SIDES

SHEET_PHOTOS, SHEET_SIDE = 10, 400
"""Photographs of a contact sheet, and their longer side in pixels."""
THUMBNAIL_SIDE = 112
QUALITY = 80


@dataclass(frozen=True)
class Sheet:
    """A contact sheet: its title, how many photographs it is a sample of, the pictures."""

    title: str
    photos: int
    pictures: list[Picture]


def contact_sheets(data: StageData, prepared: Sequence[Path]) -> list[Sheet]:
    """A sheet for each part and domain that holds photographs, spread evenly over drugs and views."""
    groups = dict(list(data.photos.groupby(["split", "domain"], sort=False)))
    chosen = {
        (part, domain): spread_photos(groups[part, domain], SHEET_PHOTOS)
        for domain in DOMAINS
        for part in PARTS
        if (part, domain) in groups
    }
    needed = {image for rows in chosen.values() for image in rows.index}
    pills = data.pills[data.pills["image_id"].isin(needed)]
    pictures = boxed_photos(pills, prepared, long_side=SHEET_SIDE)
    codes = pills.groupby("image_id")["k_code"].agg(list)
    return [
        Sheet(
            f"{DOMAINS[domain]}, {PARTS[part].lower()}",
            len(groups[part, domain]),
            [
                Picture(
                    data_uri(encode_jpeg(pictures[row.Index], QUALITY)),
                    f"Photograph {row.member} with its labelled boxes",
                    caption(row, codes[row.Index]),
                )
                for row in rows.itertuples()
            ],
        )
        for (part, domain), rows in chosen.items()
    ]


def caption(photo: Any, codes: Sequence[str]) -> str:
    """Caption of a photograph: its drugs or their number, its view, and whether labels are missing."""
    drugs = list(dict.fromkeys(codes))
    words = [", ".join(drugs) if len(drugs) <= 2 else f"{plural(len(codes), 'pill')} of {len(drugs)} drugs"]
    if not pd.isna(photo.background):
        words += [SIDES.get(photo.side, f"side {photo.side}")] if photo.domain == "single" else []
        words.append(f"on {BACKGROUNDS.get(photo.background, f'background {photo.background}')}")
        words += [f"light {photo.light}", f"{photo.latitude}°/{photo.longitude}°"]
    return " · ".join(words if photo.fully_labelled else [*words, "partly labelled"])


def overlap_pictures(overlaps: pd.DataFrame, data: StageData, prepared: Sequence[Path]) -> list[Picture]:
    """The first photographs that labels of two drugs overlap in, with those labels' boxes alone.

    Args:
        overlaps: of `overlapping_labels`.
        data: of the stage.
        prepared: folders of `prepare_archive`.
    """
    shown = dict(list(overlaps.groupby("image_id", sort=False))[:SHEET_PHOTOS])
    labels = {
        (image, label) for image, rows in shown.items() for label in (*rows["first_label"], *rows["second_label"])
    }
    pills = data.pills[data.pills["image_id"].isin(shown)]
    listed = pd.MultiIndex.from_frame(pills[["image_id", "label_member"]]).isin(labels)
    pictures = boxed_photos(pills[listed], prepared, long_side=SHEET_SIDE)
    return [
        Picture(
            data_uri(encode_jpeg(pictures[image], QUALITY)),
            f"Photograph {rows['member'].iloc[0]} with labels that overlap",
            f"{rows['member'].iloc[0]} of {rows['archive'].iloc[0]}: "
            + ", ".join(f"{row.first_k_code} and {row.second_k_code} ({row.iou:.2f})" for row in rows.itertuples()),
        )
        for image, rows in shown.items()
    ]


def class_pictures(drugs: pd.DataFrame, data: StageData, prepared: Sequence[Path]) -> dict[str, Picture]:
    """A training pill of each drug by K-code, one of its own photographs where there is one."""
    pills = data.pills[(data.pills["split"] == "train") & data.pills["k_code"].isin(drugs.index)]
    # `single` before `combo`: a pill alone shows the drug best
    ordered = pills.sort_values(["domain", "image_id", "label_member"], ascending=[False, True, True])
    shown = ordered.drop_duplicates("k_code")
    crops = pill_crops(shown, prepared, size=THUMBNAIL_SIDE)
    return {
        row.k_code: Picture(
            data_uri(encode_jpeg(crops[row.image_id, row.label_member], QUALITY)),
            f"A training pill of {row.k_code}",
            f"{row.k_code}: {row.drug_name}" if row.drug_name != row.k_code else row.k_code,
        )
        for row in shown.itertuples()
    }
