"""Build the detector's dataset in ultralytics' layout from the prepared photographs."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd
import yaml

from pillsnap.config.data import Yolo
from pillsnap.detector.label_files import write_label_files
from pillsnap.detector.lay_out_scenes import lay_out_scenes
from pillsnap.files import read_from_shard, replacing_folder
from pillsnap.manifest.hash_order import hash_order
from pillsnap.tables.files import make_table, read_table
from pillsnap.tables.schemas import MANIFEST, MANIFEST_BACKGROUNDS, PHOTOS

log = logging.getLogger(__name__)


def build_yolo_dataset(
    *,
    manifest: dict[str, Path],
    prepared: Sequence[Path],
    dataset: Path,
    settings: Yolo,
    seed: int,
    scenes: Sequence[Path] = (),
    backgrounds: Path | None = None,
) -> None:
    """Write images and labels of training and validation; the test part stays out.

    Composed scenes are trained on beside the photographs; validation has none.

    Photographs that are known to be partly labelled stay out too, unless `settings` want them in training: an
    unlabelled pill trains the detector that it is background, and in validation a correct box counts as false.
    Backgrounds have an empty label file; at most as many are taken as photographs with pills.

    Args:
        manifest: CSV by split (`train`, `val`), schema `MANIFEST`.
        prepared: folders of `prepare_archive`.
        dataset: folder, written: `data.yaml`, `images/<split>/<image_id>.jpg`, `labels/<split>/<image_id>.txt`.
        settings: number of single-pill photographs, and use of partly labelled ones.
        seed: seed of the sample of single-pill photographs, and of backgrounds.
        scenes: folders of `compose_scenes`; all of them are used.
        backgrounds: CSV, schema `MANIFEST_BACKGROUNDS`; `None`: there are none.
    """
    empty = read_table(backgrounds, MANIFEST_BACKGROUNDS) if backgrounds else make_table([], MANIFEST_BACKGROUNDS)
    places: dict[str, Path] = {}
    with replacing_folder(dataset) as folder:
        for split, path in manifest.items():
            pills = read_table(path, MANIFEST)
            if split != "train" or settings.partly_labelled == "leave_out":
                pills = pills[pills["fully_labelled"]]
            chosen = _sample(pills, settings, seed, split)
            for kind in ("images", "labels"):
                (folder / kind / split).mkdir(parents=True)
            photos = set(chosen["image_id"])
            without = _first(set(empty.loc[empty["split"] == split, "image_id"]), len(photos), seed)
            write_label_files(chosen, folder / "labels" / split)
            for image_id in without:
                (folder / "labels" / split / f"{image_id}.txt").touch()
            places |= dict.fromkeys(photos | without, folder / "images" / split)
            log.info("%s: %d photos, %d pills, %d backgrounds", split, len(photos), len(chosen), len(without))
        _write_images(places, prepared)
        composed = lay_out_scenes(scenes, images=folder / "images" / "train", labels=folder / "labels" / "train")
        log.info("train: %d composed scenes beside the photos", composed)
        write_description(folder)


def write_description(dataset: Path) -> None:
    """Write the `data.yaml` of a dataset of one class, with a training and a validation part."""
    description = {"train": "images/train", "val": "images/val", "nc": 1, "names": {0: "pill"}}
    (dataset / "data.yaml").write_text(yaml.safe_dump(description, sort_keys=False), encoding="utf-8")


def _sample(pills: pd.DataFrame, settings: Yolo, seed: int, split: str) -> pd.DataFrame:
    limit = settings.max_single_photos if split == "train" else settings.max_single_photos // 4
    singles = _first(set(pills.loc[pills["domain"] == "single", "image_id"]), limit, seed)
    return pills[(pills["domain"] == "combo") | pills["image_id"].isin(singles)]


def _first(image_ids: set[str], count: int, seed: int) -> set[str]:
    """Return the first photographs in hash order."""
    ordered = sorted(image_ids)
    order = pd.Series(hash_order(ordered, seed), index=ordered).sort_values()
    return set(order.index[:count])


def _write_images(places: Mapping[str, Path], prepared: Sequence[Path]) -> None:
    """Write photographs into the folder of each; every archive is read once."""
    for archive in prepared:
        photos = read_table(archive / "photos.parquet", PHOTOS)[["image_id", "offset", "length"]]
        with (archive / "photos.bin").open("rb") as shard:
            for image_id, offset, length in photos.itertuples(index=False, name=None):
                if image_id in places:
                    data = read_from_shard(shard, offset, length)
                    (places[image_id] / f"{image_id}.jpg").write_bytes(data)
