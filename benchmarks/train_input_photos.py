"""Pictures of benchmarks/train_input.py: synthetic photographs, prepared, and laid out for each reader."""

import shutil
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from drawn_archives import SEED, DrawnArchive, draw_archives

from pillsnap.config.config import Config, Crops
from pillsnap.crops.crop import cut_crop
from pillsnap.detector.build_yolo_dataset import build_yolo_dataset
from pillsnap.detector.yolo_shards import unpack_shards
from pillsnap.files import ShardWriter, read_from_shard
from pillsnap.manifest.prepare_archive import prepare_archive
from pillsnap.pictures.decode import decode_jpeg, encode_jpeg
from pillsnap.tables.files import make_table, read_table, write_table
from pillsnap.tables.schemas import CONTEXTS, CROPS, MANIFEST, PHOTOS, PLAN

ENOUGH_SINGLES = 10**6


@dataclass(frozen=True)
class Pictures:
    """The same pictures for each reader.

    Attributes:
        crops: folder as `cut_crops` writes it; training only, one crop a pill.
        crop_files: the same JPEGs as files, in a folder for each drug.
        dataset: what `build_yolo_dataset` wrote, unpacked; training only.
        raw_dataset: the same photographs and labels with the raw PNGs.
    """

    crops: Path
    crop_files: Path
    dataset: Path
    raw_dataset: Path


def draw_pictures(folder: Path, config: Config, *, photos: int, copies: int, crops: int, processes: int) -> Pictures:
    """Draw so many photographs; the detector's readers get each `copies` times, under another name.

    Crops are cut around the labelled boxes and, until there are `crops`, around boxes that lie a little beside them.
    """
    archives = draw_archives(folder, photos=photos, copies=copies, archives=processes)
    prepared = [folder / "prepared" / str(number) for number, _ in enumerate(archives)]
    for archive, path in zip(archives, prepared, strict=True):
        words = {"plan": archive.plan, "settings": config.prepare, "threads": 1}
        prepare_archive(archive=archive.zips["stored"], prepared=path, **words)
    found = Pictures(*(folder / name for name in ("crops", "crop_files", "dataset", "raw_dataset")))
    pills = _manifest(archives, prepared)
    write_table(pills, folder / "train.csv", MANIFEST)
    settings = config.yolo.model_copy(update={"max_single_photos": ENOUGH_SINGLES})
    words = {"dataset": folder / "shards", "settings": settings, "seed": SEED}
    build_yolo_dataset(manifest={"train": folder / "train.csv"}, prepared=prepared, **words)
    unpack_shards(folder / "shards", found.dataset)
    _lay_out_raw(archives, pills, found)
    _write_crops(found, pills, prepared, crops, config.crops)
    return found


def _manifest(archives: list[DrawnArchive], prepared: list[Path]) -> pd.DataFrame:
    """What `build_manifest` would keep of the drawn plans: all of it, as training."""
    plan = pd.concat([read_table(archive.plan, PLAN) for archive in archives])
    photos = pd.concat([read_table(path / "photos.parquet", PHOTOS) for path in prepared])
    plan["sha256"] = plan["image_id"].map(photos.set_index("image_id")["sha256"])
    plan["class_index"] = plan["k_code"].rank(method="dense").astype(int) - 1
    return plan.assign(fully_labelled=True)[list(MANIFEST.columns)]


def _lay_out_raw(archives: list[DrawnArchive], pills: pd.DataFrame, pictures: Pictures) -> None:
    images = pictures.raw_dataset / "images/train"
    images.mkdir(parents=True)
    shutil.copytree(pictures.dataset / "labels", pictures.raw_dataset / "labels")
    names = pills.drop_duplicates("image_id").groupby("member")["image_id"]
    for archive in archives:
        with zipfile.ZipFile(archive.zips["stored"].photos) as stored:
            for member in archive.members:
                first, *further = names.get_group(member)
                (images / f"{first}.png").write_bytes(stored.read(member))
                for name in further:
                    (images / f"{name}.png").hardlink_to(images / f"{first}.png")


def _write_crops(pictures: Pictures, pills: pd.DataFrame, prepared: list[Path], count: int, settings: Crops) -> None:
    """Write the same JPEGs as shard with index and as files."""
    pictures.crops.mkdir()
    facts = pills.drop_duplicates("member").set_index("image_id")
    rows = []
    with ShardWriter(pictures.crops / "train.bin") as shard:
        for number, (image_id, crop) in enumerate(_cut(facts.index, prepared, count, settings)):
            pill = facts.loc[image_id]
            jpeg = encode_jpeg(crop, settings.quality)
            offset, length = shard.add(jpeg)
            file = pictures.crop_files / pill["k_code"] / f"{number:06d}.jpg"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(jpeg)
            rows.append(
                {"pill_id": f"{number:06d}", "split": "train", "box_from": "label", "iou": 1.0}
                | {"image_id": image_id, "offset": offset, "length": length}
                | pill[["domain", "k_code", "class_index"]].to_dict()
            )
    write_table(make_table(rows, CROPS), pictures.crops / "index.parquet", CROPS)


def _cut(images: pd.Index, prepared: list[Path], count: int, settings: Crops) -> Iterator[tuple[str, np.ndarray]]:
    """`count` crops as (image_id, picture), photograph by photograph: the first round around the labelled boxes."""
    windows = []
    for path in prepared:
        contexts = read_table(path / "crops.parquet", CONTEXTS)
        with (path / "crops.bin").open("rb") as stored:
            for row in contexts[contexts["image_id"].isin(images)].drop_duplicates("image_id").itertuples():
                box = np.array([row.x - row.left, row.y - row.top, row.w, row.h], float)
                jpeg = read_from_shard(stored, row.offset, row.length)
                windows.append((row.image_id, decode_jpeg(jpeg), box))
    generator = np.random.default_rng(SEED)
    for number in range(count):
        image_id, window, box = windows[number % len(windows)]
        beside = generator.uniform(-0.1, 0.1, 2) * box[2:] if number >= len(windows) else 0
        moved = np.concatenate([box[:2] + beside, box[2:]])
        yield image_id, cut_crop(window, moved, size=settings.size, margin=settings.margin)
