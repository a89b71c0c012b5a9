"""Runs that cannot go on: one error with counts by reason, examples and the cure, and a list that survives."""

import json
from pathlib import Path

import pytest

from pillsnap.config.config import Crops
from pillsnap.config.data import Manifest
from pillsnap.crops.cut_crops import OneClassError, cut_crops
from pillsnap.manifest.build_manifest import ManifestError
from pillsnap.manifest.photo_index import PlanError
from pillsnap.sources.settings import Source
from pillsnap.tables.files import read_texts
from tests.support.aihub_files import label, write_zip
from tests.support.archives import index_source, photo_png, prepare_planned, prepare_source

BOX = "{} 0.5 0.5 0.3 0.3\n"


def yolo(root: Path, lines: dict[str, str], names: str = "names: [red, blue]\n") -> Source:
    """A YOLO data set of a photograph for each name (`<part>/<photo>`); photographs of one name are identical."""
    for name, line in lines.items():
        photo, label = root / f"images/{name}.png", root / f"labels/{name}.txt"
        for path in (photo, label):
            path.parent.mkdir(parents=True, exist_ok=True)
        photo.write_bytes(photo_png(1, seed=sum(photo.name.encode())))
        label.write_text(line)
    (root / "data.yaml").write_text(names)
    return Source(kind="yolo", root=str(root))


def parts(*names: str) -> list[str]:
    return [f"{part}/{name}" for part in ("train", "val", "test") for name in names]


@pytest.mark.parametrize(
    ("line", "reason", "detail"),
    [
        ("red 0.5 0.5 0.3 0.3\n", "label_unparsable", "red 0.5 0.5 0.3 0.3"),
        ("-1 0.5 0.5 0.3 0.3\n", "class_out_of_range", r"class -1, box \[0\.5, 0\.5, 0\.3, 0\.3\]"),
        ("0 0.5 0.5 0.3\n", "bbox_malformed", r"\[0\.5, 0\.5, 0\.3\]"),
    ],
)
def test_every_label_refused(tmp_path, line, reason, detail) -> None:
    run = index_source(yolo(tmp_path / "raw", dict.fromkeys(parts("a", "b"), line)), tmp_path)
    says = (
        rf"no usable label\..*\nQuarantined in all:\n  6 {reason}, such as test: a\.txt:1: {detail}\n"
        r"  6 photo_without_usable_label, such as test: a\.png\n"
    )
    with pytest.raises(PlanError, match=says) as error:
        prepare_planned(run)
    assert str(tmp_path / "refused.csv") in str(error.value)
    rows = read_texts(tmp_path / "refused.csv")
    assert rows["reason"].value_counts().to_dict() == {reason: 6, "photo_without_usable_label": 6}


def every_box_of_three_numbers(root: Path, kind: str) -> Source:
    if kind == "coco":
        annotations = [{"id": 5, "image_id": 0, "category_id": 1, "bbox": [1, 2, 3]}]
        images, categories = [{"id": 0, "file_name": "a.png"}], [{"id": 1, "name": "red"}]
        root.mkdir()
        (root / "a.png").write_bytes(photo_png())
        labels = {"images": images, "annotations": annotations, "categories": categories}
        (root / "all.json").write_text(json.dumps(labels))
        return Source(kind="coco", root=str(root))
    write_zip(root / "TS_1_단일.zip", {"K-000001/a.png": photo_png()})
    write_zip(root / "TL_1_단일.zip", {"K-000001_json/a.json": label("a.png", "K-000001", [1, 2, 3])})
    return Source(kind="aihub", root=str(root))


@pytest.mark.parametrize(
    ("kind", "place", "photo"),
    [
        ("coco", "all: a.png: annotation 5", "all: a.png"),
        ("aihub", "TS_1_single: K-000001_json/a.json", "TS_1_single: K-000001/a.png"),
    ],
)
def test_every_label_refused_whatever_the_kind(tmp_path, kind, place, photo) -> None:
    run = index_source(every_box_of_three_numbers(tmp_path / "raw", kind), tmp_path)
    with pytest.raises(PlanError) as error:
        prepare_planned(run)
    first, *others = str(error.value).splitlines()
    assert first.startswith("The source has no usable label.")
    assert others == [
        "Quarantined in all:",
        f"  1 bbox_malformed, such as {place}: [1, 2, 3]",
        f"  1 photo_without_usable_label, such as {photo}",
        f"The whole list is {tmp_path / 'refused.csv'}; docs/quarantine.md explains the reasons.",
    ]
    assert list(read_texts(tmp_path / "refused.csv")["reason"]) == ["photo_without_usable_label", "bbox_malformed"]


def test_one_class(tmp_path) -> None:
    run = index_source(
        yolo(tmp_path / "raw", {f"train/{name}": BOX.format(0) for name in "abcdefgh"}, "names: [pill]\n"), tmp_path
    )
    prepare_planned(run)
    run.build_manifest()
    assert run.summary()["splits"]["train"]["classes"] == 1
    jobs = {"manifest": run.manifest("train", "val"), "prepared": run.prepared, "settings": Crops(), "min_score": 0.3}
    with pytest.raises(OneClassError, match=r"one class, 'pill', .*: make .*/detector_report\.html, or name the drugs"):
        cut_crops(**jobs, detections=tmp_path / "none", crops=tmp_path / "stage4/crops")


def test_validation_is_a_copy_of_training(tmp_path) -> None:
    lines: dict[str, str] = {}
    for number, photo in enumerate("abcd"):
        lines |= dict.fromkeys(parts(photo), BOX.format(number % 2))
    run = prepare_source(yolo(tmp_path / "raw", lines), tmp_path)
    says = r"No training photograph is left: 4 of 4 are byte-identical to held-out ones, such as train: a\.png and "
    with pytest.raises(ManifestError, match=says):
        run.build_manifest(Manifest(max_quarantined_fraction=1))
