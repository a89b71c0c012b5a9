"""Build the detector's dataset, shards in ultralytics' layout, from the prepared photographs."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from pillsnap.config.data import Yolo
from pillsnap.detector.pack_scenes import pack_scenes
from pillsnap.detector.yolo_shards import SPLITS, count_pictures, describe_shards, label_lines, write_shard
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
    """Write pictures and labels of training and validation in shards; the test part stays out.

    Composed scenes are trained on beside the photographs; validation has none.

    Photographs that are known to be partly labelled stay out too, unless `settings` want them in training: an
    unlabelled pill trains the detector that it is background, and in validation a correct box counts as false.
    Backgrounds have an empty label file; at most as many are taken as photographs with pills.

    Args:
        manifest: CSV by split (`train`, `val`), schema `MANIFEST`.
        prepared: folders of `prepare_archive`.
        dataset: folder, written: `data.yaml`, and a shard of each archive in `<split>`; `unpack_shards` makes
            ultralytics' folders of them.
        settings: number of single-pill photographs, and use of partly labelled ones.
        seed: seed of the sample of single-pill photographs, and of backgrounds.
        scenes: folders of `compose_scenes`; all of them are used.
        backgrounds: CSV, schema `MANIFEST_BACKGROUNDS`; `None`: there are none.
    """
    empty = read_table(backgrounds, MANIFEST_BACKGROUNDS) if backgrounds else make_table([], MANIFEST_BACKGROUNDS)
    lines: dict[str, dict[str, str]] = {}
    for split, path in manifest.items():
        pills = read_table(path, MANIFEST)
        if split != "train" or settings.partly_labelled == "leave_out":
            pills = pills[pills["fully_labelled"]]
        chosen = _sample(pills, settings, seed, split)
        lines[split] = label_lines(chosen)
        photos = len(lines[split])
        without = _first(set(empty.loc[empty["split"] == split, "image_id"]), photos, seed)
        lines[split] |= dict.fromkeys(without, "")
        log.info("%s: %d photos, %d pills, %d backgrounds", split, photos, len(chosen), len(without))
    with replacing_folder(dataset) as folder:
        for archive in prepared:
            _write_shards(archive, lines, folder)
        pack_scenes(scenes, folder / "train")
        describe_shards(folder)
        photos = sum(map(len, lines.values()))
        composed = sum(count_pictures(folder, split) for split in SPLITS) - photos
        log.info("train: %d composed scenes beside the photos", composed)


def _sample(pills: pd.DataFrame, settings: Yolo, seed: int, split: str) -> pd.DataFrame:
    limit = settings.max_single_photos if split == "train" else settings.max_single_photos // 4
    singles = _first(set(pills.loc[pills["domain"] == "single", "image_id"]), limit, seed)
    return pills[(pills["domain"] == "combo") | pills["image_id"].isin(singles)]


def _first(image_ids: set[str], count: int, seed: int) -> set[str]:
    """Return the first photographs in hash order."""
    ordered = sorted(image_ids)
    order = pd.Series(hash_order(ordered, seed), index=ordered).sort_values()
    return set(order.index[:count])


def _write_shards(archive: Path, lines: Mapping[str, Mapping[str, str]], folder: Path) -> None:
    """Write an archive's photographs into a shard of each split; `lines` has each split's labels by photograph."""
    photos = read_table(archive / "photos.parquet", PHOTOS)[["image_id", "offset", "length"]]
    with (archive / "photos.bin").open("rb") as stored:
        for split, labels in lines.items():
            # not isin(), which would hash the labels of all archives for each of them
            wanted = photos[[image_id in labels for image_id in photos["image_id"]]]
            pictures = (
                (image_id, read_from_shard(stored, offset, length), labels[image_id])
                for image_id, offset, length in wanted.itertuples(index=False, name=None)
            )
            write_shard(folder / split / f"{archive.name}.tar", pictures)
