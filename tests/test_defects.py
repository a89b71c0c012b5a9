"""Every defect that the synthetic source can plant is found, told with its reason, and nothing else is."""

import zipfile
from collections import Counter
from itertools import chain
from pathlib import Path

import pandas as pd
import pytest
from archives import DataRun, draw_source, labels_of, prepare_source

from pillsnap.classes import read_classes
from pillsnap.config import SyntheticSource
from pillsnap.files import read_json
from pillsnap.synthetic import defects
from pillsnap.tables import ISSUES, read_table

SYNTHETIC = SyntheticSource(
    drugs=4,
    photos_per_drug=6,
    validation_photos_per_drug=1,
    combos=6,
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


def expected_of(defect: str, member: str) -> set[Found]:
    """What the pipeline must say of one planted defect."""
    labels = labels_of(member)
    lost = {"bbox_shared": labels[:2], "partly_labelled": []}.get(defect, labels[:1])
    none_left = {("quarantined", "photo_without_usable_label", member, "")} if len(lost) == len(labels) else set()
    match defect:
        case "photo_truncated" | "photo_empty":
            with_it = {("quarantined", "label_of_quarantined_photo", member, name) for name in labels}
            return {("quarantined", defect, member, ""), *with_it}
        case "photo_without_label":
            return {("quarantined", defect, member, "")}
        case "label_without_photo":
            return {("quarantined", defect, "", name) for name in labels}
        case "label_cp949":
            return {("repaired", defect, member, labels[0])}
        case "size_corrected":
            return {("repaired", defect, member, name) for name in labels}
        case "apple_double":
            return {("skipped", defect, member.replace("/", "/._"), "")}
        case "label_duplicated":
            return {("quarantined", defect, member, labels[0].replace(".json", "_1.json"))}
        case "partly_labelled":
            return set()
    return {("quarantined", defect, member, name) for name in lost} | none_left


def issues_of(run: DataRun, archive: str) -> list[Found]:
    tables = [run.folder / f"{archive}.issues.parquet", run.folder / "prepared" / archive / "issues.parquet"]
    rows = pd.concat([read_table(path, ISSUES) for path in tables])
    return list(rows[["outcome", "reason", "member", "label_member"]].itertuples(index=False, name=None))


@pytest.mark.parametrize(("archive", "kinds"), [("TS_1_single", 12), ("TS_1_combo", 15), ("VS_1_combo", 0)])
def test_every_planted_defect_is_found_and_nothing_else(damaged: DataRun, archive: str, kinds: int) -> None:
    listed = planted(damaged, archive)
    assert listed["defect"].nunique() == len(listed) == kinds
    expected = set(chain.from_iterable(map(expected_of, listed["defect"], listed["member"])))
    with zipfile.ZipFile(damaged.archives[archive].photos) as photos:
        expected |= {
            ("skipped", "index_picture", name, "") for name in photos.namelist() if name.endswith("_index.png")
        }
    found = issues_of(damaged, archive)
    assert set(found) == expected
    assert len(found) == len(expected)


def test_the_account_of_a_damaged_source_balances(damaged: DataRun) -> None:
    account, kept = damaged.summary(), damaged.pills()
    names = {"photos": [], "labels": []}
    for archive in damaged.archives.values():
        for kind, path in (("photos", archive.photos), ("labels", archive.labels)):
            with zipfile.ZipFile(path) as container:
                names[kind] += container.namelist()
    assert account["photos"]["kept"] == kept["image_id"].nunique()
    assert account["labels"]["kept"] == len(kept)
    assert read_json(damaged.folder / "plan.json")["classes_left_out"] == []
    for kind in ("photos", "labels"):
        part = account[kind]
        assert part["read"] == len(names[kind])
        assert part["read"] == part["kept"] + sum(part["quarantined"].values()) + sum(part["skipped"].values())
    rows = damaged.quarantine()
    for kind, about in (("photos", rows["label_member"] == ""), ("labels", rows["label_member"] != "")):
        assert account[kind]["quarantined"] == Counter(rows.loc[about, "reason"])
    assert account["repaired"] == {"label_cp949": 2, "size_corrected": account["repaired"]["size_corrected"]}


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
