"""Which AIHub archives are found: every way in which people keep the data, damage, and what is missing."""

import shutil
import unicodedata
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from pillsnap.sources.aihub_labels import read_aihub_labels
from pillsnap.sources.archives import Archive, SourceError
from pillsnap.sources.registry import list_archives
from pillsnap.sources.settings import Source
from tests.support.aihub_files import label, png, write_zip
from tests.support.archives import hand_made

PHOTOS = {"K-000001/a.png": png()}
LABELS = {"K-000001_json/a.json": label("a.png", "K-000001")}


def unpack(path: Path) -> None:
    """Replace a zip by a folder of its name, as people do."""
    with zipfile.ZipFile(path) as archive:
        archive.extractall(path.with_suffix(""))
    path.unlink()


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
