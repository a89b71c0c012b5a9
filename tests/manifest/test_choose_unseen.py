"""Drugs that the model never sees: chosen, planned, decoded, in a manifest and crops of their own, in no training."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError

from pillsnap.audit.audit_labels import audit_labels
from pillsnap.config.data import Audit, Plan, Yolo
from pillsnap.crops.dataset import CropDataset
from pillsnap.detector.build_yolo_dataset import build_yolo_dataset
from pillsnap.detector.detect_pills import detect_pills
from pillsnap.detector.yolo_shards import unpack_shards
from pillsnap.files import read_json
from pillsnap.tables.classes import read_classes
from pillsnap.tables.files import TableError, check_table, make_table, read_split, read_table, write_table
from pillsnap.tables.schemas import CONTEXTS, CROPS, DETECTIONS, MANIFEST, PHOTOS, PILLS, PLAN, UNSEEN
from tests.support.archives import BOXES, DRUGS, LENIENT, DataRun, HandMade, hand_made, prepare_source
from tests.support.combos_only import combos_only
from tests.support.crop_runs import cut, seen
from tests.support.models import UNSEEN_OF, tiny_stage, write_crops
from tests.support.plans import archive, pill, planned

ALONE = tuple(f"K-{number:06d}" for number in range(4, 8))
"""Drugs that are in no combination."""


def with_drugs_alone() -> HandMade:
    """`hand_made` and four drugs that are in no combination."""
    raw = hand_made()
    for k_code in ALONE:
        for group in range(5):
            for longitude in ("000", "180"):
                raw.add_single("TS_1_단일", k_code, f"0_0_{group}_75_{longitude}")
        raw.add_single("VS_1_단일", k_code, "2_1_0_90_040")
    return raw


def finish(raw: HandMade, folder: Path, unseen_drugs: int = 4) -> DataRun:
    run = prepare_source(raw.write(folder / "raw"), folder / "results", unseen_drugs=unseen_drugs)
    run.build_manifest(LENIENT)
    return run


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> DataRun:
    return finish(with_drugs_alone(), tmp_path_factory.mktemp("run"))


def test_the_same_drugs_are_never_seen_in_every_stage(tmp_path) -> None:
    table = archive()
    stages = [
        planned(tmp_path, table, images=images, classes=classes, unseen_drugs=4, unseen_share=1)
        for images, classes in ((10**6, 100), (100, 100), (10**6, 3))
    ]
    halves = [{name: half["drugs"] for name, half in summary["unseen"].items()} for _, summary in stages]
    assert halves[0] == halves[1] == halves[2]
    assert [len(halves[0][name]) for name in UNSEEN] == [2, 2]
    assert not set(halves[0]["unseen_val"]) & set(halves[0]["unseen_test"])
    photos = [set(plan.loc[plan["split"].isin(UNSEEN), "image_id"]) for plan, _ in stages]
    assert photos[0] == photos[1] == photos[2]
    _, others = planned(tmp_path, table, seed=2, unseen_drugs=4, unseen_share=1)
    assert others["unseen"] != stages[0][1]["unseen"]


@pytest.mark.parametrize(("images", "classes"), [(10**6, 100), (100, 100), (10**6, 3)])
def test_they_count_into_no_budget_and_are_on_no_side(tmp_path, images, classes) -> None:
    table = archive()
    plan, summary = planned(tmp_path, table, images=images, classes=classes, unseen_drugs=4, unseen_share=1)
    drugs = {drug: name for name, half in summary["unseen"].items() for drug in half["drugs"]}
    stage, unseen = plan[~plan["split"].isin(UNSEEN)], plan[plan["split"].isin(UNSEEN)]
    assert summary["used"] == {"images": stage["image_id"].nunique(), "classes": stage["k_code"].nunique()}
    assert summary["used"]["classes"] == min(classes, 8)
    assert not set(stage["k_code"]) & set(drugs)
    assert not {*summary["classes"], *summary["classes_left_out"]} & set(drugs)
    assert (unseen["split"] == unseen["k_code"].map(drugs)).all()
    assert set(unseen["domain"]) == {"single"}
    assert set(unseen["part"]) == {"", "test"}, "from every part of the source"
    assert {name: half["photos"] for name, half in summary["unseen"].items()} == dict(
        unseen.drop_duplicates("image_id")["split"].value_counts()
    )
    for kind, there, of_plan in (
        ("photos", table["image_id"].nunique(), plan["image_id"].nunique()),
        ("labels", len(table), len(plan)),
    ):
        assert of_plan + sum(summary["skipped"][kind].values()) == there
    lost = set(table.loc[(table["domain"] == "combo") & table["k_code"].isin(drugs), "image_id"])
    assert lost and not lost & set(plan["image_id"])


def test_drugs_of_no_combination_are_taken_first_then_those_of_the_fewest(tmp_path) -> None:
    """Combos of neighbours 0 to 8: 9, 10 and 11 are in none, 0 and 8 in one, the others in two."""
    _, summary = planned(tmp_path, archive(combos=8), unseen_drugs=4, unseen_share=1)
    chosen = {drug for half in summary["unseen"].values() for drug in half["drugs"]}
    assert chosen > {"K-000009", "K-000010", "K-000011"}
    assert chosen & {"K-000000", "K-000008"}
    _, fewer = planned(tmp_path, archive(combos=8), unseen_drugs=2, unseen_share=1)
    assert {drug for half in fewer["unseen"].values() for drug in half["drugs"]} < chosen


def test_photos_are_spread_evenly_over_drugs_and_views(tmp_path) -> None:
    plan, _ = planned(tmp_path, archive(), unseen_drugs=4, unseen_share=1, unseen_photos=42)
    unseen = plan[plan["split"].isin(UNSEEN)]
    assert len(unseen) == 42
    assert set(unseen.groupby("k_code").size()) == {10, 11}
    assert unseen.groupby("group").size().max() == 1, "each drug has 14 capture groups"
    fewer, _ = planned(tmp_path, archive(), unseen_drugs=4, unseen_share=1, unseen_photos=17)
    assert set(fewer.loc[fewer["split"].isin(UNSEEN), "image_id"]) < set(unseen["image_id"])


def test_a_drug_that_cannot_be_trained_or_is_never_alone_is_not_taken(tmp_path) -> None:
    rows = [pill("t", "K-888888", part="test"), pill("a", "K-777777"), pill("b", "K-777777", part="test")]
    rows += [pill(f"c{n}", drug, domain="combo", group=f"c{n}") for n in range(9) for drug in ("K-000001", "K-666666")]
    table = pd.concat([archive(drugs=6, combos=0), make_table(rows, PILLS)], ignore_index=True)
    _, summary = planned(tmp_path, table, unseen_drugs=5, unseen_share=1)
    chosen = {drug for half in summary["unseen"].values() for drug in half["drugs"]}
    assert chosen == {f"K-{number:06d}" for number in (0, 2, 3, 4, 5)}
    assert summary["classes"] == ["K-000001", "K-666666"]


SHARE, LEFT = "plan.unseen_share is 0.2 of {} trainable drugs", "2 of {} trainable drugs must be left"


@pytest.mark.parametrize(
    ("drugs", "asked", "share", "used", "limit"),
    [
        (13, 8, 0.2, 2, SHARE.format(13)),
        (45, 8, 0.2, 8, ""),
        (9, 8, 0.2, 0, SHARE.format(9)),
        (6, 5, 1, 4, LEFT.format(6)),
        (2, 2, 1, 0, LEFT.format(2)),
        (6, 0, 0.2, 0, ""),
        (None, 8, 0.2, 0, "0 trainable drugs have single-pill photographs"),
    ],
)
def test_no_more_drugs_are_held_out_than_the_source_can_spare(tmp_path, caplog, drugs, asked, share, used, limit):
    table = archive(drugs=drugs, combos=0) if drugs else combos_only(0)
    plan, summary = planned(tmp_path, table, unseen_drugs=asked, unseen_share=share)
    assert summary["unseen_drugs"] == {"asked": asked, "used": used, "limit": limit}
    assert plan.loc[plan["split"].isin(UNSEEN), "k_code"].nunique() == used
    assert sum(len(half["drugs"]) for half in summary["unseen"].values()) == used
    assert (f"{used} drugs are held out as unseen, not {asked}: {limit}" in caplog.text) == bool(limit)


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"unseen_drugs": 1}, "must be 0, or at least 2"),
        ({"unseen_drugs": -1}, "greater than or equal to 0"),
        ({"unseen_drugs": 6, "unseen_photos": 5}, r"must not be below plan\.unseen_drugs"),
    ],
)
def test_what_cannot_be_asked_for(values, says) -> None:
    with pytest.raises(ValidationError, match=says):
        Plan(**values)


def test_manifest_has_them_in_a_file_of_their_own(run) -> None:
    unseen = read_table(run.folder / "manifest/unseen.csv", MANIFEST)
    assert set(unseen["class_index"]) == {-1}
    assert set(unseen["split"]) == set(UNSEEN)
    assert set(unseen["k_code"]) == set(ALONE)
    assert (unseen.groupby("k_code")["split"].nunique() == 1).all()
    assert [drug.k_code for drug in read_classes(run.folder / "manifest/classes.json")] == list(DRUGS)
    assert set(run.pills()["k_code"]) == set(DRUGS)
    assert unseen["fully_labelled"].all()


def test_account_balances_with_them_and_nothing_is_quarantined(run) -> None:
    summary, unseen = run.summary(), run.pills(*UNSEEN)
    photos = summary["photos"]
    assert photos["read"] == photos["kept"] + sum(photos["skipped"].values())
    assert photos["quarantined"] == {} and run.quarantine().empty
    sides = sum(side["photos"] for side in summary["splits"].values())
    assert photos["kept"] == sides + sum(half["photos"] for half in summary["unseen"].values())
    assert summary["unseen"] == {
        name: {"photos": (unseen["split"] == name).sum(), "drugs": 2} for name in UNSEEN
    }  # fmt: skip


def test_the_test_half_is_stored_native_and_the_other_like_validation(run) -> None:
    photos = pd.concat(read_table(path / "photos.parquet", PHOTOS) for path in run.prepared).set_index("image_id")
    contexts = pd.concat(read_table(path / "crops.parquet", CONTEXTS) for path in run.prepared)
    for split, cropped in (("unseen_val", True), ("val", True), ("unseen_test", False), ("test", False)):
        images = set(run.pills(split)["image_id"])
        assert images <= set(photos.index)
        assert set(contexts.loc[contexts["image_id"].isin(images), "length"] > 0) == {cropped}


def test_an_identical_copy_of_another_drug_costs_both(tmp_path) -> None:
    raw = with_drugs_alone()
    copy, original = (f"{drug}/{drug}_0_0_0_1_75_000_200.png" for drug in (ALONE[0], DRUGS[0]))
    again = f"{ALONE[1]}/{ALONE[1]}_0_2_1_0_90_040_200.png"
    raw.photos["TS_1_단일"][copy] = raw.photos["TS_1_단일"][original]
    raw.photos["VS_1_단일"][again] = raw.photos["TS_1_단일"][again.replace("2_1_0_90_040", "0_0_0_75_000")]
    run = finish(raw, tmp_path)
    assert set(run.quarantine()["member"]) == {copy, original}
    assert set(run.quarantine()["reason"]) == {"photo_identical_other_drug"}
    assert run.summary()["photos"]["skipped"]["photo_identical"] == 1
    assert run.summary()["audit"]["contents_on_two_sides"] == 0


def test_crops_are_cut_of_the_first_half_only(run, tmp_path) -> None:
    parts = ("train", "val", "unseen_val")
    pills = run.pills(*parts)
    index = cut(run, tmp_path / "crops", seen(pills, lambda boxes: boxes), manifest=run.manifest(*parts))
    unseen = index[index["split"] == "unseen_val"]
    assert set(unseen["class_index"]) == {-1}
    assert set(unseen["k_code"]) == set(run.pills("unseen_val")["k_code"])
    assert list(unseen["box_from"]) == ["label", "detector"] * len(run.pills("unseen_val"))
    summary = read_json(tmp_path / "crops/summary.json")
    assert summary["unseen_val"] == {"pills": len(unseen) // 2, "found_by_detector": len(unseen) // 2, "mean_iou": 1.0}
    for split in ("train", "val"):
        data = CropDataset(tmp_path / "crops", split)
        assert set(data.pills["k_code"]) == set(DRUGS) and data.targets.min() == 0
    assert set(CropDataset(tmp_path / "crops", "unseen_val").targets.tolist()) == {-1}


def test_detector_looks_at_the_first_half_and_the_label_audit_does_not(run, tmp_path) -> None:
    from tests.support.detectors import write_untrained_detector

    write_untrained_detector(tmp_path / "best.safetensors", tmp_path / "work")
    parts = ("train", "val", "unseen_val")
    detect_pills(
        manifest=run.manifest(*parts),
        backgrounds=run.folder / "manifest/backgrounds.csv",
        prepared=run.prepared,
        detector=tmp_path / "best.safetensors",
        detections=tmp_path / "detections.parquet",
        work=tmp_path / "work",
        image_size=64,
        lowest_score=1e-5,
        nms_iou=0.5,
        device="cpu",
        threads=1,
    )
    found = read_table(tmp_path / "detections.parquet", DETECTIONS)
    assert set(found["split"]) == set(parts)
    assert set(found.loc[found["split"] == "unseen_val", "image_id"]) <= set(run.pills("unseen_val")["image_id"])
    sure = seen(run.pills(*parts), lambda boxes: boxes + np.array([0, 0, -8, -8]))
    write_table(sure, tmp_path / "sure.parquet", DETECTIONS)
    audit_labels(
        manifest=run.manifest("train", "val"),
        backgrounds=run.folder / "manifest/backgrounds.csv",
        detections=tmp_path / "sure.parquet",
        classes=run.folder / "manifest/classes.json",
        prepared=run.prepared,
        label_audit=tmp_path / "audit",
        settings=Audit(pictures=0),
        min_iou=0.5,
    )
    findings = pd.read_csv(tmp_path / "audit/findings.csv")
    assert len(findings) and set(findings["split"]) == {"train", "val"}
    looked_at = read_json(tmp_path / "audit/summary.json")
    assert looked_at["confident_detections"] == len(BOXES) * run.pills("train", "val")["image_id"].nunique()


def test_the_detectors_data_set_has_none_of_them(run, tmp_path) -> None:
    build_yolo_dataset(
        manifest=run.manifest("train", "val"), prepared=run.prepared, dataset=tmp_path / "yolo", settings=Yolo(), seed=1
    )
    unpack_shards(tmp_path / "yolo", tmp_path / "unpacked")
    images = {path.stem for path in (tmp_path / "unpacked/images").rglob("*.jpg")}
    assert images and not images & set(run.pills(*UNSEEN)["image_id"])


def test_without_unseen_drugs_the_files_are_there_and_empty(tmp_path) -> None:
    run = finish(hand_made(), tmp_path, unseen_drugs=0)
    assert read_table(run.folder / "manifest/unseen.csv", MANIFEST).empty
    assert run.summary()["unseen"] == {name: {"photos": 0, "drugs": 0} for name in UNSEEN}
    assert read_json(run.folder / "plan.json")["unseen"] == {name: {"drugs": [], "photos": 0} for name in UNSEEN}
    assert set(read_table(run.plan, PLAN)["split"]) == {"train", "val", "test"}
    parts = ("train", "val", "unseen_val")
    index = cut(run, tmp_path / "crops", make_table([], DETECTIONS), manifest=run.manifest(*parts))
    assert set(index["split"]) == {"train", "val"}
    assert (tmp_path / "crops/unseen_val.bin").stat().st_size == 0
    assert read_json(tmp_path / "crops/summary.json")["unseen_val"] == {
        "pills": 0, "found_by_detector": 0, "mean_iou": None,
    }  # fmt: skip
    assert len(CropDataset(tmp_path / "crops", "unseen_val")) == 0


@pytest.mark.parametrize(("split", "index"), [("unseen_val", 0), ("val", -1)])
def test_a_class_of_an_unseen_drug_breaks_the_tables(tmp_path, split, index) -> None:
    stage = tiny_stage_rows(tmp_path)
    stage.loc[0, ["split", "class_index"]] = split, index
    with pytest.raises(TableError, match="class_index is -1 where, and only where, the drug is unseen"):
        check_table(stage, CROPS, "crops")


def tiny_stage_rows(folder: Path) -> pd.DataFrame:
    write_crops(folder / "crops", pills=4)
    return read_table(folder / "crops/index.parquet", CROPS)


def test_the_tests_tiny_stage_has_both_halves(base: Path) -> None:
    stage = tiny_stage(base)
    for split, (k_code, count) in UNSEEN_OF.items():
        rows = read_split(stage.manifest["unseen"], split)
        assert len(rows) == count and set(rows["k_code"]) == {k_code}
    assert set(CropDataset(stage.crops, "unseen_val").targets.tolist()) == {-1}
