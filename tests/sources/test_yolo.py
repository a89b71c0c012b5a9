"""YOLO data sets: their parts, labels and class names, and what is missing."""

import itertools
from collections import Counter
from pathlib import Path

import cv2
import pytest
from PIL import Image

from pillsnap.sources.archives import Archive, SourceError
from pillsnap.sources.registry import list_archives
from pillsnap.sources.settings import Source
from pillsnap.sources.yolo import class_names, read_yolo_labels
from tests.support.archives import photo_png


def yolo_set(root: Path, files: dict[str, str], names: str = "names: [red, blue]\n") -> dict[str, Archive]:
    """A YOLO data set: label lines by photograph's path below `images`."""
    for kind, part in itertools.product(("images", "labels"), ("train", "val", "test")):
        (root / kind / part).mkdir(parents=True)
    (root / "data.yaml").write_text(names, encoding="utf-8")
    for name, lines in files.items():
        photo, text = root / "images" / name, (root / "labels" / name).with_suffix(".txt")
        photo.parent.mkdir(parents=True, exist_ok=True)
        text.parent.mkdir(parents=True, exist_ok=True)
        photo.write_bytes(photo_png(1, width=100, height=200))
        text.write_text(lines)
    return list_archives(Source(kind="yolo", root=str(root)))


def test_photos_of_one_name_in_two_folders_keep_their_own_labels(tmp_path) -> None:
    lines = {"train/one/a.png": "0 0.5 0.5 0.2 0.1\n", "train/two/a.png": "1 0.25 0.5 0.2 0.1\n"}
    reading = read_yolo_labels(yolo_set(tmp_path, lines)["train"])
    found = {pill["image_id"]: (pill["member"], pill["k_code"], pill["x"]) for pill in reading.pills}
    assert found == {"train.one.a": ("one/a.png", "red", 40), "train.two.a": ("two/a.png", "blue", 15)}


def test_boxes_are_those_of_the_upright_photo(tmp_path) -> None:
    archives = yolo_set(tmp_path, {"train/a.jpg": "0 0.5 0.5 0.2 0.1\n"})
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (100, 200)).save(tmp_path / "images/train/a.jpg", exif=exif)
    (pill,) = read_yolo_labels(archives["train"]).pills
    assert (pill["width"], pill["height"]) == (200, 100)
    assert [pill[side] for side in "xywh"] == pytest.approx([80, 45, 40, 10])


def test_a_photo_that_has_no_readable_header_stops_nothing(tmp_path) -> None:
    archives = yolo_set(tmp_path, {"train/a.png": "0 0.5 0.5 0.2 0.1\n", "train/b.png": "1 0.5 0.5 0.2 0.1\n"})
    (tmp_path / "images/train/a.png").write_bytes(b"no picture")
    assert [pill["member"] for pill in read_yolo_labels(archives["train"]).pills] == ["a.png", "b.png"]


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("names: [a, b]\n", ["a", "b"]),
        ("names: {0: a, 1: 7}\n", ["a", "7"]),
        ('names:\n- a\n- b\nnc: 2\n\ndescription\n"free text"\n(string)\n', ["a", "b"]),
        ("nc: 2\n", None),
        ("names: {1: a}\n", None),
        ("", None),
        ("names: 3\n", None),
    ],
)
def test_class_names(tmp_path, text, names) -> None:
    (tmp_path / "data.yaml").write_text(text)
    if names is None:
        with pytest.raises(SourceError, match=r"data\.yaml: has no usable `names`"):
            class_names(tmp_path / "data.yaml")
    else:
        assert class_names(tmp_path / "data.yaml") == names


def test_class_names_in_another_encoding_are_an_error(tmp_path) -> None:
    (tmp_path / "data.yaml").write_bytes("names: [가나정]\n".encode("cp949"))
    with pytest.raises(SourceError, match=r"data\.yaml: has no usable `names`"):
        class_names(tmp_path / "data.yaml")


@pytest.mark.parametrize(
    ("files", "says"),
    [
        ({}, r"has no data\.yaml\. Set it to the folder"),
        ({"data.yaml": "names: []"}, r"there is no folder .*images/train.* A YOLO data set has"),
    ],
)
def test_what_a_yolo_set_lacks_is_told(tmp_path, files, says) -> None:
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    with pytest.raises(SourceError, match=says):
        list_archives(Source(kind="yolo", root=str(tmp_path)))


def test_real_photos(real_photos) -> None:
    archives = list_archives(Source(kind="yolo", root=str(real_photos)))
    assert [(archive.name, archive.part) for archive in archives.values()] == [(p, p) for p in ("test", "train", "val")]
    readings = {name: read_yolo_labels(archive) for name, archive in archives.items()}
    pills = [pill for reading in readings.values() for pill in reading.pills]
    assert sum(reading.photos_read for reading in readings.values()) == 267
    assert len(class_names(real_photos / "data.yaml")) == 17
    boxes = Counter(pill["image_id"] for pill in pills)
    for pill in pills:
        assert pill["domain"] == ("single" if boxes[pill["image_id"]] == 1 else "combo")
        assert ".rf." in pill["member"]
        assert pill["member"].startswith(f"{pill['group']}.rf.")
        assert (pill["edi_codes"], pill["part"]) == ("", pill["archive"])
    assert {pill["domain"] for pill in pills} == {"single", "combo"}
    copies = Counter(pill["group"] for pill in readings["train"].pills)
    assert max(copies.values()) > 1


def test_real_boxes_are_in_pixels_of_their_photo(real_photos) -> None:
    reading = read_yolo_labels(list_archives(Source(kind="yolo", root=str(real_photos)))["val"])
    sizes = {}
    for pill in reading.pills:
        if pill["member"] not in sizes:
            sizes[pill["member"]] = cv2.imread(str(real_photos / "images/val" / pill["member"])).shape[:2]
        assert (pill["height"], pill["width"]) == sizes[pill["member"]]
        assert -1 <= pill["x"] < pill["x"] + pill["w"] <= pill["width"] + 1
        assert -1 <= pill["y"] < pill["y"] + pill["h"] <= pill["height"] + 1
