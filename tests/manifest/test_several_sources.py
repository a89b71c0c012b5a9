"""Several sources in one run: one class list, an account of each, and no photograph twice or on two sides."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from pillsnap.audit.coco import coco_dataset
from pillsnap.audit.findings import DETECTION
from pillsnap.files import read_json
from pillsnap.sources.settings import Source
from pillsnap.tables.classes import read_classes
from pillsnap.tables.files import make_table
from pillsnap.tables.schemas import FINDINGS
from tests.support.archives import DRUGS, DataRun, hand_made, index_sources, prepare_planned
from tests.support.yolo_files import write_yolo_set

ONE = "0 0.3 0.3 0.2 0.2\n"
OTHER = "1 0.6 0.5 0.2 0.3\n"


def run_of(sources: Mapping[str, Source], folder: Path, **options: Any) -> DataRun:
    """From the index to the manifest."""
    run = index_sources(sources, folder)
    prepare_planned(run, **options)
    run.build_manifest()
    return run


def own_photos(folder: Path, count: int = 8) -> Source:
    """A YOLO set without validation and test part, whose classes a table names: one drug of AIHub's, and another."""
    photos = {f"IMG_{number}": ONE if number % 2 else OTHER for number in range(count)}
    write_yolo_set(folder, names=["round white", "blue"], parts={"train": photos})
    (folder / "drugs.csv").write_text(f"name,k_code\nround white,{DRUGS[0]}\nblue,K-009999\n")
    return Source(kind="yolo", root=str(folder), classes=str(folder / "drugs.csv"))


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> DataRun:
    """AIHub's layout beside own photographs."""
    folder = tmp_path_factory.mktemp("both")
    return run_of({"aihub": hand_made().write(folder / "raw"), "own": own_photos(folder / "own")}, folder)


def test_archives_begin_with_their_source(both: DataRun) -> None:
    assert list(both.archives) == [
        "aihub-TS_1_combo", "aihub-TS_1_single", "aihub-VS_1_combo", "aihub-VS_1_single", "own-train",
    ]  # fmt: skip


def test_classes_are_one_list_by_k_code(both: DataRun) -> None:
    classes = [drug.k_code for drug in read_classes(both.folder / "manifest/classes.json")]
    assert classes == sorted({*DRUGS, "K-009999"})
    pills = both.pills()
    assert set(pills.loc[pills["k_code"] == DRUGS[0], "archive"]) >= {"aihub-TS_1_single", "own-train"}


def test_every_source_has_a_balanced_account(both: DataRun) -> None:
    whole, parts = both.summary(), both.summary()["sources"]
    assert list(parts) == ["aihub", "own"]
    for kind in ("archives", "photos", "labels"):
        for account in (part[kind] for part in parts.values()):
            assert account["read"] == account["kept"] + sum(account["quarantined"].values()) + sum(
                account["skipped"].values()
            )
        assert sum(part[kind]["read"] for part in parts.values()) == whole[kind]["read"]
        assert sum(part[kind]["kept"] for part in parts.values()) == whole[kind]["kept"]
    for side, counted in whole["splits"].items():
        assert sum(part["splits"][side]["pills"] for part in parts.values()) == counted["pills"]
    assert parts["own"]["photos"] == {"read": 8, "kept": 8, "quarantined": {}, "skipped": {}}


def test_a_source_without_a_test_part_has_some_held_out_beside_one_that_has(both: DataRun) -> None:
    own = both.summary()["sources"]["own"]["splits"]
    assert all(own[side]["photos"] for side in ("train", "val", "test"))
    aihub = both.pills("test").query("archive.str.startswith('aihub')")
    assert set(aihub["archive"]) == {"aihub-VS_1_single", "aihub-VS_1_combo"}


def test_one_source_by_another_name_gives_the_same_bytes(tmp_path: Path) -> None:
    write_yolo_set(
        tmp_path / "a", names=["red", "blue"], parts={"train": {f"p{n}": ONE if n % 2 else OTHER for n in range(9)}}
    )
    source = Source(kind="yolo", root=str(tmp_path / "a"))
    for name in ("yolo", "mine"):
        run_of({name: source}, tmp_path / name)
    for file in ("train.csv", "summary.json", "classes.json"):
        assert (tmp_path / "yolo/manifest" / file).read_bytes() == (tmp_path / "mine/manifest" / file).read_bytes()


def test_two_sets_that_number_alike_stay_apart(tmp_path: Path) -> None:
    for place, box in (("a", "0.2 0.2"), ("b", "0.3 0.3")):
        parts = {
            part: {f"{number}": f"{number % 2} {shift} {shift} {box}\n" for number in range(6)}
            for part, shift in (("train", 0.3), ("val", 0.5), ("test", 0.6))
        }
        write_yolo_set(tmp_path / place, names=["red", "blue"], parts=parts)
        for picture in (tmp_path / place).rglob("*.png"):  # of one name, of other bytes
            picture.write_bytes(picture.read_bytes() + f"{picture}".encode())
    run = run_of({n: Source(kind="yolo", root=str(tmp_path / n)) for n in ("a", "b")}, tmp_path)
    for account in run.summary()["sources"].values():
        assert (account["photos"]["kept"], account["photos"]["skipped"]) == (18, {})


def repaired_export(run: DataRun, folder: Path, photos: Path) -> Source:
    """The label audit's export of some training photographs: a person has named a proposal, and moved another box."""
    pills = run.pills("train", "val")
    photos_found = pills.drop_duplicates("image_id").head(3)[["image_id", "archive", "member", "split", "domain"]]
    facts = {"kind": DETECTION, "score": 0.9, "best_iou": 0.0, "x": 2.0, "y": 2.0, "w": 10.0, "h": 12.0}
    rows = [
        dict.fromkeys(FINDINGS.columns, "") | photo | facts | {"fully_labelled": True}
        for photo in photos_found.to_dict("records")
    ]
    findings = make_table(rows, FINDINGS)
    exported = coco_dataset(pills, findings, read_classes(run.folder / "manifest/classes.json"))
    proposals = [one for one in exported["annotations"] if one["attributes"]["source"] == "proposal"]
    proposals[0]["category_id"] = 1
    exported["annotations"][0]["category_id"] = 3 - exported["annotations"][0]["category_id"]
    folder.mkdir()
    (folder / "coco.json").write_text(json.dumps(exported))
    for image in exported["images"]:
        shutil.copy(photos / image["file_name"], folder / image["file_name"])
    return Source(kind="coco", root=str(folder))


def test_repaired_labels_come_back_over_their_original(tmp_path: Path) -> None:
    photos = {f"p{number:02}": ONE if number % 2 else OTHER for number in range(12)}
    write_yolo_set(tmp_path / "raw", names=["K-000111", "K-000222"], parts={"train": photos})
    original = Source(kind="yolo", root=str(tmp_path / "raw"))
    before = run_of({"yolo": original}, tmp_path / "before")
    export = repaired_export(before, tmp_path / "export", tmp_path / "raw/images/train")
    after = run_of({"yolo": original, "coco": export}, tmp_path / "after")
    account = after.summary()["sources"]
    assert account["yolo"]["photos"]["skipped"] == {"photo_in_later_source": 3}
    assert account["coco"]["photos"] == {"read": 3, "kept": 3, "quarantined": {}, "skipped": {}}
    assert after.summary()["photos"]["kept"] == 12
    labels = before.pills().set_index("member")["k_code"]
    repaired = after.pills().query("archive == 'coco-coco'").groupby("member")["k_code"].agg(sorted).to_dict()
    first, *others = (image["file_name"] for image in read_json(tmp_path / "export/coco.json")["images"])
    swapped = {"K-000111": "K-000222", "K-000222": "K-000111"}[labels[first]]
    assert repaired == {first: sorted((swapped, "K-000111"))} | {member: [labels[member]] for member in others}


@pytest.mark.parametrize(("first", "later"), [("a", "b"), ("b", "a")])
def test_a_later_source_may_say_that_there_is_no_pill(tmp_path: Path, first: str, later: str) -> None:
    """And the other way round: what was a background is labelled by a later source."""
    photos = {f"p{number:02}": ONE if number % 2 else OTHER for number in range(12)}
    write_yolo_set(tmp_path / "a", names=["K-000111", "K-000222"], parts={"train": photos})
    write_yolo_set(tmp_path / "b", names=["K-000111"], parts={"train": {"p03": "", "p04": ""}})
    run = run_of({name: Source(kind="yolo", root=str(tmp_path / name)) for name in (first, later)}, tmp_path / "run")
    account = run.summary()["sources"]
    assert account[first]["photos"]["skipped"] == {"photo_in_later_source": 2}
    assert account[later]["photos"]["kept"] == (2 if later == "b" else 12)
    assert run.summary()["photos"]["kept"] == 12
