"""Photographs with findings as COCO JSON, which labelling tools import."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from pillsnap.audit.findings import DETECTION, LABEL, rounded
from pillsnap.tables.classes import UNLABELLED, DrugClass

Json = dict[str, Any]


def coco_dataset(pills: pd.DataFrame, findings: pd.DataFrame, classes: Sequence[DrugClass]) -> Json:
    """Every photograph that has a finding, with all its labels and with the detector's proposals.

    Images are in the order of `findings`. Their `file_name` is the member path in the archive, boxes are in pixels of
    the raw photograph. Each annotation says in `attributes.source` whether it is a `label` or a `proposal`; a proposal
    has the category `unlabelled pill` and the detector's `score`, and a label in `attributes.detected` whether the
    detector finds it.

    Args:
        pills: manifest rows and backgrounds, of which the photographs with findings are taken.
        findings: schema `FINDINGS`.
        classes: the class list; categories are its K-codes, numbered from 1, then `unlabelled pill`, then the K-codes
            of drugs whose pills have a box alone.
    """
    boxed_alone = (pills["class_index"] < 0) & (pills["label_member"] != "")
    names = [
        *(drug.k_code for drug in classes),
        UNLABELLED,
        *sorted(set(pills.loc[boxed_alone, "k_code"])),
    ]
    number_of = {name: number for number, name in enumerate(names, start=1)}
    by_image = dict(list(pills[pills["image_id"].isin(findings["image_id"])].groupby("image_id")))
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for number, (image_id, found) in enumerate(findings.groupby("image_id", sort=False), start=1):
        photo = by_image[image_id]
        labelled = photo[photo["label_member"] != ""]
        images.append(_image(number, photo.iloc[0]))
        for one in (*_labels(labelled, found, number_of), *_proposals(found, number_of[UNLABELLED])):
            annotations.append({"id": len(annotations) + 1, "image_id": number} | one)
    return {
        "info": {"description": "PillSnap label audit: labels, and proposals of the detector for people to judge"},
        "licenses": [],
        "images": images,
        "annotations": annotations,
        "categories": [{"id": number, "name": name, "supercategory": "pill"} for name, number in number_of.items()],
    }


def _image(number: int, photo: pd.Series) -> Json:
    return {
        "id": number,
        "file_name": photo["member"],
        "width": int(photo["width"]),
        "height": int(photo["height"]),
        "archive": photo["archive"],
        "image_id": photo["image_id"],
        "split": photo["split"],
        "fully_labelled": bool(photo["fully_labelled"]),
    }


def _labels(labelled: pd.DataFrame, found: pd.DataFrame, number_of: Mapping[str, int]) -> list[Json]:
    missed = set(found.loc[found["kind"] == LABEL, "label_member"])
    return [
        _annotation(
            rounded((pill.x, pill.y, pill.w, pill.h)),
            int(pill.class_index) + 1 if pill.class_index >= 0 else number_of[pill.k_code],
            {"source": "label", "detected": pill.label_member not in missed},
        )
        for pill in labelled.itertuples()
    ]


def _proposals(found: pd.DataFrame, category: int) -> list[Json]:
    return [
        _annotation(
            [row.x, row.y, row.w, row.h],
            category,
            {"source": "proposal", "score": row.score, "suggested_k_codes": row.suggested_k_codes},
        )
        | {"score": row.score}
        for row in found[found["kind"] == DETECTION].itertuples()
    ]


def _annotation(box: list[float], category: int, attributes: Json) -> Json:
    return {
        "category_id": category,
        "bbox": box,
        "area": round(box[2] * box[3], 2),
        "iscrowd": 0,
        "segmentation": [],
        "attributes": attributes,
    }
