"""Photographs that several sources have: one capture group, one side of the split."""

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from pillsnap.manifest.identical_photos import drop_identical, find_shared_photos
from pillsnap.tables.schemas import PILLS

BOX = (10.0, 20.0, 30.0, 40.0)


def index(folder: Path, source: str, photos: dict[str, dict[str, Any]]) -> Path:
    """An index of one archive: changes of each photograph's pill by its member."""
    rows = [
        {
            **dict.fromkeys(PILLS.columns, ""),
            "image_id": f"{source}.{member}",
            "member": member,
            "group": changes.get("group", f"{source}.{member}"),
            "part": changes.get("part", ""),
            "width": changes.get("size", (200, 100))[0],
            "height": changes.get("size", (200, 100))[1],
            **dict(zip("xywh", changes.get("box", BOX), strict=True)),
        }
        for member, changes in photos.items()
    ]
    path = folder / f"{source}.parquet"
    pd.DataFrame(rows).to_parquet(path)
    return path


@pytest.mark.parametrize(
    ("member", "copy", "changes", "same"),
    [
        ("a/IMG_1.JPG", "IMG_1.jpg", {}, True),
        ("IMG_1.jpg", "IMG_1.png", {"size": (400, 200), "box": (20, 40, 60, 80)}, True),
        ("IMG_1.jpg", "train/IMG_1_jpg.rf.0f3a.jpg", {}, True),
        ("IMG_1.jpg", "images/1a2b3c4d-IMG_1.jpg", {}, True),
        ("IMG_1.jpg", "IMG_1.jpg", {"box": (90, 20, 30, 40)}, False),
        ("IMG_1.jpg", "IMG_2.jpg", {}, False),
    ],
)
def test_a_name_and_a_box_tell_a_copy(tmp_path: Path, member: str, copy: str, changes: dict, same: bool) -> None:
    files = [index(tmp_path, "one", {member: {}}), index(tmp_path, "two", {copy: changes})]
    found = find_shared_photos(files, ["one", "two"])
    expected = dict.fromkeys((f"one.{member}", f"two.{copy}"), f"one.{member}") if same else {}
    assert found.groups == expected


@pytest.mark.parametrize(
    ("part", "part_of_copy", "together"),
    [("", "", ""), ("", "train", "train"), ("val", "train", "val"), ("train", "test", "test"), ("test", "", "test")],
)
def test_a_copy_is_where_either_is_held_out_furthest(
    tmp_path: Path, part: str, part_of_copy: str, together: str
) -> None:
    files = [
        index(tmp_path, "one", {"a.png": {"part": part}, "b.png": {"part": "val"}}),
        index(tmp_path, "two", {"a.png": {"part": part_of_copy}}),
    ]
    assert find_shared_photos(files, ["one", "two"]).parts == dict.fromkeys(("one.a.png", "two.a.png"), together)


def test_the_copys_whole_group_follows_and_archives_of_one_source_are_apart(tmp_path: Path) -> None:
    augmented = {
        f"a_jpg.rf.{number}.jpg": {"group": "a_jpg", "box": box} for number, box in enumerate((BOX, (0, 0, 9, 9)))
    }
    files = [
        index(tmp_path, "one", {"a.jpg": {"group": "K-000001_0"}}),
        index(tmp_path, "three", {"a.jpg": {}}),
        index(tmp_path, "two", augmented),
        index(tmp_path, "four", {"a.jpg": {}}),
    ]
    found = find_shared_photos(files, ["first", "first", "second", "third"])
    # the two photographs of the first source are not joined by name, but the copies of both are one group
    assert found.groups == dict.fromkeys(("K-000001_0", "three.a.jpg", "a_jpg", "four.a.jpg"), found.groups["a_jpg"])
    assert found.groups["a_jpg"] in ("K-000001_0", "three.a.jpg")


def test_sources_that_share_nothing(tmp_path: Path) -> None:
    files = [index(tmp_path, "one", {"a.jpg": {}}), index(tmp_path, "two", {"b.jpg": {}})]
    assert find_shared_photos(files, ["one", "two"]).groups == {}
    assert find_shared_photos(files[:1], ["one"]).groups == {}


@pytest.mark.parametrize(
    ("labels", "kept"),
    [
        ({"a_old": ("red",), "new": ("red",) * 3}, "new"),
        ({"a_old": ("red", "blue"), "new": ("red", "red", "blue")}, "new"),
        ({"a_old": ("red",), "new": ("red", "blue")}, "new"),
        ({"a_old": ("red",), "new": ("red",)}, "a_old"),
    ],
)
def test_of_identical_photographs_the_one_with_most_labels_is_kept(labels: dict, kept: str) -> None:
    rows = [
        {"image_id": name, "sha256": "same", "split": "train", "k_code": drug, "archive": name}
        | {"member": "p.png", "label_member": f"annotation {number}"}
        for name, drugs in labels.items()
        for number, drug in enumerate(drugs)
    ]
    none = pd.DataFrame({"sha256": [], "archive": []}, dtype=str)
    found, issues = drop_identical(pd.DataFrame(rows), none, dict.fromkeys(labels, "source"))
    assert list(found["image_id"]) == [kept] * len(labels[kept])
    assert set(issues["reason"]) == {"photo_identical"}
