"""Which archives a source has: every way in which people keep AIHub's data, YOLO sets, and what is missing."""

import itertools
import shutil
import unicodedata
import zipfile
from collections import Counter
from dataclasses import replace
from pathlib import Path

import cv2
import pytest
from PIL import Image

from pillsnap.sources.aihub import read_aihub_labels
from pillsnap.sources.archives import Archive, SourceError
from pillsnap.sources.registry import list_archives
from pillsnap.sources.settings import Source, SyntheticSource
from pillsnap.sources.yolo import class_names, read_yolo_labels
from tests.support.aihub_files import label, png, write_zip
from tests.support.archives import hand_made, photo_png

PHOTOS = {"K-000001/a.png": png()}
LABELS = {"K-000001_json/a.json": label("a.png", "K-000001")}


def unpack(path: Path) -> None:
    """Replace a zip by a folder of its name, as people do."""
    with zipfile.ZipFile(path) as archive:
        archive.extractall(path.with_suffix(""))
    path.unlink()


def aihub(root: Path) -> dict[str, Archive]:
    return list_archives(Source(kind="aihub", root=str(root)))


def test_synthetic_archives_are_known_before_they_are_drawn(tmp_path) -> None:
    settings = SyntheticSource(single_archives=11, combo_archives=1)
    archives = list_archives(Source(kind="synthetic", root=str(tmp_path / "raw"), synthetic=settings))
    singles = [f"TS_{number}_single" for number in range(1, 12)]
    assert list(archives) == ["TS_1_combo", *singles, "VS_1_combo", "VS_1_single"]
    assert archives["TS_11_single"].photos.endswith("1.Training/원천데이터/단일경구약제 5000종/TS_11_단일.zip")
    assert archives["TS_11_single"].labels.endswith("1.Training/라벨링데이터/단일경구약제 5000종/TL_11_단일.zip")
    assert {archive.part for name, archive in archives.items() if name.startswith("T")} == {""}
    assert {archive.part for name, archive in archives.items() if name.startswith("V")} == {"test"}
    assert not (tmp_path / "raw").exists()


@pytest.mark.parametrize("unpacked", [False, True])
@pytest.mark.parametrize("form", ["NFC", "NFD"])
@pytest.mark.parametrize(
    ("folder", "photos", "labels", "expected"),
    [
        ("1.Training/원천데이터/단일경구약제 5000종", "TS_1_단일", "TL_1_단일", ("TS_1_single", "single", "")),
        ("1.Training/원천데이터/경구약제조합 5000종", "TS_8_조합", "TL_8_조합", ("TS_8_combo", "combo", "")),
        ("2.Validation/원천데이터", "VS_10_단일", "VL_10_단일", ("VS_10_single", "single", "test")),
        ("1.Training/단일경구약제_5000종", "TS_1_single", "TL_1_single", ("TS_1_single", "single", "")),
        ("validation", "VS_1_combo", "VL_1_combo", ("VS_1_combo", "combo", "test")),
        ("names with spaces", "TS 2 단일", "TL 2 단일", ("TS_2_single", "single", "")),
    ],
)
def test_aihub_archives_are_found_however_people_name_them(
    tmp_path, folder, photos, labels, expected, form, unpacked
) -> None:
    folder, photos, labels = (unicodedata.normalize(form, text) for text in (folder, photos, labels))
    for name, files in ((photos, PHOTOS), (labels, LABELS)):
        path = write_zip(tmp_path / folder / f"{name}.zip", files)
        if unpacked:
            unpack(path)
    (archive,) = aihub(tmp_path).values()
    assert (archive.name, archive.domain, archive.part) == expected
    assert Path(archive.photos).is_dir() is unpacked
    (pill,) = read_aihub_labels(archive).pills
    assert (pill["member"], pill["label_member"], pill["archive"]) == (*PHOTOS, *LABELS, expected[0])


def test_zips_and_folders_read_alike(tmp_path) -> None:
    hand_made().write(tmp_path / "zips")
    shutil.copytree(tmp_path / "zips", tmp_path / "folders")
    for path in list((tmp_path / "folders").rglob("*.zip")):
        unpack(path)
    zips, folders = aihub(tmp_path / "zips"), aihub(tmp_path / "folders")
    assert list(zips) == list(folders) == ["TS_1_combo", "TS_1_single", "VS_1_combo", "VS_1_single"]
    for name in zips:
        zipped, unpacked = read_aihub_labels(zips[name]), read_aihub_labels(folders[name])
        assert replace(zipped, directories={}) == replace(unpacked, directories={})


@pytest.mark.parametrize("packed", [True, False])
def test_the_edition_of_the_course_is_read(tmp_path, packed) -> None:
    """All photographs in one folder, labels by combination and drug, ids numbered anew."""
    drugs = ("K-001900", "K-010224")
    combo, alone = "K-001900-010224_0_2_0_2_70_000_200", "K-001900_0_2_0_0_75_000_200"
    write_zip(tmp_path / "train_images.zip", {f"{stem}.png": png() for stem in (combo, alone)})
    labels = {
        f"{combo.split('_')[0]}_json/{drug}/{combo}.json": label(
            f"{combo}.png", drug, (10, 20 + 50 * place, 30, 40), id=17 + place, dl_idx=int(drug[2:])
        )
        for place, drug in enumerate(drugs)
    }
    labels[f"K-001900_json/K-001900/{alone}.json"] = label(f"{alone}.png", "K-001900")
    write_zip(tmp_path / "train_annotations.zip", labels)
    write_zip(tmp_path / "test_images.zip", {"1.png": png()})
    if not packed:
        unpack(tmp_path / "train_images.zip")
        unpack(tmp_path / "train_annotations.zip")
    (archive,) = aihub(tmp_path).values()
    assert (archive.name, archive.domain, archive.part) == ("train_images", "", "")
    reading = read_aihub_labels(archive)
    assert reading.issues == []
    found = {(pill["member"], pill["k_code"], pill["domain"], pill["expected_pills"]) for pill in reading.pills}
    assert found == {(f"{combo}.png", drug, "combo", 2) for drug in drugs} | {(f"{alone}.png", drugs[0], "single", 1)}


@pytest.mark.parametrize(
    ("damaged", "reasons"),
    [
        ("TS_1_단일.zip", {("", ""): "archive_unreadable", ("", "K-000001_json/a.json"): "archive_pair_unreadable"}),
        ("TL_1_단일.zip", {("", ""): "archive_unreadable", ("K-000001/a.png", ""): "archive_pair_unreadable"}),
    ],
)
@pytest.mark.parametrize("damage", ["truncated", "encrypted"])
def test_an_archive_that_cannot_be_opened_is_told_and_its_pair_accounted_for(
    tmp_path, damaged, reasons, damage
) -> None:
    write_zip(tmp_path / "TS_1_단일.zip", PHOTOS)
    write_zip(tmp_path / "TL_1_단일.zip", LABELS)
    data = bytearray((tmp_path / damaged).read_bytes())
    if damage == "truncated":
        del data[len(data) // 2 :]
    else:
        data[data.index(b"PK\x01\x02") + 8] |= 1
    (tmp_path / damaged).write_bytes(data)
    reading = read_aihub_labels(aihub(tmp_path)["TS_1_single"])
    assert {(i["member"], i["label_member"]): i["reason"] for i in reading.issues} == reasons
    assert reading.archives_read == 2 and not reading.pills
    (told,) = (issue["detail"] for issue in reading.issues if issue["reason"] == "archive_unreadable")
    assert damaged in told and "Fetch" in told.replace("fetch", "Fetch")


def test_other_files_are_no_archives(tmp_path) -> None:
    write_zip(tmp_path / "TS_1_단일.zip", PHOTOS)
    write_zip(tmp_path / "TL_1_단일.zip", LABELS)
    for name in ("TS_1_단일.zip.part", "TS_2_단일.zip.aria2", "TS_3_단일 (1).zip", "notes.txt"):
        (tmp_path / name).write_bytes(b"")
    assert list(aihub(tmp_path)) == ["TS_1_single"]


@pytest.mark.parametrize(
    ("names", "says"),
    [
        ([], r"source\.root = .*: no AIHub archive below it \(TS_1_단일\.zip, .*Set source\.root to the folder"),
        (["TS_1_단일.zip"], r"TS_1_단일\.zip: has photographs, but there is no archive of its labels \(TL_1_single, "),
        (["TL_3_조합.zip"], r"TL_3_조합\.zip: has labels, but there is no archive of its photographs \(TS_3_combo, "),
        (
            ["TS_1_단일.zip", "VL_1_단일.zip"],
            r"TS_1_단일\.zip: has photographs, but .*labels \(TL_1_single, .* Fetch it",
        ),
    ],
)
def test_missing_aihub_archives_are_named(tmp_path, names, says) -> None:
    for name in names:
        write_zip(tmp_path / name, {})
    with pytest.raises(SourceError, match=says):
        aihub(tmp_path)


@pytest.mark.parametrize("kind", ["aihub", "yolo"])
def test_a_missing_root_is_told_with_its_cure(tmp_path, kind) -> None:
    root = tmp_path / "nowhere"
    with pytest.raises(SourceError, match=rf"source\.root = {root}: there is no folder .*Mount or fetch the data"):
        list_archives(Source(kind=kind, root=str(root)))


@pytest.mark.parametrize(
    ("root", "variables", "expected"),
    [
        ("${PILLS}/raw", {"PILLS": "/mnt/pills"}, "/mnt/pills/raw"),
        ("${PILLS:-/data}/raw", {}, "/data/raw"),
        ("${PILLS:-/data}/raw", {"PILLS": "/mnt/pills"}, "/mnt/pills/raw"),
        ("data/raw", {}, "data/raw"),
    ],
)
def test_the_root_takes_variables_of_the_environment(monkeypatch, root, variables, expected) -> None:
    monkeypatch.delenv("PILLS", raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    archives = list_archives(Source(kind="synthetic", root=root))
    assert archives["TS_1_single"].photos.startswith(f"{expected}/166.")


@pytest.mark.parametrize("damage", ["bytes", "encryption"])
def test_a_damaged_label_in_a_zip_is_quarantined_and_the_others_read(tmp_path, damage) -> None:
    names = [f"K-000001_json/{name}.json" for name in "ab"]
    path = tmp_path / "TL_1_단일.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in names:
            archive.writestr(name, label(f"{Path(name).stem}.png", "K-000001"))
        info = archive.getinfo(names[0])
    data = bytearray(path.read_bytes())
    start = info.header_offset + 30 + len(names[0])
    if damage == "bytes":
        data[start : start + 40] = b"\xff" * 40
    else:
        for place in (info.header_offset + 6, data.index(b"PK\x01\x02") + 8):
            data[place] |= 1
    path.write_bytes(data)
    write_zip(tmp_path / "TS_1_단일.zip", {f"K-000001/{name}.png": png() for name in "ab"})
    reading = read_aihub_labels(aihub(tmp_path)["TS_1_single"])
    assert [pill["label_member"] for pill in reading.pills] == [names[1]]
    reason = {"bytes": "label_unparsable", "encryption": "encrypted"}[damage]
    assert [issue["reason"] for issue in reading.issues] == [reason, "photo_without_usable_label"]


def yolo_set(root: Path, files: dict[str, str], names: str = "names: [red, blue]\n") -> dict[str, Archive]:
    """A YOLO data set: label lines by photograph's path below `images`."""
    for kind, part in itertools.product(("images", "labels"), ("train", "val", "test")):
        (root / kind / part).mkdir(parents=True)
    (root / "data.yaml").write_text(names, encoding="utf-8")
    for name, lines in files.items():
        photo, text = root / "images" / name, (root / "labels" / name).with_suffix(".txt")
        photo.parent.mkdir(parents=True, exist_ok=True)
        text.parent.mkdir(parents=True, exist_ok=True)
        photo.write_bytes(photo_png(1, width=100, height=200))
        text.write_text(lines)
    return list_archives(Source(kind="yolo", root=str(root)))


def test_photos_of_one_name_in_two_folders_keep_their_own_labels(tmp_path) -> None:
    lines = {"train/one/a.png": "0 0.5 0.5 0.2 0.1\n", "train/two/a.png": "1 0.25 0.5 0.2 0.1\n"}
    reading = read_yolo_labels(yolo_set(tmp_path, lines)["train"])
    found = {pill["image_id"]: (pill["member"], pill["k_code"], pill["x"]) for pill in reading.pills}
    assert found == {"train.one.a": ("one/a.png", "red", 40), "train.two.a": ("two/a.png", "blue", 15)}


def test_boxes_are_those_of_the_upright_photo(tmp_path) -> None:
    archives = yolo_set(tmp_path, {"train/a.jpg": "0 0.5 0.5 0.2 0.1\n"})
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (100, 200)).save(tmp_path / "images/train/a.jpg", exif=exif)
    (pill,) = read_yolo_labels(archives["train"]).pills
    assert (pill["width"], pill["height"]) == (200, 100)
    assert [pill[side] for side in "xywh"] == pytest.approx([80, 45, 40, 10])


def test_a_photo_that_has_no_readable_header_stops_nothing(tmp_path) -> None:
    archives = yolo_set(tmp_path, {"train/a.png": "0 0.5 0.5 0.2 0.1\n", "train/b.png": "1 0.5 0.5 0.2 0.1\n"})
    (tmp_path / "images/train/a.png").write_bytes(b"no picture")
    assert [pill["member"] for pill in read_yolo_labels(archives["train"]).pills] == ["a.png", "b.png"]


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("names: [a, b]\n", ["a", "b"]),
        ("names: {0: a, 1: 7}\n", ["a", "7"]),
        ('names:\n- a\n- b\nnc: 2\n\ndescription\n"free text"\n(string)\n', ["a", "b"]),
        ("nc: 2\n", None),
        ("names: {1: a}\n", None),
        ("", None),
        ("names: 3\n", None),
    ],
)
def test_class_names(tmp_path, text, names) -> None:
    (tmp_path / "data.yaml").write_text(text)
    if names is None:
        with pytest.raises(SourceError, match=r"data\.yaml: has no usable `names`"):
            class_names(tmp_path / "data.yaml")
    else:
        assert class_names(tmp_path / "data.yaml") == names


def test_class_names_in_another_encoding_are_an_error(tmp_path) -> None:
    (tmp_path / "data.yaml").write_bytes("names: [가나정]\n".encode("cp949"))
    with pytest.raises(SourceError, match=r"data\.yaml: has no usable `names`"):
        class_names(tmp_path / "data.yaml")


@pytest.mark.parametrize(
    ("files", "says"),
    [
        ({}, r"has no data\.yaml\. Set it to the folder"),
        ({"data.yaml": "names: []"}, r"there is no folder .*images/train.* A YOLO data set has"),
    ],
)
def test_what_a_yolo_set_lacks_is_told(tmp_path, files, says) -> None:
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    with pytest.raises(SourceError, match=says):
        list_archives(Source(kind="yolo", root=str(tmp_path)))


def test_real_photos(real_photos) -> None:
    archives = list_archives(Source(kind="yolo", root=str(real_photos)))
    assert [(archive.name, archive.part) for archive in archives.values()] == [(p, p) for p in ("test", "train", "val")]
    readings = {name: read_yolo_labels(archive) for name, archive in archives.items()}
    pills = [pill for reading in readings.values() for pill in reading.pills]
    assert sum(reading.photos_read for reading in readings.values()) == 267
    assert len(class_names(real_photos / "data.yaml")) == 17
    boxes = Counter(pill["image_id"] for pill in pills)
    for pill in pills:
        assert pill["domain"] == ("single" if boxes[pill["image_id"]] == 1 else "combo")
        assert ".rf." in pill["member"]
        assert pill["member"].startswith(f"{pill['group']}.rf.")
        assert (pill["edi_codes"], pill["part"]) == ("", pill["archive"])
    assert {pill["domain"] for pill in pills} == {"single", "combo"}
    copies = Counter(pill["group"] for pill in readings["train"].pills)
    assert max(copies.values()) > 1


def test_real_boxes_are_in_pixels_of_their_photo(real_photos) -> None:
    reading = read_yolo_labels(list_archives(Source(kind="yolo", root=str(real_photos)))["val"])
    sizes = {}
    for pill in reading.pills:
        if pill["member"] not in sizes:
            sizes[pill["member"]] = cv2.imread(str(real_photos / "images/val" / pill["member"])).shape[:2]
        assert (pill["height"], pill["width"]) == sizes[pill["member"]]
        assert -1 <= pill["x"] < pill["x"] + pill["w"] <= pill["width"] + 1
        assert -1 <= pill["y"] < pill["y"] + pill["h"] <= pill["height"] + 1
