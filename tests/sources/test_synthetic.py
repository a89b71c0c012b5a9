"""Synthetic archives: the same bytes from the same seed, AIHub's names and fields, boxes that fit their pills."""

import hashlib
import io
import json
import os
import re
import subprocess
import sys
import zipfile
from dataclasses import asdict, replace
from itertools import chain, pairwise
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from pillsnap.sources.registry import list_archives
from pillsnap.sources.settings import Source, SyntheticSource
from pillsnap.sources.synthetic.archives import list_synthetic_archives
from pillsnap.sources.synthetic.catalogue import Drug, key_rng, make_catalogue
from pillsnap.sources.synthetic.defects import COMBO_ONLY, DEFECTS, SINGLE_ONLY, Member, plant_defects
from pillsnap.sources.synthetic.make_synthetic_archive import make_synthetic_archive
from pillsnap.sources.synthetic.scene import COMBO_SCALE, SINGLE_SCALE, Shot, render_photo
from pillsnap.sources.synthetic.views import combo_photos, draw_combinations, single_photos
from tests.support.archives import draw_source
from tests.support.workflow import PROJECT

SETTINGS = SyntheticSource(
    drugs=3,
    photos_per_drug=6,
    validation_photos_per_drug=1,
    combos=2,
    validation_combos=1,
    single_archives=2,
    combo_archives=1,
    defects=0,
)
SINGLE_NAME = re.compile(r"(K-\d{6})_0_([012])_([01])_([012])_(60|70|75|90)_(\d{3})_200")
COMBO_NAME = re.compile(r"K(-\d{6}){2,5}_0_2_0_2_(70|75|90)_000_200")
IMAGE_FIELDS = {
    "file_name": str, "width": int, "height": int, "drug_N": str, "drug_S": str, "back_color": str, "drug_dir": str,
    "light_color": str, "camera_la": int, "camera_lo": int, "size": int, "dl_idx": str, "dl_mapping_code": str,
    "dl_name": str, "dl_name_en": str, "dl_material": str, "dl_company": str, "item_seq": int, "di_edi_code": str,
    "di_class_no": str, "di_etc_otc_code": str, "drug_shape": str, "thick": float, "leng_long": float,
    "leng_short": float, "print_front": str, "print_back": str, "color_class1": str, "color_class2": str,
    "chart": str, "form_code_name": str, "id": int,
}  # fmt: skip
"""Fields of `images[0]` that the description of the data set names, with their types."""


@pytest.fixture(scope="module")
def source(tmp_path_factory) -> Source:
    return draw_source(tmp_path_factory.mktemp("raw"), SETTINGS)


def members(path: str) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def labels_of(source: Source, archive: str) -> dict[str, dict]:
    files = members(list_archives(source)[archive].labels)
    return {name: json.loads(data.decode("utf-8")) for name, data in files.items()}


def draw_again(folder: Path, seed: int) -> dict[str, str]:
    """Hashes of the second single archive's files, drawn alone."""
    archive = list_synthetic_archives(single_archives=2, combo_archives=1)[1]
    paths = {"photos_zip": folder / "p.zip", "labels_zip": folder / "l.zip", "planted_csv": folder / "planted.csv"}
    make_synthetic_archive(archive=archive, **paths, seed=seed, **SETTINGS.model_dump())
    return {name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in paths.items()}


@pytest.mark.parametrize(("seed", "same"), [(576, True), (577, False)])
def test_the_seed_decides_the_bytes(source: Source, tmp_path, seed: int, same: bool) -> None:
    again = draw_again(tmp_path, seed)
    archive = list_archives(source)["TS_2_single"]
    for name, path in (("photos_zip", archive.photos), ("labels_zip", archive.labels)):
        assert (hashlib.sha256(Path(path).read_bytes()).hexdigest() == again[name]) is same


def test_another_process_with_another_hash_seed_draws_the_same(source: Source, tmp_path) -> None:
    code = "import sys, pathlib; from tests.sources import test_synthetic as test\n"
    code += "test.draw_again(pathlib.Path(sys.argv[1]), 576)"
    environment = os.environ | {"PYTHONHASHSEED": "4523", "PYTHONPATH": str(PROJECT)}
    command = [sys.executable, "-c", code, str(tmp_path)]
    subprocess.run(command, env=environment, check=True, capture_output=True)
    archive = list_archives(source)["TS_2_single"]
    assert (tmp_path / "p.zip").read_bytes() == Path(archive.photos).read_bytes()
    assert (tmp_path / "l.zip").read_bytes() == Path(archive.labels).read_bytes()


def test_a_longer_catalogue_begins_with_the_shorter() -> None:
    assert make_catalogue(drugs=40, seed=1)[:15] == make_catalogue(drugs=15, seed=1)
    assert make_catalogue(drugs=5, seed=1) != make_catalogue(drugs=5, seed=2)


def looks(drug: Drug) -> dict[str, Any]:
    """What can be seen of a drug but its imprint."""
    unseen = {"k_code", "dl_idx", "dl_name", "dl_name_en", "dl_material", "dl_company", "item_seq", "chart"}
    unseen |= {"di_edi_code", "di_class_no", "di_etc_otc_code", "print_front", "print_back"}
    return {name: value for name, value in asdict(drug).items() if name not in unseen}


def test_some_drugs_differ_by_their_imprint_only() -> None:
    catalogue = make_catalogue(drugs=48, seed=576)
    pairs = [(a, b) for a, b in pairwise(catalogue) if looks(a) == looks(b)]
    assert len(pairs) == 2, "one drug in twenty"
    for a, b in pairs:
        assert a.print_front != b.print_front
        assert a.print_back != b.print_back
        assert all((a.print_front, a.print_back, b.print_front, b.print_back))


def test_every_drug_can_be_told_and_codes_are_its_own() -> None:
    catalogue = make_catalogue(drugs=200, seed=576)
    for name in ("k_code", "dl_idx"):
        assert len({getattr(drug, name) for drug in catalogue}) == len(catalogue)
    fronts = [drug.print_front for drug in catalogue]
    assert len(set(fronts)) == len(fronts)
    assert all(int(drug.dl_idx) == int(drug.k_code.removeprefix("K-")) - 1 for drug in catalogue)
    assert {drug.di_edi_code.count(",") for drug in catalogue if drug.di_edi_code} == {0, 1}
    assert any(not drug.di_edi_code for drug in catalogue)


def test_archives_lie_where_aihub_has_them(source: Source) -> None:
    root = Path(source.root)
    found = {path.relative_to(root).as_posix() for path in root.rglob("*.zip")}
    top = "166.약품식별 인공지능 개발을 위한 경구약제 이미지 데이터/01.데이터"
    single, combo = "단일경구약제 5000종", "경구약제조합 5000종"
    assert found == {
        f"{top}/1.Training/원천데이터/{single}/TS_1_단일.zip",
        f"{top}/1.Training/원천데이터/{single}/TS_2_단일.zip",
        f"{top}/1.Training/원천데이터/{combo}/TS_1_조합.zip",
        f"{top}/1.Training/라벨링데이터/{single}/TL_1_단일.zip",
        f"{top}/1.Training/라벨링데이터/{single}/TL_2_단일.zip",
        f"{top}/1.Training/라벨링데이터/{combo}/TL_1_조합.zip",
        f"{top}/2.Validation/원천데이터/{single}/VS_1_단일.zip",
        f"{top}/2.Validation/원천데이터/{combo}/VS_1_조합.zip",
        f"{top}/2.Validation/라벨링데이터/{single}/VL_1_단일.zip",
        f"{top}/2.Validation/라벨링데이터/{combo}/VL_1_조합.zip",
    }


@pytest.mark.parametrize(("archive", "photos"), [("TS_1_single", 12), ("TS_2_single", 6), ("VS_1_single", 3)])
def test_members_of_single_archives(source: Source, archive: str, photos: int) -> None:
    names = members(list_archives(source)[archive].photos)
    assert len(names) == photos
    for name in names:
        folder, stem = name.removesuffix(".png").split("/")
        assert SINGLE_NAME.fullmatch(stem)[1] == folder
        assert int(SINGLE_NAME.fullmatch(stem)[6]) in range(0, 360, 20)
    expected = {re.sub(r"^(K-\d+)/(.*)png$", r"\1_json/\2json", name) for name in names}
    assert set(labels_of(source, archive)) == expected


@pytest.mark.parametrize(("archive", "combos"), [("TS_1_combo", 2), ("VS_1_combo", 1)])
def test_members_of_combo_archives(source: Source, archive: str, combos: int) -> None:
    names = set(members(list_archives(source)[archive].photos))
    overviews = {name for name in names if name.endswith("_index.png")}
    assert len(overviews) == len({name.split("/")[0] for name in overviews}) == combos
    assert len(names - overviews) == 3 * combos
    labels = set(labels_of(source, archive))
    for name in names - overviews:
        folder, stem = name.removesuffix(".png").split("/")
        assert COMBO_NAME.fullmatch(stem)
        drugs = [f"K-{number}" for number in folder.split("-")[1:]]
        assert 2 <= len(set(drugs)) == len(drugs) <= 5
        assert {f"{folder}_json/{drug}/{stem}.json" for drug in drugs} <= labels
        labels -= {f"{folder}_json/{drug}/{stem}.json" for drug in drugs}
    assert not labels


@pytest.mark.parametrize("archive", ["TS_1_single", "TS_1_combo", "VS_1_combo"])
def test_labels_have_aihubs_fields_and_types(source: Source, archive: str) -> None:
    for name, label in labels_of(source, archive).items():
        (image,), (annotation,) = label["images"], label["annotations"]
        assert {field: type(image[field]) for field in IMAGE_FIELDS} == IMAGE_FIELDS
        assert image["file_name"] == f"{Path(name).stem}.png"
        assert (image["width"], image["height"]) == (976, 1280)
        assert image["dl_mapping_code"] == image["drug_N"] == (name.split("/")[-2].removesuffix("_json"))
        assert image["drug_dir"] in ("앞면", "뒷면")
        assert re.fullmatch(r"(\d{9}(,\d{9})*)?", image["di_edi_code"])
        x, y, w, h = annotation["bbox"]
        assert all(type(value) is int for value in (x, y, w, h))
        assert annotation == annotation | {"area": w * h, "iscrowd": 0, "category_id": 1, "image_id": 1, "id": 1}
        assert annotation["segmentation"] == []
        assert (label["categories"][0]["id"], label["categories"][0]["name"]) == (1, "Drug")


def test_the_file_name_says_how_the_photo_was_taken(source: Source) -> None:
    backgrounds, lights = ("검은색 배경", "파란색 배경", "연회색 배경"), ("주백색", "전구색", "주광색")
    for name, label in labels_of(source, "TS_1_single").items():
        _, background, side, light, latitude, longitude = SINGLE_NAME.fullmatch(Path(name).stem).groups()
        image = label["images"][0]
        assert image["back_color"] == backgrounds[int(background)]
        assert image["drug_dir"] == ("앞면", "뒷면")[int(side)]
        assert image["light_color"] == lights[int(light)]
        assert (image["camera_la"], image["camera_lo"]) == (int(latitude), int(longitude))


@pytest.mark.parametrize("archive", ["TS_1_single", "TS_1_combo", "VS_1_single"])
def test_photos_are_png_of_976_by_1280(source: Source, archive: str) -> None:
    for name, data in members(list_archives(source)[archive].photos).items():
        if not name.endswith("_index.png"):
            with Image.open(io.BytesIO(data)) as photo:
                assert (photo.format, photo.mode, photo.size) == ("PNG", "RGB", (976, 1280))


def recoloured(drug: Drug) -> Drug:
    """The same pill in other colours: everything but its own pixels stays as it was."""
    dark = sum(drug.tint) < 380
    return replace(drug, tint=(240, 240, 240) if dark else (20, 20, 20), color_class2=drug.color_class2 and "초록")


def extent_of_change(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    changed = np.abs(first.astype(int) - second).max(axis=2)
    return np.array(cv2.boundingRect((changed > 20).astype(np.uint8)))


@pytest.mark.parametrize("shot", [Shot(0, 0, 60, 40), Shot(1, 1, 75, 200), Shot(2, 2, 90, 0)])
def test_the_box_of_a_single_pill_is_tight(shot: Shot) -> None:
    for drug in make_catalogue(drugs=4, seed=3):
        photos = [
            render_photo([(shown, 0)], shot, scale=SINGLE_SCALE, rng=key_rng(1, "test"))
            for shown in (drug, recoloured(drug))
        ]
        (first, (box,)), (second, _) = photos
        assert np.abs(extent_of_change(first, second) - box).max() <= 3, drug.drug_shape


def test_the_boxes_of_a_combo_are_tight_and_in_order() -> None:
    drugs = make_catalogue(drugs=5, seed=3)
    shot, scale = Shot(2, 2, 75, 0), COMBO_SCALE
    photo, boxes = render_photo([(drug, 0) for drug in drugs], shot, scale=scale, rng=key_rng(1, "combo"))
    for number, box in enumerate(boxes):
        pills = [(recoloured(drug) if place == number else drug, 0) for place, drug in enumerate(drugs)]
        other, _ = render_photo(pills, shot, scale=scale, rng=key_rng(1, "combo"))
        assert np.abs(extent_of_change(photo, other) - box).max() <= 3, drugs[number].drug_shape


@pytest.mark.parametrize(("training", "validation"), [(6, 1), (36, 8), (200, 40), (1278, 1), (648, 324)])
def test_no_photo_is_taken_twice_and_no_view_is_in_both_parts(training: int, validation: int) -> None:
    (drug,) = make_catalogue(drugs=1, seed=1)
    views = {}
    for part, count in (("training", training), ("validation", validation)):
        stems = [photo.stem for photo in single_photos(drug, part, training, validation, seed=1)]
        assert len(stems) == len(set(stems)) == count
        views[part] = {tuple(SINGLE_NAME.fullmatch(stem).groups()[1:5]) for stem in stems}
    assert not views["training"] & views["validation"]


def test_more_photos_than_views_is_an_error() -> None:
    (drug,) = make_catalogue(drugs=1, seed=1)
    with pytest.raises(ValueError, match=r"1296 training and 8 validation .* Lower photos_per_drug\."):
        list(single_photos(drug, "training", 1296, 8, seed=1))


@pytest.mark.parametrize("seed", range(5))
def test_no_combination_comes_twice(seed: int) -> None:
    drawn = draw_combinations(make_catalogue(drugs=6, seed=1), 20, 10, seed)
    assert {part: len(combinations) for part, combinations in drawn.items()} == {"training": 20, "validation": 10}
    stems = [photo.stem for combination in chain(*drawn.values()) for photo in combo_photos(combination)]
    assert len(stems) == len(set(stems)) == 90
    assert {len(pills) for combinations in drawn.values() for _, shown in combinations for pills in shown} == {
        2,
        3,
        4,
        5,
    }


def test_combinations_can_be_of_the_first_drugs_only(tmp_path) -> None:
    settings = SETTINGS.model_copy(update={"drugs": 4, "combo_drugs": 3})
    fewer = SETTINGS.model_copy(update={"drugs": 3})
    found = []
    for name, one in (("four", settings), ("three", fewer)):
        archive = list_synthetic_archives(single_archives=2, combo_archives=1)[2]
        paths = {file: tmp_path / f"{name}.{file}" for file in ("photos_zip", "labels_zip", "planted_csv")}
        make_synthetic_archive(archive=archive, **paths, seed=576, **one.model_dump())
        found.append([path.read_bytes() for path in paths.values()])
    assert found[0] == found[1], "the fourth drug changes nothing of them"


def test_more_combinations_than_the_drugs_make_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"2 drugs do not make 1 training and 1 validation combinations"):
        draw_combinations(make_catalogue(drugs=2, seed=1), 1, 1, seed=1)


@pytest.mark.parametrize(("pills", "not_planted"), [(1, COMBO_ONLY), (3, SINGLE_ONLY)])
def test_defects_are_planted_one_to_a_photo_and_in_a_tenth_at_most(pills: int, not_planted: set[str]) -> None:
    kinds = [kind for kind in DEFECTS if kind not in not_planted]
    labels = tuple(f"{number}.json" for number in range(pills))
    members = [Member(f"{number % 2}/{number}.png", lambda: (b"", {}), labels) for number in range(1000)]
    members.append(Member("overview_index.png", lambda: (b"", {})))
    planted = [member.defect for member in plant_defects(members, 2, np.random.default_rng(1)) if member.defect]
    assert sorted(planted) == sorted(2 * kinds)
    assert sum(bool(m.defect) for m in plant_defects(members[:100], 2, np.random.default_rng(1))) == 10
    assert not any(m.defect for m in plant_defects(members, 0, np.random.default_rng(1)))
