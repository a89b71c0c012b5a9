"""Composed scenes among the detector's training pictures."""

from collections.abc import Sequence
from pathlib import Path

from pillsnap.detector.label_files import write_label_files
from pillsnap.files import read_from_shard
from pillsnap.tables.files import read_table
from pillsnap.tables.schemas import SCENE_PILLS, SCENES


def lay_out_scenes(scenes: Sequence[Path], *, images: Path, labels: Path, prefix: str = "") -> int:
    """Write scenes as pictures with label files; a scene without a pill has an empty one.

    Args:
        scenes: folders of `compose_scenes`.
        images, labels: folders, which must exist.
        prefix: of the names, where scenes of several sets share the folders.

    Returns:
        Number of scenes.
    """
    number = 0
    for folder in scenes:
        composed, pills = (
            read_table(folder / "scenes.parquet", SCENES),
            read_table(folder / "pills.parquet", SCENE_PILLS),
        )
        composed["image_id"] = prefix + composed["scene"]
        with (folder / "scenes.bin").open("rb") as shard:
            for scene in composed.itertuples():
                (images / f"{scene.image_id}.jpg").write_bytes(read_from_shard(shard, scene.offset, scene.length))
                (labels / f"{scene.image_id}.txt").touch()
        write_label_files(pills.merge(composed[["scene", "image_id", "width", "height"]], on="scene"), labels)
        number += len(composed)
    return number
