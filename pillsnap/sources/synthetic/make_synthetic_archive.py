"""Write zips of synthetic photographs and labels with exactly AIHub's layout."""

import csv
import io
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from pillsnap.files import replacing
from pillsnap.progress import progress
from pillsnap.sources.synthetic.archives import SyntheticArchive
from pillsnap.sources.synthetic.catalogue import Drug, key_rng, make_catalogue
from pillsnap.sources.synthetic.defects import SHARED_GROUP, TEST_ONLY, Member, plant_defects
from pillsnap.sources.synthetic.scene import HEIGHT, WIDTH, Shot, render_photo
from pillsnap.sources.synthetic.views import (
    COMBO_LATITUDES,
    Photo,
    combo_photos,
    draw_combinations,
    shared_view,
    single_photos,
)


def make_synthetic_archive(
    *,
    archive: SyntheticArchive,
    photos_zip: Path,
    labels_zip: Path,
    planted_csv: Path,
    drugs: int,
    photos_per_drug: int,
    validation_photos_per_drug: int,
    combos: int,
    combo_drugs: int | None = None,
    validation_combos: int,
    single_archives: int,
    combo_archives: int,
    defects: int,
    seed: int,
) -> None:
    """Write one pair of zips and the list of the defects planted in it; the same seed gives the same bytes.

    Photographs are stored without compression, as PNGs usually are; time stamps are 1980.

    Args:
        archive: the pair of zips to write.
        photos_zip, labels_zip, planted_csv: written, complete or not at all.
        drugs: drugs of the catalogue, divided over the single archives.
        photos_per_drug, validation_photos_per_drug: single-pill photographs of each drug in the two parts.
        combos, validation_combos: combinations in the two parts, divided over the combo archives; each has 3
            photographs and an `_index.png`.
        combo_drugs: number of drugs, the catalogue's first ones, that combinations are of; `None`: all.
        single_archives, combo_archives: training archives of each domain.
        defects: planted defects of each kind, in training archives; and, in the validation part, a drug that no
            other part has, and this many views of capture groups of the training part.
        seed: seed of drugs, scenes and defects.

    Raises:
        ValueError: more photographs of a drug are requested than there are views, or more combinations than the
            drugs make.
    """
    cv2.setNumThreads(1)
    catalogue = make_catalogue(drugs=drugs, seed=seed)
    training = archive.part == "training"
    shared = [shared_view(drug, seed) for drug in catalogue[:defects]]
    planted: dict[str, str] = {}
    if archive.domain == "single":
        own = catalogue[archive.number - 1 :: single_archives] if training else catalogue
        counts = photos_per_drug, validation_photos_per_drug
        photos = [photo for drug in own for photo in single_photos(drug, archive.part, *counts, seed)]
        if defects and not training:
            test_only_drug = make_catalogue(drugs=drugs + 1, seed=seed)[-1]
            test_only = list(single_photos(test_only_drug, archive.part, *counts, seed))
            photos += test_only + shared
            planted = {photo.stem: TEST_ONLY for photo in test_only} | {photo.stem: SHARED_GROUP for photo in shared}
    else:
        drawn = draw_combinations(catalogue[:combo_drugs], combos, validation_combos, seed)[archive.part]
        combinations = drawn[archive.number - 1 :: combo_archives] if training else drawn
        photos = [photo for combination in combinations for photo in combo_photos(combination)]
    rng = key_rng(seed, "defects", archive.stem)
    spared = {f"{photo.folder}/{photo.stem.rsplit('_', 2)[0]}" for photo in shared}
    members = [replace(m, defect=planted.get(Path(m.name).stem, "")) for m in _members(photos, archive, seed)]
    members = plant_defects(members, defects, rng, spared) if training else members
    with replacing(photos_zip) as photos_file, replacing(labels_zip) as labels_file, replacing(planted_csv) as listing:
        _write_zips(photos_file, labels_file, sorted(members, key=lambda m: m.name), archive.stem)
        _write_planted(listing, archive, members)


def _members(photos: list[Photo], archive: SyntheticArchive, seed: int) -> Iterator[Member]:
    for photo in photos:
        yield _member(photo, archive, seed)
        if archive.domain == "combo" and photo.shot.latitude == COMBO_LATITUDES[0]:
            name = f"{photo.folder}/{photo.folder}_0_2_0_2_index.png"
            yield Member(name, partial(_draw_overview, photo, seed))


def _member(photo: Photo, archive: SyntheticArchive, seed: int) -> Member:
    names = tuple(
        f"{photo.folder}_json/{photo.stem}.json"
        if archive.domain == "single"
        else f"{photo.folder}_json/{drug.k_code}/{photo.stem}.json"
        for drug, _ in photo.pills
    )

    def draw() -> tuple[bytes, dict[str, Any]]:
        picture, boxes = _render(photo, seed)
        labels = [
            label_json(drug, side, photo.stem, photo.shot, box)
            for (drug, side), box in zip(photo.pills, boxes, strict=True)
        ]
        return _encode(picture), dict(zip(names, labels, strict=True))

    return Member(f"{photo.folder}/{photo.stem}.png", draw, names)


def _draw_overview(photo: Photo, seed: int) -> tuple[bytes, dict[str, Any]]:
    """Draw the composed picture that AIHub adds to each combination; it has no labels."""
    picture = cv2.resize(_render(photo, seed)[0], (WIDTH // 2, HEIGHT // 2), interpolation=cv2.INTER_AREA)
    return _encode(picture), {}


@lru_cache(maxsize=4)  # a combination's overview shows its first photograph again
def _render(photo: Photo, seed: int) -> tuple[np.ndarray, list[list[int]]]:
    return render_photo(photo.pills, photo.shot, scale=photo.scale, rng=key_rng(seed, "photo", photo.stem))


def _encode(picture: np.ndarray) -> bytes:
    """Encode as PNG by the filter and strategy that measured fastest (44 ms against 90 ms, a tenth larger)."""
    fast = [
        cv2.IMWRITE_PNG_COMPRESSION, 1,
        cv2.IMWRITE_PNG_FILTER, cv2.IMWRITE_PNG_FILTER_SUB,
        cv2.IMWRITE_PNG_STRATEGY, cv2.IMWRITE_PNG_STRATEGY_HUFFMAN_ONLY,
    ]  # fmt: skip
    return cv2.imencode(".png", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), fast)[1].tobytes()


def label_json(drug: Drug, side: int, stem: str, shot: Shot, box: list[int]) -> dict[str, Any]:
    """Return one label with AIHub's fields and types; every id is 1, as there."""
    image = {
        "file_name": f"{stem}.png",
        "width": WIDTH,
        "height": HEIGHT,
        "imgfile": f"{stem}.png",
        "drug_N": drug.k_code,
        "drug_S": "정상알약",
        "back_color": ("검은색 배경", "파란색 배경", "연회색 배경")[shot.background],
        "drug_dir": ("앞면", "뒷면")[side],
        "light_color": ("주백색", "전구색", "주광색")[shot.light],
        "camera_la": shot.latitude,
        "camera_lo": shot.longitude,
        "size": 200,
        "dl_idx": drug.dl_idx,
        "dl_mapping_code": drug.k_code,
        "dl_name": drug.dl_name,
        "dl_name_en": drug.dl_name_en,
        "dl_material": drug.dl_material,
        "dl_company": drug.dl_company,
        "item_seq": drug.item_seq,
        "di_edi_code": drug.di_edi_code,
        "di_class_no": drug.di_class_no,
        "di_etc_otc_code": drug.di_etc_otc_code,
        "drug_shape": drug.drug_shape,
        "thick": drug.thick,
        "leng_long": drug.leng_long,
        "leng_short": drug.leng_short,
        "print_front": drug.print_front or ("분할선" if drug.line_front else ""),
        "print_back": drug.print_back or ("분할선" if drug.line_back else ""),
        "color_class1": drug.color_class1,
        "color_class2": drug.color_class2,
        "line_front": drug.line_front,
        "line_back": drug.line_back,
        "chart": drug.chart,
        "form_code_name": drug.form_code_name,
        "id": 1,
    }
    annotation = {
        "area": box[2] * box[3],
        "iscrowd": 0,
        "bbox": box,
        "category_id": 1,
        "ignore": 0,
        "segmentation": [],
        "id": 1,
        "image_id": 1,
    }
    return {
        "images": [image],
        "type": "instances",
        "annotations": [annotation],
        "categories": [{"supercategory": "pill", "id": 1, "name": "Drug"}],
    }


def _write_zips(photos_file: Path, labels_file: Path, members: list[Member], title: str) -> None:
    with zipfile.ZipFile(photos_file, "w") as photo_zip, zipfile.ZipFile(labels_file, "w") as label_zip:
        for member in progress(members, total=len(members), title=title):
            _write_member(photo_zip, label_zip, member)


def _write_member(photo_zip: zipfile.ZipFile, label_zip: zipfile.ZipFile, member: Member) -> None:
    photos, labels = member.files()
    for name, data in sorted(photos.items()):
        photo_zip.writestr(zipfile.ZipInfo(name), data)
    for name, data in sorted(labels.items()):
        label_zip.writestr(zipfile.ZipInfo(name), data, compress_type=zipfile.ZIP_DEFLATED)


def _write_planted(listing: Path, archive: SyntheticArchive, members: list[Member]) -> None:
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(["archive", "member", "label_member", "defect"])
    writer.writerows([archive.stem, m.name, min(m.label_names), m.defect] for m in members if m.defect)
    listing.write_text(stream.getvalue(), encoding="utf-8-sig", newline="")
