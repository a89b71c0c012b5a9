"""Photographs of benchmarks/split.py: drawn, indexed, split in two ways, prepared."""

import json
import zipfile
from concurrent.futures import Executor
from dataclasses import dataclass
from pathlib import Path

import cv2

from pillsnap.config.data import Plan, Prepare, Stage
from pillsnap.files import replacing
from pillsnap.manifest.index_archive import index_archive
from pillsnap.manifest.plan_stage import plan_stage
from pillsnap.manifest.prepare_archive import prepare_archive
from pillsnap.sources.aihub_name import parse_photo_name
from pillsnap.sources.archives import Archive
from pillsnap.sources.registry import list_archives
from pillsnap.sources.settings import Source
from pillsnap.sources.synthetic.catalogue import Drug, key_rng, make_catalogue
from pillsnap.sources.synthetic.make_synthetic_archive import label_json
from pillsnap.sources.synthetic.scene import render_photo
from pillsnap.sources.synthetic.views import Photo, single_photos
from pillsnap.tables.files import read_table, read_tables, write_table
from pillsnap.tables.schemas import PILLS, PLAN

FRACTIONS = Plan(test_fraction=0.2, val_fraction=0.25)
"""A fifth, and a quarter of the rest: five groups divide into 3 + 1 + 1, and photographs one by one in the same way."""
VIEWS = 72 * 18
"""Photographs of a drug that the source can draw."""
_FAST_PNG = [
    cv2.IMWRITE_PNG_COMPRESSION, 1,
    cv2.IMWRITE_PNG_FILTER, cv2.IMWRITE_PNG_FILTER_SUB,
    cv2.IMWRITE_PNG_STRATEGY, cv2.IMWRITE_PNG_STRATEGY_HUFFMAN_ONLY,
]  # fmt: skip


@dataclass(frozen=True)
class Sizes:
    """How much is drawn.

    Attributes:
        drugs: of the source's catalogue.
        groups: capture groups of each drug that are divided, a multiple of five.
        longitudes: photographs of each of these groups.
        unseen: further groups of each drug, with one photograph each.
    """

    drugs: int
    groups: int
    longitudes: int
    unseen: int


@dataclass(frozen=True)
class Indexed:
    """Archives whose index tables lie in `folder`."""

    folder: Path
    archives: dict[str, Archive]

    def tables(self, ending: str) -> list[Path]:
        """One kind of index file of each archive."""
        return [self.folder / f"{name}.{ending}" for name in self.archives]

    def prepared(self, folder: Path) -> list[Path]:
        """Where `prepare_archive` puts each archive for the plan in `folder`."""
        return [folder / "prepared" / name for name in self.archives]


def draw_photos(raw: Path, sizes: Sizes, seed: int, pool: Executor) -> None:
    """Draw the photographs that are divided into `raw/seen`, the unseen groups into `raw/unseen`, as AIHub's archives.

    An archive that is there already is not drawn again.
    """
    catalogue = make_catalogue(drugs=sizes.drugs, seed=seed)
    divided, further = slice(sizes.groups), slice(sizes.groups, sizes.groups + sizes.unseen)
    jobs = [
        (raw / "seen", 1, catalogue[::2], divided, sizes.longitudes, seed),
        (raw / "seen", 2, catalogue[1::2], divided, sizes.longitudes, seed),
        (raw / "unseen", 3, catalogue, further, 1, seed),
    ]
    for job in [pool.submit(_draw_archive, *job) for job in jobs]:
        job.result()


def _draw_archive(root: Path, number: int, drugs: list[Drug], groups: slice, longitudes: int, seed: int) -> None:
    photos_zip, labels_zip = root / f"TS_{number}_단일.zip", root / f"TL_{number}_단일.zip"
    if photos_zip.exists() and labels_zip.exists():
        return
    cv2.setNumThreads(1)
    photos = [photo for drug in drugs for photo in _views(drug, groups, longitudes, seed)]
    with (
        replacing(photos_zip) as photos_file,
        replacing(labels_zip) as labels_file,
        zipfile.ZipFile(photos_file, "w") as photo_zip,
        zipfile.ZipFile(labels_file, "w") as label_zip,
    ):
        for photo in photos:
            png, label = _draw_photo(photo, seed)
            photo_zip.writestr(zipfile.ZipInfo(f"{photo.folder}/{photo.stem}.png"), png)
            label_zip.writestr(zipfile.ZipInfo(f"{photo.folder}_json/{photo.stem}.json"), label)


def _views(drug: Drug, groups: slice, longitudes: int, seed: int) -> list[Photo]:
    """Some of a drug's capture groups, by lot, with so many photographs of each."""
    by_group: dict[str, list[Photo]] = {}
    for photo in single_photos(drug, "training", VIEWS, 0, seed):
        by_group.setdefault(parse_photo_name(photo.stem).capture_group, []).append(photo)
    lot = key_rng(seed, "split benchmark", drug.k_code).permutation(sorted(by_group))
    return [photo for group in lot[groups] for photo in by_group[group][:longitudes]]


def _draw_photo(photo: Photo, seed: int) -> tuple[bytes, bytes]:
    """PNG and label of one photograph, its picture as the source draws it."""
    ((drug, side),) = photo.pills
    picture, (box,) = render_photo(photo.pills, photo.shot, scale=photo.scale, rng=key_rng(seed, "photo", photo.stem))
    png = cv2.imencode(".png", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), _FAST_PNG)[1]
    label = label_json(drug, side, photo.stem, photo.shot, box)
    return png.tobytes(), json.dumps(label, ensure_ascii=False).encode()


def index_photos(root: Path, folder: Path) -> Indexed:
    """Run `index_archive` on every archive below `root`."""
    indexed = Indexed(folder, list_archives(Source(kind="aihub", root=str(root))))
    for name, archive in indexed.archives.items():
        tables = {kind: f"{kind}.parquet" for kind in ("backgrounds", "looks", "issues")}
        endings = tables | {"pills": "parquet", "counts": "counts.json"}
        paths = {kind: folder / f"{name}.{ending}" for kind, ending in endings.items()}
        index_archive(kind="aihub", archive=archive, **paths)
    return indexed


def divide(seen: Indexed, folder: Path, split: str, seed: int) -> None:
    """Write the plan of all photographs: `grouped` by capture group, `random` with each photograph a group of its own.

    Both plans name the true groups, so that what leaks is counted by them.
    """
    index = seen.tables("parquet")
    if split == "random":
        index = [folder / path.name for path in index]
        for path in index:
            pills = read_table(seen.folder / path.name, PILLS)
            write_table(pills.assign(group=pills["image_id"]), path, PILLS)
    names = {"plan": "plan.parquet", "summary": "plan.json", "refused": "refused.csv"}
    names |= {kind: f"plan.{kind}.parquet" for kind in ("backgrounds", "issues")}
    paths = {kind: folder / name for kind, name in names.items()}
    stage = Stage(images=10**6, classes=4523)
    others = {f"index_{kind}": seen.tables(f"{kind}.parquet") for kind in ("backgrounds", "issues")}
    plan_stage(pills=index, **others, **paths, stage=stage, settings=FRACTIONS, seed=seed)
    planned = read_table(paths["plan"], PLAN)
    true_groups = read_tables(seen.tables("parquet"), PILLS).set_index("image_id")["group"]
    write_table(planned.assign(group=planned["image_id"].map(true_groups)), paths["plan"], PLAN)


def hold_out(unseen: Indexed, folder: Path) -> None:
    """Write a plan in which every photograph is of the test part."""
    write_table(read_tables(unseen.tables("parquet"), PILLS).assign(split="test"), folder / "plan.parquet", PLAN)


def prepare_photos(indexed: Indexed, folder: Path, settings: Prepare, pool: Executor) -> None:
    """Run `prepare_archive` on every archive for the plan in `folder`."""
    words = {"plan": folder / "plan.parquet", "settings": settings, "threads": 1}
    pairs = zip(indexed.archives.values(), indexed.prepared(folder), strict=True)
    for job in [pool.submit(prepare_archive, archive=archive, prepared=path, **words) for archive, path in pairs]:
        job.result()
