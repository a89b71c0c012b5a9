"""Composed scenes among the detector's training pictures."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from pillsnap.detector.yolo_shards import label_lines, write_shard
from pillsnap.files import read_from_shard
from pillsnap.tables.files import read_table
from pillsnap.tables.schemas import SCENE_PILLS, SCENES


def pack_scenes(scenes: Sequence[Path], folder: Path, *, prefix: str = "") -> None:
    """Write a shard of the dataset for each folder of `compose_scenes`.

    Args:
        scenes: these folders.
        folder: of the shards of one split.
        prefix: of the names, where scenes of several sets share the folder.
    """
    for number, composed in enumerate(scenes):
        write_shard(folder / f"{prefix}composed.{number:04d}.tar", _pictures(composed, prefix))


def _pictures(folder: Path, prefix: str) -> Iterator[tuple[str, bytes, str]]:
    scenes, pills = read_table(folder / "scenes.parquet", SCENES), read_table(folder / "pills.parquet", SCENE_PILLS)
    sizes = scenes[["scene", "width", "height"]].rename(columns={"scene": "image_id"})
    lines = label_lines(pills.rename(columns={"scene": "image_id"}).merge(sizes, on="image_id"))
    with (folder / "scenes.bin").open("rb") as stored:
        for scene in scenes.itertuples():
            yield prefix + scene.scene, read_from_shard(stored, scene.offset, scene.length), lines.get(scene.scene, "")
