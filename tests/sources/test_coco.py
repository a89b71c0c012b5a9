"""COCO files: exports of labelling tools, editions of AIHub's data, our own label audit."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from pillsnap.sources.archives import SourceError
from pillsnap.sources.coco_labels import read_coco_labels
from pillsnap.sources.registry import list_archives
from pillsnap.sources.settings import Source
from tests.support.archives import photo_png

CATEGORIES = [{"id": 0, "name": "pills"}, {"id": 1, "name": "red"}, {"id": 2, "name": "blue"}]


def annotation(number: int, image: int, category: int = 1, **changes: Any) -> dict[str, Any]:
    box = {"bbox": [10 + 3 * number, 20, 30, 40], "iscrowd": 0, "segmentation": []}
    return {"id": number, "image_id": image, "category_id": category} | box | changes


def write_coco(file: Path, images: list[str], annotations: list[dict[str, Any]], /, **more: Any) -> None:
    value = {
        "images": [{"id": n, "file_name": name, "width": 100, "height": 200} for n, name in enumerate(images)],
        "annotations": annotations,
        "categories": CATEGORIES,
    }
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(value | more))


def write_photos(*files: Path) -> None:
    for number, file in enumerate(files):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(photo_png(number, width=100, height=200))


def readings(root: Path) -> dict[str, tuple[str, list[tuple[str, str]], list[str]]]:
    """Fixed side, (photograph, drug) of each pill, and reasons of the issues, by archive."""
    found = {}
    for name, archive in list_archives(Source(kind="coco", root=str(root))).items():
        reading = read_coco_labels(archive)
        pills = [(pill["member"], pill["k_code"]) for pill in reading.pills]
        found[name] = archive.part, pills, sorted(issue["reason"] for issue in reading.issues)
        issues = [issue for issue in reading.issues if issue["outcome"] != "repaired"]
        assert reading.labels_read == len(pills) + sum(bool(issue["label_member"]) for issue in issues)
        kept = len({pill["image_id"] for pill in reading.pills} | {one["image_id"] for one in reading.backgrounds})
        assert reading.photos_read == kept + sum(not issue["label_member"] for issue in issues)
    return found


def test_roboflows_export(tmp_path) -> None:
    """A file beside the photographs of each part; category 0 is the project's, and is not used."""
    for part in ("train", "valid", "test"):
        write_photos(tmp_path / part / "a_jpg.rf.1.jpg")
        write_coco(tmp_path / part / "_annotations.coco.json", ["a_jpg.rf.1.jpg"], [annotation(1, 0)])
    pill = [("a_jpg.rf.1.jpg", "red")]
    parts = {"test": ("test", pill, []), "train": ("train", pill, []), "valid": ("val", pill, [])}
    assert readings(tmp_path) == parts


@pytest.mark.parametrize("name", ["images/a.png", "../../label-studio/upload/1/a.png", "images\\a.png", "a.png"])
def test_label_studios_export(tmp_path, name) -> None:
    write_photos(tmp_path / "images/a.png", tmp_path / "images/b.png")
    write_coco(tmp_path / "result.json", [name], [annotation(1, 0, 2)])
    assert readings(tmp_path) == {"result": ("", [("images/a.png", "blue")], ["photo_without_label"])}


def test_one_file_a_part_beside_a_folder_of_each(tmp_path) -> None:
    write_photos(tmp_path / "train2017/a.png", tmp_path / "val2017/a.png")
    for part in ("train", "val"):
        write_coco(tmp_path / f"annotations/instances_{part}.json", [f"{part}2017/a.png"], [annotation(1, 0)])
    assert readings(tmp_path) == {
        "annotations_instances_train": ("", [("train2017/a.png", "red")], []),
        "annotations_instances_val": ("val", [("val2017/a.png", "red")], []),
    }


@pytest.mark.parametrize(
    ("file", "there", "names", "taken"),
    [
        ("m.json", ["batch1/a.png"], ["batch2/a.png", "batch1/a.png"], [None, "batch1/a.png"]),
        ("m.json", ["set/batch1/a.png"], ["batch2/a.png", "batch1/a.png"], [None, "set/batch1/a.png"]),
        ("m.json", ["a.png", "b/a.png"], ["b/a.png", "a.png"], ["b/a.png", "a.png"]),
        ("m.json", ["train/a.png"], ["a.png"], ["train/a.png"]),
        ("val.json", ["train2017/a.png"], ["a.png"], [None]),
        ("val.json", ["train2017/a.png"], ["val2017/a.png"], [None]),
        ("val.json", ["val2017/a.png"], ["a.png"], ["val2017/a.png"]),
        ("val.json", ["train2017/a.png"], ["train2017/a.png"], ["train2017/a.png"]),
        ("val.json", ["set/train2017/a.png"], ["/content/train2017/a.png"], ["set/train2017/a.png"]),
        ("annotations/train.json", ["test/a.png"], ["a.png"], [None]),
        ("m.json", ["a.png"], ["", "a.png"], [None, "a.png"]),
    ],
)
def test_an_ending_takes_no_photograph_of_others(tmp_path, file, there, names, taken) -> None:
    write_photos(*(tmp_path / name for name in there))
    write_coco(tmp_path / file, names, [annotation(number, number) for number in range(len(names))])
    (archive,) = list_archives(Source(kind="coco", root=str(tmp_path))).values()
    reading = read_coco_labels(archive)
    found = {pill["label_member"]: pill["member"] for pill in reading.pills}
    assert [found.get(f"annotation {number}") for number in range(len(names))] == taken
    assert [issue["reason"] for issue in reading.issues].count("label_without_photo") == taken.count(None)


@pytest.mark.parametrize("shift", [0, 1], ids=["K number", "dl_idx"])
def test_merged_competition_edition(tmp_path, shift) -> None:
    """Photographs' names tell which K-code a category is: its number, or that plus one."""
    names = ["K-000111-000220_0_2_0_2_70_000_200.png", "K-000111-000333_0_2_0_2_70_000_200.png"]
    write_photos(*(tmp_path / "train_images" / name for name in names))
    pills = [(111, 0), (220, 0), (111, 1)]
    found = [annotation(4 * n, image, code - shift) for n, (code, image) in enumerate(pills)]
    categories = [{"id": code - shift, "name": f"drug {code}"} for code in (111, 220, 333)]
    write_coco(tmp_path / "merged.json", names, found, categories=categories)
    reading = read_coco_labels(list_archives(Source(kind="coco", root=str(tmp_path)))["merged"])
    columns = ("k_code", "drug_name", "group", "expected_pills")
    assert [tuple(pill[column] for column in columns) for pill in reading.pills] == [
        ("K-000111", "drug 111", "K-000111-000220", 2),
        ("K-000220", "drug 220", "K-000111-000220", 2),
        ("K-000111", "drug 111", "K-000111-000333", 2),
    ]


@pytest.mark.parametrize(
    ("changes", "outcome"),
    [
        ({}, [13, 20, 30, 40]),
        ({"bbox": [], "segmentation": [[10, 20, 40, 20, 40, 60]]}, [10, 20, 30, 40]),
        ({"bbox": None, "segmentation": [[10, 20, 20, 20, 20, 30], [30, 50, 40, 50, 40, 60]]}, [10, 20, 30, 40]),
        ({"bbox": [], "segmentation": {"size": [200, 100], "counts": [2020, 40, 160, 40, 17740]}}, [10, 20, 2, 40]),
        ({"attributes": {"rotation": 90.0}}, [8, 25, 40, 30]),
        (
            {"bbox": [10, 20, 30, 30], "attributes": {"rotation": -45}},
            [25 - 450**0.5, 35 - 450**0.5, 1800**0.5, 1800**0.5],
        ),
        ({"attributes": {"rotation": 180, "occluded": False}}, [13, 20, 30, 40]),
        ({"attributes": ["rotation"]}, [13, 20, 30, 40]),
        ({"attributes": {"rotation": "90.0"}}, [8, 25, 40, 30]),
        ({"attributes": {"rotation": " -90 "}}, [8, 25, 40, 30]),
        ({"attributes": {"rotation": "0"}}, [13, 20, 30, 40]),
        ({"attributes": {"rotation": None}}, [13, 20, 30, 40]),
        ({"attributes": {"rotation": "left"}}, "bbox_malformed"),
        ({"attributes": {"rotation": ""}}, "bbox_malformed"),
        ({"attributes": {"rotation": "nan"}}, "bbox_malformed"),
        ({"attributes": {"rotation": True}}, "bbox_malformed"),
        ({"attributes": {"rotation": [90]}}, "bbox_malformed"),
        ({"attributes": {"rotation": 10**400}}, "bbox_malformed"),
        ({"bbox": [], "segmentation": []}, "bbox_missing"),
        ({"bbox": [1, 2, 3]}, "bbox_malformed"),
        ({"bbox": [1, 2, 0, 4]}, "bbox_zero_size"),
        ({"bbox": [], "segmentation": [["x", 1, 2, 3, 4, 5]]}, "bbox_malformed"),
        ({"category_id": 9}, "class_out_of_range"),
        ({"category_id": None}, "class_out_of_range"),
    ],
)
def test_annotations(tmp_path, changes, outcome) -> None:
    write_photos(tmp_path / "a.png")
    write_coco(tmp_path / "a.json", ["a.png"], [annotation(1, 0, **changes)])
    reading = read_coco_labels(list_archives(Source(kind="coco", root=str(tmp_path)))["a"])
    if isinstance(outcome, str):
        assert [issue["reason"] for issue in reading.issues] == [outcome, "photo_without_usable_label"]
    else:
        (pill,) = reading.pills
        assert [pill[side] for side in "xywh"] == pytest.approx(outcome)


def test_photographs(tmp_path) -> None:
    """Backgrounds, labels of photographs that are not there, labels twice, two drugs in one box."""
    write_photos(*(tmp_path / f"{name}.png" for name in "abcd"))
    same = {"bbox": [10, 20, 30, 40]}
    found = [annotation(1, 1, **same), annotation(2, 1, **same), annotation(3, 2, **same), annotation(4, 2, 2, **same)]
    found += [annotation(5, 4)]
    write_coco(tmp_path / "a.json", ["a.png", "b.png", "c.png", "d.png", "gone.png"], found)
    (_, pills, reasons), *_ = readings(tmp_path).values()
    assert pills == [("b.png", "red")]
    (archive,) = list_archives(Source(kind="coco", root=str(tmp_path))).values()
    assert [one["member"] for one in read_coco_labels(archive).backgrounds] == ["a.png", "d.png"]
    assert Counter(reasons) == {
        "label_duplicated": 1,
        "bbox_shared": 2,
        "photo_without_usable_label": 1,
        "label_without_photo": 1,
    }


@pytest.mark.parametrize(
    ("annotations", "pills", "reasons"),
    [
        ([], 0, ["photo_without_label"] * 3),
        (
            [annotation(1, 0), annotation(2, 3)],
            1,
            ["label_without_photo", "photo_without_label", "photo_without_label"],
        ),
    ],
    ids=["none at all", "ids of another count"],
)
def test_photographs_that_may_show_pills_are_no_backgrounds(tmp_path, annotations, pills, reasons) -> None:
    write_photos(*(tmp_path / f"{name}.png" for name in "abc"))
    write_coco(tmp_path / "a.json", ["a.png", "b.png", "c.png"], annotations)
    (archive,) = list_archives(Source(kind="coco", root=str(tmp_path))).values()
    reading = read_coco_labels(archive)
    assert (len(reading.pills), reading.backgrounds) == (pills, [])
    assert sorted(issue["reason"] for issue in reading.issues) == reasons


def test_a_photograph_that_is_listed_again_has_the_labels_of_all(tmp_path) -> None:
    """As merged exports do: the first time without a pill, which alone would make it a background."""
    write_photos(tmp_path / "train/a.png", tmp_path / "train/b.png")
    names = ["a.png", "b.png", "a.png", "./a.png"]
    apart = {"bbox": [60, 100, 30, 40]}
    annotations = [annotation(1, 1), annotation(2, 2), annotation(3, 3, 2, **apart)]
    write_coco(tmp_path / "train/_annotations.coco.json", names, annotations)
    ((_, pills, reasons),) = readings(tmp_path).values()
    assert sorted(pills) == [("a.png", "blue"), ("a.png", "red"), ("b.png", "red")]
    assert reasons == ["photo_listed_again"]


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"images": [{"id": 1, "file_name": "a.png"}, {"id": 1, "file_name": "b.png"}]}, "two images have the id 1"),
        ({"categories": [{"id": 1, "name": "red"}, {"id": 1, "name": "blue"}]}, "id 1, 'red' and 'blue'"),
    ],
)
def test_one_id_of_two_is_refused(tmp_path, more, says) -> None:
    """As in exports that were joined as they are: the last one's name would count for all."""
    write_photos(tmp_path / "a.png", tmp_path / "b.png")
    write_coco(tmp_path / "coco.json", ["a.png"], [annotation(1, 1)], **more)
    with pytest.raises(SourceError, match=says):
        readings(tmp_path)


def test_a_photograph_is_not_left_to_a_shorter_path(tmp_path) -> None:
    write_photos(tmp_path / "batch1/a.png")
    write_coco(tmp_path / "coco.json", ["batch0/a.png", "batch1/a.png"], [annotation(1, 0, 2), annotation(2, 1, 1)])
    assert readings(tmp_path) == {"coco": ("", [("batch1/a.png", "red")], ["label_without_photo"])}


@pytest.mark.parametrize("root", ["train-test-split", "pills-valid-boxes"])
def test_the_part_is_the_innermost_folders(tmp_path, root) -> None:
    for part in ("train", "valid", "test"):
        write_photos(tmp_path / root / part / "a.png")
        write_coco(tmp_path / root / part / "_annotations.coco.json", ["a.png"], [annotation(1, 0)])
    assert sorted(part for part, _, _ in readings(tmp_path).values()) == ["test", "train", "val"]


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ((50, 100), (100, 200, 40, 100, 40, 60)),
        ((100, 200), (100, 200, 20, 50, 20, 30)),
        ((60, 100), (60, 100, 20, 50, 20, 30)),
        ((None, None), (0, 0, 20, 50, 20, 30)),
    ],
)
def test_each_listing_has_boxes_in_its_own_size(tmp_path, size, expected) -> None:
    write_photos(tmp_path / "a.png")
    images = [{"id": n, "file_name": "a.png", "width": w, "height": h} for n, (w, h) in enumerate([(100, 200), size])]
    found = [annotation(1, 0), annotation(2, "1", 2, bbox=[20, 50, 20, 30])]
    write_coco(tmp_path / "a.json", [], found, images=images)
    (archive,) = list_archives(Source(kind="coco", root=str(tmp_path))).values()
    first, second = read_coco_labels(archive).pills
    assert (first["width"], first["height"]) == (100, 200)
    assert tuple(second[key] for key in ("width", "height", *"xywh")) == expected


def test_the_label_audits_export_comes_back(tmp_path) -> None:
    """Proposals that a person gave a drug are labels; those that nobody judged are not."""
    name = "K-000111-000220/K-000111-000220_0_2_0_2_70_000_200.png"
    write_photos(tmp_path / name)
    categories = [{"id": 1, "name": "K-000111"}, {"id": 2, "name": "K-000220"}, {"id": 3, "name": "unlabelled pill"}]
    found = [annotation(1, 0, 1), annotation(9, 0, 2), annotation(20, 0, 3)]
    write_coco(tmp_path / "coco.json", [name], found, categories=categories)
    assert readings(tmp_path) == {"coco": ("", [(name, "K-000111"), (name, "K-000220")], ["label_is_proposal"])}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (None, "no COCO file below it .* there are: .png"),
        ('{"images": 3, "annotations": [], "categories": []}', "is not COCO JSON"),
        ('{"images": [], "annotations": [', "is not COCO JSON"),
        ('{"images": [], "categories": [], "annotations": ' + "[" * 100_000, r"is not COCO JSON \(RecursionError"),
    ],
)
def test_files_that_are_none(tmp_path, text, says) -> None:
    write_photos(tmp_path / "a.png")
    if text is not None:
        (tmp_path / "a.json").write_text(text)
    with pytest.raises(SourceError, match=says):
        readings(tmp_path)


NAMES = [{"id": str(one["id"]), "name": one["name"]} for one in CATEGORIES]


@pytest.mark.parametrize(
    ("ids", "references"),
    [(int, str), (str, int), (float, str), (str, float), (str, str)],
    ids=lambda one: one.__name__,
)
def test_ids_are_numbers_here_and_texts_there(tmp_path, ids, references) -> None:
    write_photos(tmp_path / "a.png", tmp_path / "b.png")
    images = [{"id": ids(number), "file_name": name} for number, name in enumerate(("a.png", "b.png"))]
    categories = [one | {"id": ids(one["id"])} for one in CATEGORIES]
    found = [annotation(1, references(0), references(1)), annotation(2, references(1), references(2))]
    write_coco(tmp_path / "a.json", [], found, images=images, categories=categories)
    (_, pills, reasons), *_ = readings(tmp_path).values()
    assert (pills, reasons) == ([("a.png", "red"), ("b.png", "blue")], [])


def test_ids_that_are_two_as_texts_stay_two(tmp_path) -> None:
    write_photos(tmp_path / "a.png", tmp_path / "b.png")
    images = [{"id": 1, "file_name": "a.png"}, {"id": "1", "file_name": "b.png"}]
    write_coco(tmp_path / "a.json", [], [annotation(1, 1), annotation(2, "1", 2)], images=images)
    (_, pills, _), *_ = readings(tmp_path).values()
    assert sorted(pills) == [("a.png", "red"), ("b.png", "blue")]


@pytest.mark.parametrize("image", ["a", 7, None, [1]])
def test_labels_none_of_which_finds_its_photograph(tmp_path, image) -> None:
    write_photos(tmp_path / "a.png")
    write_coco(tmp_path / "a.json", ["a.png"], [annotation(1, image)])
    with pytest.raises(SourceError, match=r"none of its annotations names an image of it: .* Export it again"):
        readings(tmp_path)


@pytest.mark.parametrize("key", ["bbox", "segmentation", "category_id", "image_id", "iscrowd"])
def test_values_that_are_nested_deep_end_no_run(tmp_path, key) -> None:
    write_photos(tmp_path / "a.png")
    broken = json.dumps(annotation(1, 0) | {"bbox": [], key: "deep"}).replace('"deep"', "[" * 1000 + "]" * 1000)
    good = json.dumps(annotation(2, 0))
    categories, images = json.dumps(CATEGORIES), json.dumps([{"id": 0, "file_name": "a.png"}])
    text = f'{{"images": {images}, "annotations": [{broken}, {good}], "categories": {categories}}}'
    (tmp_path / "a.json").write_text(text)
    (_, pills, reasons), *_ = readings(tmp_path).values()
    assert pills == [("a.png", "red")] and len(reasons) == 1


def test_two_categories_of_one_name_are_refused(tmp_path) -> None:
    write_photos(tmp_path / "a.png")
    categories = [{"id": 1, "name": "red"}, {"id": 2, "name": "red"}]
    write_coco(tmp_path / "a.json", ["a.png"], [annotation(1, 0, 1), annotation(9, 0, 2)], categories=categories)
    with pytest.raises(SourceError, match="categories 1 and 2 have one name, 'red'"):
        readings(tmp_path)


@pytest.mark.parametrize(
    ("files", "there", "unnamed"),
    [
        ({"train.json": ["a.png"], "val.json": ["b.png"]}, ["a.png", "b.png", "c.png"], {"train": ["c.png"]}),
        (
            {"annotations/train.json": ["a.png"], "annotations/val.json": ["b.png"]},
            ["images/a.png", "images/b.png", "images/c.png", "images/._a.png"],
            {"annotations_train": ["images/._a.png", "images/c.png"]},
        ),
        (
            {"a.json": ["1.png"], "b.json": ["2.png"], "c.json": ["3.png", "1.png"]},
            [f"{number}.png" for number in (1, 2, 3, 4)],
            {"a": ["4.png"]},
        ),
        (
            {"all.json": ["a.png", "lower/b.png"], "lower/_annotations.coco.json": ["c.png"]},
            ["a.png", "lower/b.png", "lower/c.png", "lower/d.png", "e.png"],
            {"all": ["e.png"], "lower": ["d.png"]},
        ),
        (
            {"train/_annotations.coco.json": ["a.png"], "valid/_annotations.coco.json": ["b.png"]},
            ["train/a.png", "train/b.png", "valid/b.png", "valid/a.png"],
            {"train": ["b.png"], "valid": ["a.png"]},
        ),
    ],
)
def test_a_photograph_that_no_file_names_is_counted_once(tmp_path, files, there, unnamed) -> None:
    write_photos(*(tmp_path / name for name in there))
    for file, names in files.items():
        write_coco(tmp_path / file, names, [annotation(number, number) for number in range(len(names))])
    found, read = {}, 0
    for name, archive in list_archives(Source(kind="coco", root=str(tmp_path))).items():
        reading = read_coco_labels(archive)
        assert {issue["reason"] for issue in reading.issues} <= {"photo_without_label", "apple_double"}
        found[name] = sorted(issue["member"] for issue in reading.issues)
        assert reading.photos_read == len(reading.pills) + len(reading.issues)
        read += reading.photos_read
    assert {name: members for name, members in found.items() if members} == unnamed
    assert read == sum(map(len, files.values())) + sum(map(len, unnamed.values()))


def test_the_index_depends_on_the_other_files_of_a_folder(tmp_path) -> None:
    """Which photographs no file names changes with each of them."""
    write_photos(tmp_path / "a.png")
    write_coco(tmp_path / "train.json", ["a.png"], [annotation(1, 0)])
    write_coco(tmp_path / "val.json", [], [])
    archives = list_archives(Source(kind="coco", root=str(tmp_path)))
    assert archives["train"].descriptions == [str(tmp_path / "val.json")]
    assert archives["val"].descriptions == [str(tmp_path / "val.json")]
