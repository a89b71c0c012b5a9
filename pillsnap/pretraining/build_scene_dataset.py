"""Build a detector's dataset in ultralytics' layout from composed scenes alone."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

from pillsnap.detector.build_yolo_dataset import write_description
from pillsnap.detector.lay_out_scenes import lay_out_scenes
from pillsnap.files import replacing_folder

log = logging.getLogger(__name__)


def build_scene_dataset(*, scenes: Mapping[str, Sequence[Path]], dataset: Path) -> None:
    """Lay out scenes of training and validation.

    Args:
        scenes: folders of `compose_scenes` by split, `train` and `val`.
        dataset: folder, written: `data.yaml`, `images/<split>/<scene>.jpg`, `labels/<split>/<scene>.txt`.
    """
    with replacing_folder(dataset) as folder:
        for split, shards in scenes.items():
            for kind in ("images", "labels"):
                (folder / kind / split).mkdir(parents=True)
            number = lay_out_scenes(shards, images=folder / "images" / split, labels=folder / "labels" / split)
            log.info("%s: %d composed scenes", split, number)
        write_description(folder)
