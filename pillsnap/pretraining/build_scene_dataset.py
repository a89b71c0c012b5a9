"""Build a detector's dataset from composed scenes alone."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

from pillsnap.detector.pack_scenes import pack_scenes
from pillsnap.detector.yolo_shards import count_pictures, describe_shards
from pillsnap.files import replacing_folder

log = logging.getLogger(__name__)


def build_scene_dataset(*, scenes: Mapping[str, Sequence[Path]], dataset: Path, grounds: Sequence[Path] = ()) -> None:
    """Write scenes of training and validation in shards.

    Args:
        scenes: folders of `compose_scenes` by split, `train` and `val`.
        grounds: folders of `compose_scenes` without a pill, for `train`, too.
        dataset: folder, written: `data.yaml`, and shards in `<split>`.
    """
    with replacing_folder(dataset) as folder:
        for split, shards in scenes.items():
            pack_scenes(shards, folder / split)
        pack_scenes(grounds, folder / "train", prefix="ground.")
        describe_shards(folder)
        for split in scenes:
            log.info("%s: %d composed scenes", split, count_pictures(folder, split))
