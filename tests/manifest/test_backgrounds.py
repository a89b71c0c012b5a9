"""Photographs without a pill: their side of the split, the decode, the account, and the detector's data set."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pillsnap.audit.audit_labels import audit_labels
from pillsnap.config.data import Audit, Plan, Yolo
from pillsnap.detector.build_yolo_dataset import build_yolo_dataset
from pillsnap.detector.detect_pills import detect_pills
from pillsnap.detector.yolo_shards import count_pictures, unpack_shards
from pillsnap.files import read_json
from pillsnap.manifest.assign_splits import SPLITS, assign_splits
from pillsnap.manifest.choose_photos import plan_backgrounds
from pillsnap.manifest.photo_index import read_photo_index
from pillsnap.sources.settings import Source
from pillsnap.tables.files import make_table, read_table, read_tables, write_table
from pillsnap.tables.schemas import (
    BACKGROUNDS,
    DETECTIONS,
    ISSUES,
    MANIFEST_BACKGROUNDS,
    PHOTOS,
    PILLS,
    PLANNED_BACKGROUNDS,
)
from tests.support.archives import DataRun, photo_png, prepare_source
from tests.support.plans import pill


def background(image: str, *, part: str = "", group: str = "") -> dict:
    return {"image_id": image, "archive": "train", "member": f"{image}.png", "part": part, "group": group or image}


def planned(folder: Path, pills: list[dict], rows: list[dict], seed: int = 1, **settings):
    """Side and reason of each background, all photographs with pills being chosen."""
    write_table(make_table(pills, PILLS), folder / "pills.parquet", PILLS)
    index = read_photo_index([folder / "pills.parquet"], seed)
    plan = Plan(**settings)
    chosen = np.ones(len(index.photos), bool)
    split = assign_splits(index, chosen, plan)
    kept, lost = plan_backgrounds(make_table(rows, BACKGROUNDS), index, split, chosen, settings=plan, seed=seed)
    sides = dict(zip(kept["image_id"], kept["split"], strict=True))
    assert list(kept.columns) == list(PLANNED_BACKGROUNDS.columns) and list(lost.columns) == list(ISSUES.columns)
    return sides, dict(zip(lost["member"].str.removesuffix(".png"), lost["reason"], strict=True))


PILLS_OF_PARTS = [
    pill(f"{part}{number}", "K-000001", part=part, group=f"{part}{number}")
    for part in SPLITS
    for number in range(9)
]  # fmt: skip


@pytest.mark.parametrize(
    ("rows", "settings", "sides", "reasons"),
    [
        pytest.param([background("a", part="train"), background("b", part="val"), background("c", part="test")], {},
            {"a": "train", "b": "val", "c": "test"}, {}, id="the source's own part"),
        pytest.param([background("a", group="val3")], {}, {"a": "val"}, {}, id="beside a copy with pills"),
        pytest.param([background("a", part="train", group="val3")], {}, {}, {"a": "group_held_out"},
            id="copy with pills held out"),
        pytest.param([background("a", part="test", group="val3")], {}, {}, {"a": "group_on_other_side"},
            id="held out, copy with pills is not"),
        pytest.param([background("a", part="train", group="val3")], {"shared_groups": "keep"}, {"a": "train"}, {},
            id="shared groups kept"),
        pytest.param([background("a", part="train", group="g"), background("b", part="test", group="g")], {},
            {"b": "test"}, {"a": "group_held_out"}, id="backgrounds of one group on two sides"),
        pytest.param([background("a")], {}, {"a": "train"}, {}, id="parts of its own: nothing is held out"),
    ],
)  # fmt: skip
def test_sides(tmp_path, rows, settings, sides, reasons) -> None:
    assert planned(tmp_path, PILLS_OF_PARTS, rows, **settings) == (sides, reasons)


def test_without_parts_a_share_is_held_out_by_groups(tmp_path) -> None:
    pills = [pill(f"p{number}", f"K-{number % 2:06d}") for number in range(900)]
    rows = [background(f"b{number}_{copy}", group=f"b{number}") for number in range(150) for copy in range(2)]
    sides, reasons = planned(tmp_path, pills, rows)
    counts = pd.Series(sides).value_counts()
    assert len(sides) + len(reasons) == 300 and set(reasons.values()) <= {"background_over_limit"}
    assert 30 <= counts["test"] <= 90 and 24 <= counts["val"] <= 76
    assert all(sides[f"b{number}_0"] == sides[f"b{number}_1"] for number in range(150) if f"b{number}_0" in sides)


def test_they_never_outnumber_photographs_with_pills(tmp_path) -> None:
    rows = [background(f"b{number}", part="train") for number in range(30)]
    sides, reasons = planned(tmp_path, PILLS_OF_PARTS, rows)
    assert (len(sides), len(reasons), set(reasons.values())) == (9, 21, {"background_over_limit"})
    fewer, _ = planned(tmp_path, PILLS_OF_PARTS, rows[:20])
    assert set(fewer) & {f"b{number}" for number in range(20)} >= set(sides) & set(fewer)


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> DataRun:
    """A YOLO set of two drugs with backgrounds: good ones, a broken one, copies, one that shows labelled pills."""
    folder = tmp_path_factory.mktemp("backgrounds")
    photos = {f"{part}/{name}{n}": name for part in SPLITS for name in "ab" for n in range(4)}
    photos |= {f"{part}/empty{n}": "" for part in SPLITS for n in range(2)}
    photos |= {"train/broken": "", "train/copy": "", "train/wrong": ""}
    for number, (name, kind) in enumerate(photos.items()):
        seed = {"train/copy": "test/empty0", "train/wrong": "train/a0"}.get(name, name)
        data = photo_png(1 if photos.get(seed) else 0, seed=list(photos).index(seed))
        image, label = folder / f"raw/images/{name}.png", folder / f"raw/labels/{name}.txt"
        for path in (image, label):
            path.parent.mkdir(parents=True, exist_ok=True)
        image.write_bytes(data[:200] if name == "train/broken" else data)
        label.write_text(f"{'ab'.index(kind)} 0.24 0.19 0.32 0.19\n" if kind else "")
        assert number < 40
    (folder / "raw/data.yaml").write_text("names: [red, blue]\n")
    run = prepare_source(Source(kind="yolo", root=str(folder / "raw")), folder / "results")
    run.build_manifest()
    return run


def test_the_account_counts_them(run: DataRun) -> None:
    summary = run.summary()
    assert summary["backgrounds"] == {"train": 2, "val": 2, "test": 2}
    photos = summary["photos"]
    assert (photos["read"], photos["kept"]) == (33, 30)
    assert photos["quarantined"] == {"background_labelled": 1, "photo_truncated": 1}
    assert photos["skipped"] == {"photo_identical": 1}
    assert summary["splits"]["train"]["photos"] == 8
    rows = read_table(run.folder / "manifest/backgrounds.csv", MANIFEST_BACKGROUNDS)
    assert sorted(rows["image_id"]) == sorted(f"{part}.empty{n}" for part in SPLITS for n in range(2))
    stored = read_tables([path / "photos.parquet" for path in run.prepared], PHOTOS).set_index("image_id")
    assert stored.loc["test.empty0", "sha256"] == rows.set_index("image_id").loc["test.empty0", "sha256"]


def test_the_detector_gets_them_with_an_empty_label_file(run: DataRun, tmp_path) -> None:
    words = {"manifest": run.manifest("train", "val"), "prepared": run.prepared, "seed": 1}
    backgrounds = run.folder / "manifest/backgrounds.csv"
    build_yolo_dataset(**words, dataset=tmp_path / "shards", settings=Yolo(), backgrounds=backgrounds)
    unpack_shards(tmp_path / "shards", tmp_path / "yolo")
    for split in ("train", "val"):
        labels = {path.stem: path.read_text() for path in (tmp_path / "yolo/labels" / split).iterdir()}
        images = {path.stem for path in (tmp_path / "yolo/images" / split).iterdir()}
        assert images == set(labels) and len(images) == 10
        assert {name for name, text in labels.items() if not text} == {f"{split}.empty0", f"{split}.empty1"}
    few = Yolo(max_single_photos=1)
    build_yolo_dataset(**words, dataset=tmp_path / "few", settings=few, backgrounds=backgrounds)
    assert count_pictures(tmp_path / "few", "train") == 2


def test_the_label_audit_lists_pills_that_nobody_labelled_on_them(run: DataRun, tmp_path, monkeypatch) -> None:
    """A detector that sees every labelled pill, and on each photograph one in a corner, surely or hardly."""
    scores = iter([0.9, 0.3] * 20)

    def see(pictures: list[np.ndarray]) -> list[np.ndarray]:
        pills = [[0.08 * width, 0.095 * width, 0.32 * width, 0.25 * width] for width in (p.shape[1] for p in pictures)]
        return [np.array([[*pill, 0.8], [2, 50, 9, 8, next(scores)]]) for pill in pills]

    monkeypatch.setattr("pillsnap.detector.detect_pills.build_detect", lambda *_, **__: see)
    words = {"backgrounds": run.folder / "manifest/backgrounds.csv", "prepared": run.prepared}
    detect_pills(
        **words,
        manifest=run.manifest("train", "val", "unseen_val"),
        detector=tmp_path / "none",
        detections=tmp_path / "found.parquet",
        work=tmp_path / "work",
        image_size=64,
        lowest_score=0.05,
        nms_iou=0.5,
        device="cpu",
        threads=1,
    )
    seen = read_table(tmp_path / "found.parquet", DETECTIONS)
    empty = {f"{part}.empty{n}" for part in ("train", "val") for n in range(2)}
    assert set(seen["image_id"]) == empty | set(run.pills("train", "val")["image_id"])
    assert (seen["split"] == seen["image_id"].str.partition(".")[0]).all()
    audit_labels(
        **words,
        manifest=run.manifest("train", "val"),
        detections=tmp_path / "found.parquet",
        classes=run.folder / "manifest/classes.json",
        label_audit=tmp_path / "audit",
        settings=Audit(pictures=20),
        min_iou=0.5,
    )
    findings = pd.read_csv(tmp_path / "audit/findings.csv", keep_default_na=False)
    mine = findings[findings["domain"] == "background"]
    sure = seen[seen["image_id"].isin(empty) & (seen["score"] >= Audit().min_score)]
    assert len(mine) == len(sure) > 4 and set(mine["image_id"]) == empty
    assert (mine["kind"] == "detection_without_label").all() and (mine["best_iou"] == 0).all()
    assert set(mine["picture"].map(lambda name: (tmp_path / "audit" / name).is_file())) == {True}
    summary, coco = read_json(tmp_path / "audit/summary.json"), read_json(tmp_path / "audit/coco.json")
    assert (summary["photos"], summary["backgrounds"], summary["labels"]) == (20, 4, 16)
    assert summary["findings"]["detection_without_label"]["domain"]["background"] == len(mine)
    numbers = {image["id"]: image["image_id"] for image in coco["images"] if image["image_id"] in empty}
    proposed = [one for one in coco["annotations"] if one["image_id"] in numbers]
    assert set(numbers.values()) == empty
    assert [one["attributes"]["source"] for one in proposed] == ["proposal"] * len(mine)
