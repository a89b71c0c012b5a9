"""The manifest: what people open, the account that balances, and the limits that stop a run."""

import csv
import json
import shutil
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from pillsnap.config.data import Manifest
from pillsnap.files import read_json
from pillsnap.manifest.build_manifest import ManifestError
from pillsnap.tables.classes import read_classes
from pillsnap.tables.files import read_table, read_texts
from pillsnap.tables.schemas import PLAN
from tests.support.aihub_files import label
from tests.support.archives import (
    BOXES,
    DRUGS,
    LENIENT,
    ZIP_OF,
    DataRun,
    HandMade,
    hand_made,
    labels_of,
    prepare_source,
)

SINGLE = "K-000001/K-000001_0_0_0_{group}_75_{longitude}_200.png"
SINGLE_LABEL = "K-000001_json/K-000001_0_0_0_{group}_75_{longitude}_200.json"

COLUMNS = [
    "image_id", "archive", "member", "label_member", "domain", "k_code", "edi_codes", "class_index", "split", "group",
    "width", "height", "x", "y", "w", "h", "sha256", "drug_name", "fully_labelled",
]  # fmt: skip


def finish(raw: HandMade, folder: Path, settings: Manifest = LENIENT, *, shared_groups: str = "hold_out") -> DataRun:
    run = prepare_source(raw.write(folder / "raw"), folder / "results", shared_groups=shared_groups)
    run.build_manifest(settings)
    return run


@pytest.fixture(scope="module")
def clean(tmp_path_factory) -> DataRun:
    return finish(hand_made(), tmp_path_factory.mktemp("clean"))


def test_what_people_open(clean: DataRun) -> None:
    for split, path in clean.manifest().items():
        table = pd.read_csv(path)
        assert list(table) == COLUMNS
        assert set(table["split"]) == {split}
        assert set(table["drug_name"]) == {"시험정"}
        assert set(table["edi_codes"]) == {"643303740,A01200351"}
        assert path.read_bytes().startswith(b"\xef\xbb\xbfimage_id,")
        assert "시험정" in path.read_text(encoding="utf-8")
    assert list(clean.quarantine()) == ["archive", "member", "label_member", "reason", "detail"]


def test_the_manifest_of_clean_archives_holds_everything_once(clean: DataRun) -> None:
    raw, kept = hand_made(), clean.pills()
    for name, zipped in ZIP_OF.items():
        rows = kept[kept["archive"] == name]
        assert set(rows["member"]) == set(raw.photos[zipped])
        assert sorted(rows["label_member"]) == sorted(raw.labels[zipped])
        for row in rows.itertuples():
            (k_code,) = (part.removesuffix("_json") for part in [Path(row.label_member).parent.name])
            assert row.k_code == k_code
    assert set(kept[["x", "y", "w", "h"]].astype(int).itertuples(index=False, name=None)) == set(BOXES)
    assert clean.quarantine().empty


def test_splits_keep_groups_together_and_the_sources_test_part_apart(clean: DataRun) -> None:
    kept, facts = clean.pills(), clean.summary()
    assert (kept.groupby("group")["split"].nunique() == 1).all()
    assert facts["audit"]["groups_on_two_sides"] == 0
    assert set(kept.loc[kept["split"] == "test", "archive"]) == {"VS_1_single", "VS_1_combo"}
    for split, rows in kept.groupby("split"):
        photos = rows.drop_duplicates("image_id")
        assert facts["splits"][split] == {
            "photos": len(photos),
            "pills": len(rows),
            "single": int((photos["domain"] == "single").sum()),
            "combo": int((photos["domain"] == "combo").sum()),
            "groups": photos["group"].nunique(),
            "classes": rows["k_code"].nunique(),
        }


def test_one_ordered_class_list(clean: DataRun) -> None:
    classes = read_classes(clean.folder / "manifest/classes.json")
    assert [(drug.index, drug.k_code) for drug in classes] == list(enumerate(DRUGS))
    assert all(drug.edi_codes == ("643303740", "A01200351") for drug in classes)
    index = {drug.k_code: drug.index for drug in classes}
    assert all(row.class_index == index[row.k_code] for row in clean.pills().itertuples())


def test_edi_codes_are_never_made_up(tmp_path) -> None:
    raw = hand_made().only("TS_1_단일")
    written = {"K-000001": None, "K-000002": "", "K-000003": "643303740,A2,A01200351"}
    for name, data in raw.labels["TS_1_단일"].items():
        value = json.loads(data)
        value["images"][0]["di_edi_code"] = written[value["images"][0]["dl_mapping_code"]]
        raw.labels["TS_1_단일"][name] = json.dumps(value).encode()
    classes = read_classes(finish(raw, tmp_path).folder / "manifest/classes.json")
    assert [drug.edi_codes for drug in classes] == [(), (), ("643303740", "A2", "A01200351")]


def test_a_label_without_bbox_costs_that_photo_only(tmp_path) -> None:
    raw, place = hand_made().only("TS_1_단일"), {"group": 1, "longitude": "180"}
    member, label_member = SINGLE.format(**place), SINGLE_LABEL.format(**place)
    value = json.loads(raw.labels["TS_1_단일"][label_member])
    del value["annotations"][0]["bbox"]
    raw.labels["TS_1_단일"][label_member] = json.dumps(value).encode()
    run = finish(raw, tmp_path)
    rows = set(run.quarantine()[["member", "label_member", "reason"]].itertuples(index=False, name=None))
    assert rows == {(member, label_member, "bbox_missing"), (member, "", "photo_without_usable_label")}
    assert run.summary()["photos"]["kept"] == sum(map(len, raw.photos.values())) - 1


def test_a_stage_counts_what_it_does_not_use(tmp_path) -> None:
    raw = hand_made()
    run = prepare_source(raw.write(tmp_path / "raw"), tmp_path / "results", images=20)
    run.build_manifest()
    photos = run.summary()["photos"]
    assert photos["kept"] <= 20
    assert photos["skipped"] == {"over_budget": photos["read"] - photos["kept"]}


@pytest.fixture(scope="module")
def two_corrupt(tmp_path_factory) -> DataRun:
    raw, folder = hand_made(), tmp_path_factory.mktemp("corrupt")
    raw.photos["TS_1_단일"][SINGLE.format(group=0, longitude="000")] = b""
    raw.photos["TS_1_단일"][SINGLE.format(group=2, longitude="000")] = b"no picture"
    return prepare_source(raw.write(folder / "raw"), folder / "results")


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        (
            {"max_quarantined_fraction": 0.04},
            r"2 of 43 photographs are quarantined \(\{'photo_empty': 1, 'photo_unreadable': 1\}\), more than "
            r"manifest\.max_quarantined_fraction = 0\.04 allows\. Look at the raw data, or raise the limit\.",
        ),
        (
            {"max_quarantined_fraction": 1, "remove_corrupt": False},
            r"manifest\.remove_corrupt is false and 2 photographs are corrupt, first TS_1_single: "
            r"K-000001/K-000001_0_0_0_.*\.png\. Fetch them again or set it to true\.",
        ),
    ],
)
def test_limits_stop_the_run_before_anything_is_written(two_corrupt: DataRun, settings, says) -> None:
    with pytest.raises(ManifestError, match=says):
        two_corrupt.build_manifest(Manifest(**settings))
    assert not (two_corrupt.folder / "manifest").exists()
    assert len(read_texts(two_corrupt.folder / "refused.csv")) == 4


def test_within_the_limits_the_run_goes_on(two_corrupt: DataRun) -> None:
    two_corrupt.build_manifest(Manifest(max_quarantined_fraction=0.05))
    reasons = Counter(two_corrupt.quarantine()["reason"])
    assert reasons == {"photo_empty": 1, "photo_unreadable": 1, "label_of_quarantined_photo": 2}
    shutil.rmtree(two_corrupt.folder / "manifest")


def test_an_account_that_does_not_balance_is_an_error(clean: DataRun, tmp_path) -> None:
    run = DataRun(shutil.copytree(clean.folder, tmp_path / "results"), clean.archives)
    (run.folder / "TS_1_combo.counts.json").write_text('{"photos": 99, "labels": 18}')
    with pytest.raises(ManifestError, match=r"photos: 133 read, but 43 kept, quarantined or skipped"):
        run.build_manifest()


def test_a_drug_of_the_validation_part_only_is_left_out_and_counted(tmp_path) -> None:
    raw = hand_made()
    raw.add_single("VS_1_단일", "K-000099", "2_1_0_90_040")
    run = finish(raw, tmp_path)
    assert read_json(run.folder / "plan.json")["classes_left_out"] == ["K-000099"]
    dropped = read_json(run.folder / "plan.json")["classes_dropped"]
    assert dropped == {"test_only": {"K-000099": {"train": 0, "val": 0, "test": 1}}, "too_small": {}}
    summary = run.summary()
    for kind in ("photos", "labels"):
        assert summary[kind]["quarantined"] == {"class_only_in_test_part": 1}
        assert summary[kind]["skipped"] == {}
    rows = run.quarantine()
    assert set(rows["reason"]) == {"class_only_in_test_part"}
    assert list(rows["detail"]) == ["", "K-000099"]
    assert "K-000099" not in set(run.pills()["k_code"])


@pytest.mark.parametrize(("shared_groups", "leaks"), [("hold_out", 0), ("keep", 1)])
def test_a_group_that_the_source_has_on_two_sides(tmp_path, shared_groups, leaks) -> None:
    """A view of the validation part whose neighbours, 20 degrees on, are in the training part."""
    raw = hand_made()
    raw.add_single("VS_1_단일", "K-000001", "0_0_0_75_020")
    run = finish(raw, tmp_path, shared_groups=shared_groups)
    summary, kept = run.summary(), run.pills()
    assert summary["audit"]["groups_on_two_sides"] == leaks
    for kind in ("photos", "labels"):
        assert summary[kind]["skipped"] == ({"group_held_out": 2} if not leaks else {})
    sides = set(kept.loc[kept["group"] == "K-000001_0_0_0_75", "split"])
    assert sides == {"test"} if not leaks else "test" in sides and len(sides) == 2


def test_a_leak_that_nobody_allowed_stops_the_run(tmp_path) -> None:
    raw = hand_made()
    raw.add_single("VS_1_단일", "K-000001", "0_0_0_75_020")
    run = prepare_source(raw.write(tmp_path / "raw"), tmp_path / "results", shared_groups="keep")
    with pytest.raises(ManifestError, match="1 capture groups and 0 identical photographs are on two sides"):
        replace(run, shared_groups="hold_out").build_manifest()
    assert not (run.folder / "manifest").exists()


def copied(raw: HandMade, archive: str, source: str, target: str) -> None:
    """Put the bytes of one member of the single training archive into another member."""
    raw.photos[archive][target] = raw.photos["TS_1_단일"][source]


TEST_MEMBER = "K-000001/K-000001_0_2_1_0_90_040_200.png"
OTHER_DRUG = "K-000002/K-000002_0_0_0_0_75_000_200.png"


@pytest.mark.parametrize(
    ("archive", "target", "lost"),
    [
        ("VS_1_단일", TEST_MEMBER, {SINGLE.format(group=0, longitude="000"): "photo_identical"}),
        (
            "TS_1_단일",
            OTHER_DRUG,
            dict.fromkeys((SINGLE.format(group=0, longitude="000"), OTHER_DRUG), "photo_identical_other_drug"),
        ),
    ],
    ids=["on two sides", "of two drugs"],
)
def test_identical_photos_never_stand_on_two_sides_or_for_two_drugs(tmp_path, archive, target, lost) -> None:
    raw = hand_made()
    copied(raw, archive, SINGLE.format(group=0, longitude="000"), target)
    run = finish(raw, tmp_path)
    summary, kept = run.summary(), set(run.pills()["member"])
    assert not kept & lost.keys()
    assert len(kept) == summary["photos"]["read"] - len(lost)
    assert summary["audit"]["contents_on_two_sides"] == 0
    (reason,) = set(lost.values())
    outcome = "skipped" if reason == "photo_identical" else "quarantined"
    for kind in ("photos", "labels"):
        assert summary[kind][outcome] == {reason: len(lost)}


def test_names_and_codes_of_a_drug_are_those_of_most_of_its_labels(tmp_path) -> None:
    raw = hand_made().only("TS_1_단일")
    for number, (name, data) in enumerate(sorted(raw.labels["TS_1_단일"].items())):
        value = json.loads(data)
        if value["images"][0]["dl_mapping_code"] == "K-000001" and number < 3:
            value["images"][0] |= {"dl_name": ["", "다른정", "다른정"][number], "di_edi_code": ""}
            raw.labels["TS_1_단일"][name] = json.dumps(value).encode()
    classes = read_classes(finish(raw, tmp_path).folder / "manifest/classes.json")
    assert (classes[0].name, classes[0].edi_codes) == ("시험정", ("643303740", "A01200351"))


def test_codes_and_unusual_texts_survive_the_files(tmp_path) -> None:
    raw = hand_made().only("TS_1_단일")
    names = {"K-000001": '시험"정, 5mg; =1+1', "K-000002": "µg–α 알약 🙂 NA", "K-000003": "'null"}
    codes = {"K-000001": "0012", "K-000002": "1e5,007", "K-000003": ""}
    for name, data in raw.labels["TS_1_단일"].items():
        value = json.loads(data)
        drug = value["images"][0]["dl_mapping_code"]
        value["images"][0] |= {"dl_name": names[drug], "di_edi_code": codes[drug]}
        raw.labels["TS_1_단일"][name] = json.dumps(value).encode()
    run = finish(raw, tmp_path)
    kept = run.pills("train")
    assert dict(zip(kept["k_code"], kept["drug_name"], strict=True)) == names
    assert dict(zip(kept["k_code"], kept["edi_codes"], strict=True)) == codes
    planned = read_table(run.plan, PLAN)
    assert dict(zip(planned["k_code"], planned["drug_name"], strict=True)) == names
    with run.manifest("train")["train"].open(encoding="utf-8-sig", newline="") as stream:
        assert {row["drug_name"] for row in csv.DictReader(stream)} == set(names.values())
    assert [drug.edi_codes for drug in read_classes(run.folder / "manifest/classes.json")] == [
        ("0012",), ("1e5", "007"), (),
    ]  # fmt: skip


def test_an_archive_that_cannot_be_opened_costs_itself_only(tmp_path) -> None:
    raw = hand_made()
    source = raw.write(tmp_path / "raw")
    damaged = tmp_path / "raw/1.Training/원천데이터/TS_1_조합.zip"
    damaged.write_bytes(damaged.read_bytes()[:-200])
    run = prepare_source(source, tmp_path / "results")
    run.build_manifest()
    summary = run.summary()
    assert summary["archives"] == {"read": 8, "kept": 7, "quarantined": {"archive_unreadable": 1}, "skipped": {}}
    assert summary["labels"]["quarantined"] == {"archive_pair_unreadable": 18}
    assert set(run.pills()["archive"]) == {"TS_1_single", "VS_1_single", "VS_1_combo"}
    assert "TS_1_조합.zip" in run.quarantine().set_index("reason").loc["archive_unreadable", "detail"]


def test_a_drug_that_lost_its_training_photos_has_no_class_and_beside_others_keeps_its_boxes(tmp_path) -> None:
    raw, lost = hand_made(), "K-000003"
    plan = read_table(prepare_source(raw.write(tmp_path / "raw"), tmp_path / "first").plan, PLAN)
    training = plan[(plan["split"] == "train") & (plan["k_code"] == lost)]
    for row in training.itertuples():
        raw.photos[ZIP_OF[row.archive]][row.member] = b""
    run = finish(raw, tmp_path)
    kept, rows = run.pills(), run.quarantine()
    elsewhere = plan[(plan["split"] != "train") & (plan["k_code"] == lost)]
    singles, combos = (elsewhere[elsewhere["domain"] == domain] for domain in ("single", "combo"))
    without_training = rows[rows["reason"] == "class_without_training_pill"]
    assert sorted(without_training["label_member"]) == sorted(singles["label_member"])
    assert set(without_training["detail"]) == {lost}
    boxes_alone = kept[kept["class_index"] == -1]
    assert sorted(boxes_alone["label_member"]) == sorted(combos["label_member"]) and set(boxes_alone["k_code"]) == {
        lost
    }
    assert run.summary()["without_class"] == {"photos": combos["image_id"].nunique(), "labels": len(combos)}
    assert [drug.k_code for drug in read_classes(run.folder / "manifest/classes.json")] == ["K-000001", "K-000002"]
    alone = rows.loc[rows["reason"] == "photo_without_usable_label", "member"]
    assert sorted(alone) == sorted(set(singles["member"]))
    beside_it = kept[kept["member"].isin(elsewhere["member"])]
    assert len(beside_it) > 0
    assert beside_it["fully_labelled"].all()


def test_a_photo_with_fewer_labels_than_its_name_counts_is_partly_labelled(tmp_path) -> None:
    raw = hand_made()
    member = next(iter(raw.photos["TS_1_조합"]))
    del raw.labels["TS_1_조합"][labels_of(member)[0]]
    run = finish(raw, tmp_path)
    kept = run.pills()
    assert set(kept.loc[~kept["fully_labelled"], "member"]) == {member}
    assert run.summary()["partly_labelled_photos"] == 1


def test_one_drug_may_be_twice_in_a_photo(tmp_path) -> None:
    raw = hand_made().only("TS_1_단일", "TS_1_조합")
    member = raw.add_combo("TS_1_조합", DRUGS, 90)
    second = labels_of(member)[1].replace(".json", "_2.json")
    raw.labels["TS_1_조합"][second] = label(Path(member).name, DRUGS[1], (60, 80, 20, 20))
    kept = finish(raw, tmp_path).pills()
    assert Counter(kept.loc[kept["member"] == member, "k_code"])[DRUGS[1]] == 2
