"""Which AIHub archives are found: every way in which people keep the data, damage, and what is missing."""

import shutil
import unicodedata
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from pillsnap.sources.aihub_labels import read_aihub_labels
from pillsnap.sources.archives import Archive, SourceError
from pillsnap.sources.containers.container import Container
from pillsnap.sources.registry import list_archives
from pillsnap.sources.settings import Source
from tests.support.aihub_files import label, packed, png, split, unpack, write_zip
from tests.support.archives import hand_made

PHOTOS = {"K-000001/a.png": png()}
LABELS = {"K-000001_json/a.json": label("a.png", "K-000001")}


def aihub(root: Path) -> dict[str, Archive]:
    return list_archives(Source(kind="aihub", root=str(root)))


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
        ("no underscore", "TS_1조합", "TL_1조합", ("TS_1_combo", "combo", "")),
        ("letters", "ts_3_Single", "tl_3_SINGLE", ("TS_3_single", "single", "")),
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


PLACES = {
    "apart": ("1.Training/원천데이터/단일경구약제 5000종", "1.Training/라벨링데이터/단일경구약제 5000종"),
    "together": ("1.Training/단일", "1.Training/단일"),
    "validation": ("2.Validation/원천데이터", "2.Validation/라벨링데이터"),
    "at the root": ("", ""),
}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_zips_unpacked_in_place(tmp_path, place, form) -> None:
    """`unzip` leaves the drugs' folders where it is run."""
    folders = [tmp_path / unicodedata.normalize(form, folder) for folder in PLACES[place]]
    for folder, files in zip(folders, (PHOTOS, LABELS), strict=True):
        shutil.unpack_archive(write_zip(tmp_path / "x.zip", files), folder)
        (tmp_path / "x.zip").unlink()
    (archive,) = aihub(tmp_path).values()
    letter, part = ("V", "test") if place == "validation" else ("T", "")
    assert (archive.name, archive.domain, archive.part) == (f"{letter}S_single", "single", part)
    reading = read_aihub_labels(archive)
    assert [(pill["member"], pill["label_member"]) for pill in reading.pills] == [(*PHOTOS, *LABELS)]
    assert (reading.photos_read, reading.labels_read, reading.other_files, reading.issues) == (1, 1, 0, [])


def test_of_a_zip_and_its_folder_the_zip_is_read(tmp_path) -> None:
    for name, files in (("TS_1_단일", PHOTOS), ("TL_1_단일", LABELS)):
        shutil.unpack_archive(write_zip(tmp_path / f"{name}.zip", files), tmp_path / name)
    (archive,) = aihub(tmp_path).values()
    assert (archive.photos, archive.labels) == tuple(str(tmp_path / f"{name}_1_단일.zip") for name in ("TS", "TL"))


def test_two_archives_of_one_name_keep_their_own_labels(tmp_path) -> None:
    for folder, k_code in (("first", "K-000001"), ("second", "K-000002")):
        write_zip(tmp_path / folder / "원천데이터/TS_1_단일.zip", {f"{k_code}/a.png": png()})
        write_zip(tmp_path / folder / "라벨링데이터/TL_1_단일.zip", {f"{k_code}_json/a.json": label("a.png", k_code)})
    archives = aihub(tmp_path)
    drugs = {name: [pill["k_code"] for pill in read_aihub_labels(one).pills] for name, one in archives.items()}
    assert drugs == {"TS_1_single-1": ["K-000001"], "TS_1_single-2": ["K-000002"]}


@pytest.mark.parametrize("side", ["TS_1_단일", "TL_1_단일"])
def test_an_archive_is_never_paired_with_another_folders(tmp_path, side) -> None:
    write_zip(tmp_path / "first/TS_1_단일.zip", PHOTOS)
    write_zip(tmp_path / "first/TL_1_단일.zip", LABELS)
    write_zip(tmp_path / f"second/{side}.zip", PHOTOS)
    with pytest.raises(SourceError, match=rf"second/{side}\.zip: has .*/first/T.*belongs to another folder's archive"):
        aihub(tmp_path)


@pytest.mark.parametrize("suffix", [".jpg", ".JPEG", ".png"])
def test_photographs_as_jpeg(tmp_path, suffix) -> None:
    write_zip(tmp_path / "TS_1_단일.zip", {f"K-000001/a{suffix}": png()})
    write_zip(tmp_path / "TL_1_단일.zip", LABELS)
    (archive,) = aihub(tmp_path).values()
    reading = read_aihub_labels(archive)
    assert [pill["member"] for pill in reading.pills] == [f"K-000001/a{suffix}"]
    assert reading.issues == []


def test_what_is_there_is_told_where_nothing_is_recognised(tmp_path) -> None:
    for name in ("photos/one.jpg", "photos/two.jpg", "notes.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    with pytest.raises(SourceError, match=r"Found: folders photos; 2 files \.jpg; 1 files \.txt\."):
        aihub(tmp_path)


@pytest.mark.parametrize("way", ["zip", "tar"])
@pytest.mark.parametrize("names", ["whole", "from 0", "from 1", "bytes"])
def test_split_downloads_and_tars_are_read_in_place(tmp_path, way, names) -> None:
    hand_made().write(tmp_path / "zips")
    shutil.copytree(tmp_path / "zips", tmp_path / "others")
    for path in list((tmp_path / "others").rglob("*.zip")):
        if way == "tar":
            packed(path, way)
        if names != "whole":
            split(path.with_suffix(f".{way}"), names)
    zips, others = aihub(tmp_path / "zips"), aihub(tmp_path / "others")
    assert list(zips) == list(others)
    for name in zips:
        zipped, other = read_aihub_labels(zips[name]), read_aihub_labels(others[name])
        assert replace(zipped, directories={}) == replace(other, directories={})
        with Container(zips[name].photos) as first, Container(others[name].photos) as second:
            assert [first.read(one.name) for one in first.entries()] == [
                second.read(one.name) for one in second.entries()
            ]


def test_a_missing_part_is_an_error(tmp_path) -> None:
    write_zip(tmp_path / "TS_1_단일.zip", PHOTOS)
    write_zip(tmp_path / "TL_1_단일.zip", LABELS)
    split(tmp_path / "TS_1_단일.zip", "bytes")
    sorted(tmp_path.glob("TS*.part*"))[1].unlink()
    with pytest.raises(SourceError, match=r"TS_1_단일\.zip\.part\d+: the part before it is missing or not whole"):
        aihub(tmp_path)


def test_a_compressed_tar_is_told(tmp_path) -> None:
    packed(write_zip(tmp_path / "TS_1_단일.zip", PHOTOS), "tar.gz")
    write_zip(tmp_path / "TL_1_단일.zip", LABELS)
    (archive,) = aihub(tmp_path).values()
    reading = read_aihub_labels(archive)
    assert [issue["reason"] for issue in reading.issues] == ["archive_unreadable", "archive_pair_unreadable"]
    assert "unpack one that is compressed" in reading.issues[0]["detail"]


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


def course_files(test_images: str = "test_images") -> dict[str, bytes]:
    """The edition of a course: all photographs in one folder, labels by combination and drug, ids numbered anew."""
    combo, alone = "K-001900-010224_0_2_0_2_70_000_200", "K-001900_0_2_0_0_75_000_200"
    files = {f"train_images/{stem}.png": png() for stem in (combo, alone)}
    files |= {
        f"train_annotations/K-001900-010224_json/{drug}/{combo}.json": label(
            f"{combo}.png", drug, (10, 20 + 50 * place, 30, 40), id=17 + place, dl_idx=int(drug[2:]) - 1
        )
        for place, drug in enumerate(("K-001900", "K-010224"))
    }
    files[f"train_annotations/K-001900_json/K-001900/{alone}.json"] = label(f"{alone}.png", "K-001900")
    return files | {f"{test_images}/{number}.png": png(seed=number) for number in (1, 3)}


def write_course(root: Path, way: str) -> Path:
    """Write the edition as people keep it; returns what `source.root` names."""
    files = course_files("test_images/images" if way == "nested" else "test_images")
    if way in ("one zip", "root", "unpacked beside", "parts", "one tar", "in a folder"):
        top = "ai level1/" if way == "in a folder" else ""
        path = write_zip(root / "course.zip", {f"{top}{name}": data for name, data in files.items()})
        if way == "unpacked beside":
            shutil.unpack_archive(path, root)
            shutil.unpack_archive(path, root / "course")
        elif way == "parts":
            split(path, "bytes")
        elif way == "one tar":
            packed(path, "tar")
        return path if way == "root" else root
    for folder in ("train_images", "train_annotations", "test_images"):
        inside = {name.partition("/")[2]: data for name, data in files.items() if name.startswith(f"{folder}/")}
        path = write_zip(root / f"{folder}.zip", inside)
        if way != "zips":
            unpack(path)
    return root


@pytest.mark.parametrize(
    "way",
    ["zips", "folders", "nested", "one zip", "in a folder", "root", "unpacked beside", "parts", "one tar"],
)
def test_the_edition_of_the_course_is_read(tmp_path, way) -> None:
    archives = aihub(write_course(tmp_path, way))
    apart = {"test_images"} if way in ("zips", "folders", "nested") else set()
    assert set(archives) == {"train_images"} | apart
    readings = [read_aihub_labels(archive) for archive in archives.values()]
    pills = [pill for reading in readings for pill in reading.pills]
    combo, alone = "K-001900-010224_0_2_0_2_70_000_200", "K-001900_0_2_0_0_75_000_200"
    found = {(Path(pill["member"]).name, pill["k_code"], pill["domain"], pill["expected_pills"]) for pill in pills}
    drugs = ("K-001900", "K-010224")
    assert found == {(f"{combo}.png", drug, "combo", 2) for drug in drugs} | {(f"{alone}.png", drugs[0], "single", 1)}
    noted = [(Path(i["member"]).name, i["outcome"], i["reason"]) for reading in readings for i in reading.issues]
    assert noted == [(f"{number}.png", "skipped", "photo_of_test_images") for number in (1, 3)]
    assert [sum(getattr(reading, f"{kind}_read") for reading in readings) for kind in ("photos", "labels")] == [4, 3]
    assert sum(reading.other_files for reading in readings) == 0


def test_a_zip_that_holds_something_else_is_no_archive(tmp_path) -> None:
    write_zip(tmp_path / "mine.zip", {"train_images/1.png": png(), "notes.txt": b""})
    (tmp_path / "cut.zip").write_bytes(b"PK\x03\x04")
    with pytest.raises(
        SourceError,
        match=r"2 files \.zip; cut\.zip: cannot be opened as a zip or tar; mine\.zip: notes\.txt, train_images\.",
    ):
        aihub(tmp_path)
    with pytest.raises(SourceError, match=r"mine\.zip: no AIHub archive.* Found: notes\.txt, train_images\. Set"):
        aihub(tmp_path / "mine.zip")


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
        (
            [],
            r"source\.root = .*: no AIHub archive below it\. Looked for: TS_1_단일\.zip .* Found: nothing\. Set",
        ),
        (["TS_1_단일.zip"], r"TS_1_단일\.zip: has photographs, but there is no archive of its labels \(TL_1_single, "),
        (["TL_3_조합.zip"], r"TL_3_조합\.zip: has labels, but there is no archive of its photographs \(TS_3_combo, "),
        (
            ["TS_1_단일.zip", "VL_1_단일.zip"],
            r"TS_1_단일\.zip: has photographs, but .*labels \(TL_1_single, .* Fetch the missing labels",
        ),
    ],
)
def test_missing_aihub_archives_are_named(tmp_path, names, says) -> None:
    for name in names:
        write_zip(tmp_path / name, {})
    with pytest.raises(SourceError, match=says):
        aihub(tmp_path)


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
