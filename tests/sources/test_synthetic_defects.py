"""Every defect that the synthetic source can plant is found, told with its reason, and nothing else is."""

import re
import zipfile
from collections import Counter
from itertools import chain
from pathlib import Path

import pandas as pd
import pytest

from pillsnap.files import read_json, sha256_of
from pillsnap.sources.settings import Source, SyntheticSource
from pillsnap.sources.synthetic import defects
from pillsnap.tables.classes import read_classes
from pillsnap.tables.files import read_table
from pillsnap.tables.quarantine_reasons import QUARANTINED, REPAIRED, SKIPPED
from pillsnap.tables.schemas import ISSUES
from tests.support.archives import DataRun, draw_source, labels_of, prepare_source

SYNTHETIC = SyntheticSource(
    drugs=6,
    photos_per_drug=10,
    validation_photos_per_drug=1,
    combos=14,
    validation_combos=1,
    single_archives=1,
    combo_archives=1,
    defects=1,
)

Found = tuple[str, str, str, str]
"""Outcome, reason, member, label member."""


@pytest.fixture(scope="module")
def damaged(tmp_path_factory) -> DataRun:
    """A synthetic source with one defect of every kind in each training archive, closer together than by default."""
    folder = tmp_path_factory.mktemp("damaged")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(defects, "PHOTOS_PER_DEFECT", 1)
        source = draw_source(folder / "raw", SYNTHETIC, seed=7)
    run = prepare_source(source, folder / "results")
    run.build_manifest()
    return run


def planted(run: DataRun, archive: str) -> pd.DataFrame:
    return pd.read_csv(Path(run.archives[archive].photos).with_suffix(".planted.csv"), keep_default_na=False)


REPAIRED_FIRST = {
    "label_cp949", "label_utf16", "file_name_missing", "k_code_normalised", "edi_code_dropped", "text_cleaned",
    "iscrowd_ignored", "bbox_clipped",
}  # fmt: skip
"""Defects of the first label that are put right."""
PHOTO_DEFECTS = {"photo_truncated", "photo_empty", "photo_unreadable", "photo_too_large"}


def expected_of(defect: str, member: str, stranger: str) -> set[Found]:
    """What the pipeline must say of one planted defect."""
    labels = labels_of(member)
    second = labels[0].replace(".json", "_1.json")
    lost = {"bbox_shared": labels[:2], "bbox_ambiguous": [*labels, second]}.get(defect, labels[:1])
    none_left = {("quarantined", "photo_without_usable_label", member, "")} if set(lost) >= set(labels) else set()
    if defect in PHOTO_DEFECTS:
        with_it = {("quarantined", "label_of_quarantined_photo", member, name) for name in labels}
        return {("quarantined", defect, member, ""), *with_it}
    if defect in REPAIRED_FIRST:
        return {("repaired", defect, member, labels[0])}
    match defect:
        case "photo_without_label":
            return {("quarantined", defect, member, "")}
        case "label_without_photo":
            return {("quarantined", defect, "", name) for name in labels}
        case "size_corrected" | "size_missing":
            return {("repaired", "size_corrected", member, name) for name in labels}
        case "apple_double":
            return {("skipped", defect, member.replace("/", "/._"), "")}
        case "label_duplicated":
            return {("quarantined", defect, member, second)}
        case "photo_identical":
            copy = defects.copy_name(member)
            return {("skipped", defect, copy, name) for name in ("", *labels_of(copy))}
        case "photo_identical_other_drug":
            both = (member, defects.copy_name(member, stranger))
            return {("quarantined", defect, one, name) for one in both for name in ("", *labels_of(one))}
        case "partly_labelled" | "edi_code_missing":
            return set()
    return {("quarantined", defect, member, name) for name in lost} | none_left


def stranger_of(run: DataRun, archive: str, member: str) -> str:
    """The drug whose name the copy of a photograph was given, by the archive's own list of members."""
    with zipfile.ZipFile(run.archives[archive].photos) as photos:
        stem = defects.copy_name(member).split("/")[1].partition("_")[2]
        folders = {name.split("/")[0] for name in photos.namelist() if name.endswith(stem)}
    return next(iter(folders - {member.split("/")[0]}), "")


def issues_of(run: DataRun, archive: str) -> list[Found]:
    """What index, decode and manifest say of an archive."""
    tables = [run.folder / f"{archive}.issues.parquet", run.folder / "prepared" / archive / "issues.parquet"]
    rows = pd.concat([read_table(path, ISSUES) for path in tables])
    columns = ["outcome", "reason", "member", "label_member"]
    found = list(rows[columns].itertuples(index=False, name=None))
    listed = run.quarantine()
    listed = listed[listed["archive"] == archive].assign(outcome="quarantined")
    found += [row for row in listed[columns].itertuples(index=False, name=None) if row[1].startswith("photo_identical")]
    return found


KINDS = {"TS_1_single": 34, "TS_1_combo": 33, "VS_1_combo": 0}


@pytest.mark.parametrize("archive", KINDS)
def test_every_planted_defect_is_found_and_nothing_else(damaged: DataRun, archive: str) -> None:
    listed = planted(damaged, archive)
    assert listed["defect"].nunique() == len(listed) == KINDS[archive]
    expected = set()
    for row in listed.itertuples():
        expected |= expected_of(row.defect, row.member, stranger_of(damaged, archive, row.member))
    with zipfile.ZipFile(damaged.archives[archive].photos) as photos:
        expected |= {
            ("skipped", "index_picture", name, "") for name in photos.namelist() if name.endswith("_index.png")
        }
    copies = {row for row in expected if row[:2] == ("skipped", "photo_identical")}
    found = issues_of(damaged, archive)
    assert set(found) == expected - copies
    assert len(found) == len(expected - copies)


def test_every_kind_is_planted_somewhere(damaged: DataRun) -> None:
    kinds = set(chain.from_iterable(planted(damaged, archive)["defect"] for archive in damaged.archives))
    assert kinds == {*defects.DEFECTS, defects.TEST_ONLY, defects.SHARED_GROUP}
    told = {*QUARANTINED, *SKIPPED, *REPAIRED}
    assert kinds - told == {"edi_code_missing", "size_missing", "partly_labelled"}


def test_what_is_planted_in_the_validation_part_is_found(damaged: DataRun) -> None:
    listed, rows, account = planted(damaged, "VS_1_single"), damaged.quarantine(), damaged.summary()
    alone = set(listed.loc[listed["defect"] == "class_only_in_test_part", "member"])
    found = rows[rows["reason"] == "class_only_in_test_part"]
    assert set(found["member"]) == alone and len(found) == 2 * len(alone) > 0
    (shared,) = listed.loc[listed["defect"] == "group_held_out", "member"]
    view = re.compile(re.sub(r"_\d{3}_200\.png$", r"_\\d{3}_200.png", shared))
    with zipfile.ZipFile(damaged.archives["TS_1_single"].photos) as photos:
        training = [name for name in photos.namelist() if view.fullmatch(name)]
    assert account["photos"]["skipped"]["group_held_out"] == len(training) > 0
    copies = {key: count for key, count in account["photos"]["skipped"].items() if key == "photo_identical"}
    assert copies == {"photo_identical": 1}


def test_unpacked_archives_give_the_same_bytes(damaged: DataRun, tmp_path) -> None:
    """Every zip as a folder of its name, the way people unpack them."""
    for archive in damaged.archives.values():
        for path in map(Path, (archive.photos, archive.labels)):
            place = tmp_path / "raw" / path.relative_to(damaged.folder.parent / "raw").with_suffix("")
            with zipfile.ZipFile(path) as container:
                container.extractall(place)
    unpacked = prepare_source(Source(kind="aihub", root=str(tmp_path / "raw")), tmp_path / "results")
    unpacked.build_manifest()
    assert sha256_of(unpacked.folder / "manifest") == sha256_of(damaged.folder / "manifest")
    assert [sha256_of(path) for path in unpacked.prepared] == [sha256_of(path) for path in damaged.prepared]


def test_the_account_of_a_damaged_source_balances(damaged: DataRun) -> None:
    account, kept = damaged.summary(), damaged.pills()
    names = {"photos": [], "labels": []}
    for archive in damaged.archives.values():
        for kind, path in (("photos", archive.photos), ("labels", archive.labels)):
            with zipfile.ZipFile(path) as container:
                names[kind] += container.namelist()
    assert account["photos"]["kept"] == kept["image_id"].nunique()
    assert account["labels"]["kept"] == len(kept)
    assert len(read_json(damaged.folder / "plan.json")["classes_left_out"]) == 1
    for kind in ("photos", "labels"):
        part = account[kind]
        assert part["read"] == len(names[kind])
        assert part["read"] == part["kept"] + sum(part["quarantined"].values()) + sum(part["skipped"].values())
    rows = damaged.quarantine()
    for kind, about in (("photos", rows["label_member"] == ""), ("labels", rows["label_member"] != "")):
        assert account[kind]["quarantined"] == Counter(rows.loc[about, "reason"])
    assert account["repaired"].keys() == REPAIRED_FIRST | {"size_corrected"}


def test_photos_that_lost_a_pill_are_known_as_partly_labelled(damaged: DataRun) -> None:
    kept = damaged.pills()
    left = kept.groupby("image_id").agg(
        pills=("member", "size"), member=("member", "first"), full=("fully_labelled", "all")
    )
    should = left["member"].map(lambda member: len(labels_of(member)))
    assert (left["full"] == (left["pills"] == should)).all()
    (member,) = planted(damaged, "TS_1_combo").set_index("defect").loc[["partly_labelled"], "member"]
    assert not left.set_index("member").loc[member, "full"]
    assert damaged.summary()["partly_labelled_photos"] == (~left["full"]).sum() > 1


def test_true_sizes_and_codes_survive_the_repairs(damaged: DataRun) -> None:
    kept = damaged.pills().set_index("label_member")
    assert (kept["width"].eq(976) & kept["height"].eq(1280)).all()
    listed = planted(damaged, "TS_1_single").set_index("defect")
    assert kept.loc[listed.loc["label_cp949", "label_member"], "drug_name"].endswith("mg")
    assert set(kept["drug_name"]) == {drug.name for drug in read_classes(damaged.folder / "manifest/classes.json")}
