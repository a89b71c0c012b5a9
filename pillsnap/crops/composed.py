"""Pills of composed scenes among the classifier's training crops: pills on other grounds."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from pillsnap.config.config import Crops
from pillsnap.crops.crop import cut_crop
from pillsnap.files import ShardWriter, read_from_shard
from pillsnap.pictures.decode import decode_jpeg, encode_jpeg
from pillsnap.tables.files import read_table, read_tables
from pillsnap.tables.schemas import COMPOSED, SCENE_PILLS, SCENES

_LEAST_VISIBLE, _LEAST_SIDE = 0.7, 0.2
"""Share of a pill that must be seen, and its longer side as a share of the crop's: what is smaller shows no imprint."""


def cut_composed(
    scenes: Sequence[Path], trained: pd.DataFrame, shard: ShardWriter, settings: Crops
) -> Iterator[dict[str, Any]]:
    """Cut pills of composed scenes into `shard`: rows of schema `CROPS`, of domain `COMPOSED`.

    Of each drug at most as many are cut as photographs' pills are trained on, the first scenes' first.

    Args:
        scenes: folders of `compose_scenes`.
        trained: the training part's pills, schema `MANIFEST`.
        shard: of the training crops.
        settings: size, margin, quality.
    """
    chosen = dict(list(_choose(scenes, trained, settings).groupby("scene")))
    for folder in scenes:
        with (folder / "scenes.bin").open("rb") as stored:
            for scene in read_table(folder / "scenes.parquet", SCENES).itertuples():
                if scene.scene not in chosen:
                    continue
                picture = decode_jpeg(read_from_shard(stored, scene.offset, scene.length))
                for pill in chosen[scene.scene].itertuples():
                    box = (pill.x, pill.y, pill.w, pill.h)
                    crop = cut_crop(picture, box, size=settings.size, margin=settings.margin)
                    offset, length = shard.add(encode_jpeg(crop, settings.quality))
                    yield {
                        "pill_id": f"{scene.scene}:{pill.k_code}:{pill.number}",
                        "split": "train",
                        "box_from": "label",
                        "image_id": scene.scene,
                        "domain": COMPOSED,
                        "k_code": pill.k_code,
                        "class_index": pill.class_index,
                        "iou": 1.0,
                        "offset": offset,
                        "length": length,
                    }


def _choose(scenes: Sequence[Path], trained: pd.DataFrame, settings: Crops) -> pd.DataFrame:
    """Choose pills that are seen well, each with its number in its scene."""
    pills = read_tables([folder / "pills.parquet" for folder in scenes], SCENE_PILLS)
    pills = pills.assign(number=pills.groupby("scene").cumcount())
    seen_well = (pills["visible"] >= _LEAST_VISIBLE) & (pills[["w", "h"]].max(axis=1) >= _LEAST_SIDE * settings.size)
    pills = pills[seen_well].sort_values(["scene", "number"], kind="stable")
    photographed = trained.loc[trained["class_index"] >= 0, "k_code"].value_counts()
    most = photographed.reindex(pills["k_code"], fill_value=0).to_numpy()
    return pills[pills.groupby("k_code").cumcount() < most]
