"""Compose a shard of scenes from cut-out pills."""

import logging
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from pillsnap.config.data import SCENES_PER_SHARD, Scenes
from pillsnap.files import ShardWriter, replacing_folder
from pillsnap.progress import progress
from pillsnap.scenes.backgrounds import Backgrounds
from pillsnap.scenes.cut_outs import CutOuts
from pillsnap.scenes.scene import PIECES, Pieces, compose_scene
from pillsnap.tables.files import read_table, write_rows
from pillsnap.tables.schemas import PHOTOS, SCENE_PILLS, SCENES

log = logging.getLogger(__name__)


def compose_scenes(
    *,
    cut_outs: Sequence[Path],
    prepared: Sequence[Path],
    scenes: Path,
    shard: int,
    side: int,
    settings: Scenes,
    seed: int,
    pieces: Pieces = PIECES,
) -> None:
    """Compose the scenes of one shard. A scene depends on seed and number alone: as many cores as there are shards can
    share the work, and a larger `scenes.photos` begins with the same ones.

    Args:
        cut_outs: folders of `cut_pills`.
        prepared: folders of `prepare_archive`, whose photographs may be no ground.
        scenes: folder, written: `scenes.bin` with `scenes.parquet` of schema `SCENES`, `pills.parquet` of schema
            `SCENE_PILLS`.
        shard: its number; shard 1 begins behind the `SCENES_PER_SHARD` scenes of shard 0.
        side: longer side of a scene in pixels.
        settings: what scenes are like.
        seed: of all of them.
        pieces: what they are made of.

    Raises:
        ValueError: there is no cut-out to compose from.
        BackgroundsError: `settings.backgrounds` is no folder of grounds.
    """
    cv2.setNumThreads(1)
    pills = CutOuts(cut_outs)
    if not len(pills):
        raise ValueError(
            f"scenes.photos = {settings.photos}: no pill could be cut out of the training photographs: they show "
            "several pills each, or no plain ground (`refused.parquet` of each archive). Set scenes.photos to 0."
        )
    photographed = Backgrounds(settings.backgrounds, _hashes(prepared)) if settings.backgrounds else None
    numbers = range(shard * SCENES_PER_SHARD, min((shard + 1) * SCENES_PER_SHARD, settings.photos))
    rows, labels = [], []
    with replacing_folder(scenes) as folder:
        with ShardWriter(folder / "scenes.bin") as writer:
            for number in progress(numbers, total=len(numbers), title=f"shard {shard}", unit="scenes"):
                rng = np.random.default_rng((seed, number))
                scene = compose_scene(
                    pills, side=side, settings=settings, rng=rng, photographed=photographed, pieces=pieces
                )
                name, (offset, length) = f"composed.{number:06d}", writer.add(scene.jpeg)
                size = {"width": scene.width, "height": scene.height}
                rows.append({"scene": name, "ground": scene.ground, **size, "offset": offset, "length": length})
                labels += [
                    {"scene": name, "k_code": pill.k_code, "class_index": pill.class_index, "visible": pill.visible}
                    | dict(zip("xywh", pill.box, strict=True))
                    for pill in scene.pills
                ]
        write_rows(rows, folder / "scenes.parquet", SCENES)
        write_rows(labels, folder / "pills.parquet", SCENE_PILLS)
    log.info("%d scenes composed, %d pills", len(rows), len(labels))


def _hashes(prepared: Sequence[Path]) -> set[str]:
    return {sha256 for folder in prepared for sha256 in read_table(folder / "photos.parquet", PHOTOS)["sha256"]}
