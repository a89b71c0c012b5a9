"""Build a detector's dataset in ultralytics' layout from composed scenes alone."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

from pillsnap.detector.build_yolo_dataset import write_description
from pillsnap.detector.lay_out_scenes import lay_out_scenes
from pillsnap.files import replacing_folder

log = logging.getLogger(__name__)


def build_scene_dataset(*, scenes: Mapping[str, Sequence[Path]], dataset: Path, grounds: Sequence[Path] = ()) -> None:
    """Lay out scenes of training and validation.

    Args:
        scenes: folders of `compose_scenes` by split, `train` and `val`.
        grounds: folders of `compose_scenes` without a pill, for `train`, too.
        dataset: folder, written: `data.yaml`, `images/<split>/<scene>.jpg`, `labels/<split>/<scene>.txt`.
    """
    with replacing_folder(dataset) as folder:
        for split, shards in scenes.items():
            for kind in ("images", "labels"):
                (folder / kind / split).mkdir(parents=True)
            images, labels = (folder / kind / split for kind in ("images", "labels"))
            number = lay_out_scenes(shards, images=images, labels=labels)
            if split == "train":
                number += lay_out_scenes(grounds, images=images, labels=labels, prefix="ground.")
            log.info("%s: %d composed scenes", split, number)
        write_description(folder)
