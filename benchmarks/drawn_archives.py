"""Archives for benchmarks/prepare.py: synthetic photographs in PNGs as cameras' software writes them.

The scenes are the built-in source's (synthetic), drawn with their true boxes. The files are not: the source's own PNGs
are made for quick writing, while these go through Pillow's default (adaptive filters, zlib level 6), which takes a
decoder longer, as most PNGs in the world do.
"""

import io
import multiprocessing
import zipfile
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import pandas as pd
from PIL import Image

from pillsnap.sources.archives import Archive
from pillsnap.sources.synthetic.catalogue import key_rng, make_catalogue
from pillsnap.sources.synthetic.scene import HEIGHT, WIDTH, render_photo
from pillsnap.sources.synthetic.views import Photo, combo_photos, draw_combinations, single_photos
from pillsnap.tables.files import make_table, write_table
from pillsnap.tables.schemas import PLAN

SEED = 576
DRUGS, PHOTOS_PER_DRUG = 40, 36
COMBO_SHARE = 0.007
"""AIHub's share of photographs with several pills."""


@dataclass(frozen=True)
class DrawnArchive:
    """One archive of the benchmark.

    Attributes:
        zips: the same photographs in a zip without compression (`stored`), and in a `deflated` one.
        plan: its photographs as `plan_stage` writes them, each `copies` times under another image_id.
        copies: how often each is planned.
        members: their names in the zips.
        boxes: their pills' boxes by name: x, y, w, h.
    """

    zips: dict[str, Archive]
    plan: Path
    copies: int
    members: tuple[str, ...]
    boxes: dict[str, list[list[int]]]


def draw_archives(folder: Path, *, photos: int, copies: int, archives: int) -> list[DrawnArchive]:
    """Draw so many photographs, divided over so many archives, and plan each `copies` times.

    Between two readings of a photograph lie all others, more than a processor's cache holds.
    """
    # a fork would inherit locks of OpenCV's threads, and wait for them without end
    with ProcessPoolExecutor(archives, mp_context=multiprocessing.get_context("spawn")) as pool:
        drawn = list(pool.map(_draw, _scenes(photos), chunksize=4))
    return [_write(folder, number, drawn[number::archives], copies) for number in range(archives)]


def _scenes(photos: int) -> list[Photo]:
    catalogue = make_catalogue(drugs=DRUGS, seed=SEED)
    combos = max(1, round(photos * COMBO_SHARE))
    drawn = draw_combinations(catalogue, -(-combos // 3), 1, SEED)["training"]
    scenes = [photo for combination in drawn for photo in combo_photos(combination)][:combos]
    singles = [list(single_photos(drug, "training", PHOTOS_PER_DRUG, 1, SEED)) for drug in catalogue]
    scenes += [photo for turn in zip(*singles, strict=True) for photo in turn]
    if photos > len(scenes):
        raise SystemExit(f"--photos {photos}: at most {len(scenes)} different ones are drawn. Raise --copies.")
    return scenes[:photos]


def _draw(photo: Photo) -> tuple[Photo, bytes, list[list[int]]]:
    cv2.setNumThreads(1)
    picture, boxes = render_photo(photo.pills, photo.shot, scale=photo.scale, rng=key_rng(SEED, "photo", photo.stem))
    stream = io.BytesIO()
    Image.fromarray(picture).save(stream, "PNG")
    return photo, stream.getvalue(), boxes


def _write(folder: Path, number: int, drawn: list[tuple[Photo, bytes, list[list[int]]]], copies: int) -> DrawnArchive:
    name = f"TS_{number + 1}_single"
    boxes = {f"{photo.folder}/{photo.stem}.png": found for photo, _, found in drawn}
    zips = {}
    for kind, compression in (("stored", zipfile.ZIP_STORED), ("deflated", zipfile.ZIP_DEFLATED)):
        path = folder / kind / f"{name}.zip"
        path.parent.mkdir(parents=True, exist_ok=True)
        with zipfile.ZipFile(path, "w", compression) as archive:
            for member, (_, data, _) in zip(boxes, drawn, strict=True):
                archive.writestr(member, data)
        zips[kind] = Archive(name, str(path), "", "single", "")
    plan = folder / f"{name}.plan.parquet"
    rows = [row for copy in range(copies) for photo, _, found in drawn for row in _rows(name, copy, photo, found)]
    write_table(make_table(rows, PLAN), plan, PLAN)
    return DrawnArchive(zips, plan, copies, tuple(boxes), boxes)


def _rows(archive: str, copy: int, photo: Photo, boxes: list[list[int]]) -> list[dict[str, Any]]:
    facts = {
        "image_id": f"{archive}.{copy:03d}.{photo.stem}",
        "archive": archive,
        "member": f"{photo.folder}/{photo.stem}.png",
        "domain": "single" if len(photo.pills) == 1 else "combo",
        "part": "",
        "group": photo.stem,
        "expected_pills": len(photo.pills),
        "width": WIDTH,
        "height": HEIGHT,
        "split": "train",
    }
    return [
        facts
        | {"label_member": f"{photo.stem}.{drug.k_code}.json", "k_code": drug.k_code, "drug_name": drug.dl_name}
        | {"edi_codes": drug.di_edi_code or ""}
        | dict(zip("xywh", box, strict=True))
        for (drug, _), box in zip(photo.pills, boxes, strict=True)
    ]


def shortened(archive: DrawnArchive, share: float) -> DrawnArchive:
    """The archive with only a share of its photographs, once each; at least one."""
    members = archive.members[: max(1, round(len(archive.members) * archive.copies * share))]
    plan = archive.plan.with_name(f"{archive.plan.stem}.{len(members)}.parquet")
    table = pd.read_parquet(archive.plan)
    write_table(table[table["member"].isin(members) & table["image_id"].str.contains(".000.", regex=False)], plan, PLAN)
    return DrawnArchive(archive.zips, plan, 1, members, archive.boxes)
