"""Composed scenes on the dataset page: apart from the photographs, and in none of their counts."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from pillsnap.dataset.gallery import QUALITY, SHEET_PHOTOS, SHEET_SIDE
from pillsnap.dataset.outline import outline
from pillsnap.files import read_from_shard, read_json
from pillsnap.pages.formats import count, plural
from pillsnap.pages.html import Picture, data_uri
from pillsnap.pages.table import Table, code, number
from pillsnap.pictures.decode import decode_jpeg, encode_jpeg
from pillsnap.pictures.scale import shrink
from pillsnap.scenes.mask import REASONS
from pillsnap.tables.files import read_table, read_tables
from pillsnap.tables.schemas import SCENE_PILLS, SCENES


@dataclass(frozen=True)
class Composed:
    """What the page tells of composed scenes: their numbers, tables of grounds and refused cut-outs, some scenes."""

    scenes: int
    pills: int
    empty: int
    read: int
    cut_out: int
    grounds: Table
    refused: Table
    pictures: list[Picture]


def read_composed(scenes: Sequence[Path], cut_outs: Sequence[Path]) -> Composed | None:
    """Read the stage's composed scenes; `None` where it has none.

    Args:
        scenes: folders of `compose_scenes`.
        cut_outs: folders of `cut_pills`.
    """
    if not scenes:
        return None
    composed = read_tables([folder / "scenes.parquet" for folder in scenes], SCENES)
    pills = read_tables([folder / "pills.parquet" for folder in scenes], SCENE_PILLS)
    summaries = [read_json(folder / "summary.json") for folder in cut_outs]
    refused: Counter[str] = Counter()
    for summary in summaries:
        refused.update(summary["refused"])
    grounds = composed["ground"].value_counts().sort_index().items()
    return Composed(
        scenes=len(composed),
        pills=len(pills),
        empty=int((~composed["scene"].isin(pills["scene"])).sum()),
        read=sum(summary["read"] for summary in summaries),
        cut_out=sum(summary["cut_out"] for summary in summaries),
        grounds=Table(
            "Grounds of composed scenes", ("Ground", number("Scenes")), [(name, count(n)) for name, n in grounds]
        ),
        refused=Table(
            "Pills that were not cut out, by reason",
            (code("Reason"), "Meaning", number("Pills")),
            [(reason, REASONS[reason], count(n)) for reason, n in sorted(refused.items())],
        ),
        pictures=_pictures(scenes[0], pills),
    )


def _pictures(folder: Path, pills: pd.DataFrame) -> list[Picture]:
    """Scenes of one shard, spread evenly over it, with the labelled boxes."""
    table = read_table(folder / "scenes.parquet", SCENES)
    chosen = np.unique(np.linspace(0, len(table) - 1, SHEET_PHOTOS).round().astype(int))
    pictures = []
    with (folder / "scenes.bin").open("rb") as shard:
        for row in table.iloc[chosen].itertuples():
            scene = decode_jpeg(read_from_shard(shard, row.offset, row.length))
            picture = shrink([scene], SHEET_SIDE)
            boxes = pills.loc[pills["scene"] == row.scene, list("xywh")].to_numpy(float)
            drawn = outline(picture, boxes * (picture.shape[1] / row.width))
            caption = f"composed · {row.ground} · {plural(len(boxes), 'pill')}"
            pictures.append(
                Picture(data_uri(encode_jpeg(drawn, QUALITY)), f"Scene {row.scene} with its boxes", caption)
            )
    return pictures
