"""YOLO data sets: their parts, labels and class names, and what is missing."""

import itertools
from collections import Counter
from pathlib import Path

import cv2
import pytest
from PIL import Image

from pillsnap.sources.archives import Archive, SourceError
from pillsnap.sources.labels import LabelError
from pillsnap.sources.registry import list_archives
from pillsnap.sources.settings import Source
from pillsnap.sources.yolo_data import read_yolo_data
from pillsnap.sources.yolo_labels import listed_photos, parse_line, read_yolo_labels
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


def write_set(root: Path, photos: dict[str, str], data: str | bytes) -> Path:
    """A data set in any layout: text of the label file (or no label) by photograph's path, by ultralytics' rule."""
    for name, text in photos.items():
        photo = root / name
        photo.parent.mkdir(parents=True, exist_ok=True)
        photo.write_bytes(photo_png(len(name), width=100, height=200))
        head, found, tail = f"/{name}".rpartition("/images/")
        label = (root / f"{head}/labels/{tail}".lstrip("/")) if found else photo
        label.parent.mkdir(parents=True, exist_ok=True)
        label.with_suffix(".txt").write_text(text)
    (root / "data.yaml").write_bytes(data if isinstance(data, bytes) else data.encode())
    return root


def listed(root: Path) -> dict[str, tuple[str, int, int]]:
    """Side that is fixed, photographs and pills by archive."""
    archives = list_archives(Source(kind="yolo", root=str(root)))
    readings = {name: read_yolo_labels(archive) for name, archive in archives.items()}
    assert not [issue for reading in readings.values() for issue in reading.issues]
    return {name: (archives[name].part, one.photos_read, len(one.pills)) for name, one in readings.items()}


BOX = "0 0.5 0.5 0.2 0.1\n"
NAMES = "names: [red, blue]\n"
THREE = {"train": ("train", 1, 1), "val": ("val", 1, 1), "test": ("test", 1, 1)}


@pytest.mark.parametrize(
    ("photos", "data", "archives"),
    [
        pytest.param([f"{part}/images/a.png" for part in ("train", "valid", "test")],
            NAMES + "train: ../train/images\nval: ../valid/images\ntest: ../test/images\n", THREE,
            id="Roboflow's export"),
        pytest.param([f"{part}/images/a.png" for part in ("train", "valid", "test")], NAMES, THREE,
            id="no paths at all"),
        pytest.param([f"images/{part}/a.png" for part in ("train", "val", "test")],
            NAMES + "path: ../datasets/pills\ntrain: images/train\nval: images/val\ntest: images/test\n", THREE,
            id="path of ultralytics' folder of data sets"),
        pytest.param([f"images/{part}/a.png" for part in ("train", "val", "test")],
            NAMES + "train: /content/pills/images/train\nval: C:\\\\pills\\\\images\\\\val\ntest: images/test\n", THREE,
            id="absolute paths of another machine"),
        pytest.param(["in/train/images/a.png", "in/valid/images/a.png", "in/test/images/a.png"],
            NAMES + "path: in\ntrain: train\nval: valid\ntest: test\n", THREE, id="images below the named folder"),
        pytest.param(["train/a.png", "val/a.png", "test/a.png"], NAMES + "train: train\nval: val\ntest: test\n", THREE,
            id="labels beside the photographs"),
        pytest.param(["one/images/a.png", "two/images/a.png", "images/val/a.png"],
            NAMES + "train: [one/images, two/images]\nval: images/val\n",
            {"train_1": ("", 1, 1), "train_2": ("", 1, 1), "val": ("val", 1, 1)}, id="list of folders, no test part"),
        pytest.param(["images/train/a.png"], NAMES + "train: images/train\nval:\ntest:\n", {"train": ("", 1, 1)},
            id="training part alone"),
        pytest.param(["images/train/deep/er/a.JPG", "images/train/b.WebP"], NAMES, {"train": ("", 2, 2)},
            id="nested folders, extensions in any case"),
        pytest.param([f"images/{part}/a.png" for part in ("train", "val", "test")],
            NAMES + "train: images\\\\train\nvalidation: images/val\ntest: images/test\n", THREE,
            id="back slashes, validation"),
        pytest.param(["images/test/a.png"], NAMES + "train: images/train\ntest: images/test\n",
            {"test": ("test", 1, 1)}, id="test part alone"),
        pytest.param(["images/a.png"], NAMES, {"train": ("", 1, 1)}, id="images without parts"),
    ],
)  # fmt: skip
def test_layouts(tmp_path, photos, data, archives) -> None:
    assert listed(write_set(tmp_path, dict.fromkeys(photos, BOX), data)) == archives


@pytest.mark.parametrize(
    ("place", "together"), [("classes.txt", False), ("labels/classes.txt", False), ("classes.txt", True)]
)
def test_classes_in_place_of_a_data_yaml(tmp_path, place, together) -> None:
    """As LabelImg and Label Studio write them."""
    root = write_set(tmp_path, {"images/a.png": BOX, "images/b.png": BOX.replace("0", "1", 1)}, "")
    (root / "data.yaml").unlink()
    if together:
        for path in [*root.glob("images/*"), *root.glob("labels/*")]:
            path.rename(root / path.name)
        (root / "images").rmdir()
        (root / "labels").rmdir()
    (root / place).write_text("빨강\r\n파랑\r\n", encoding="utf-8-sig")
    (archive,) = list_archives(Source(kind="yolo", root=str(root))).values()
    reading = read_yolo_labels(archive)
    assert [pill["k_code"] for pill in reading.pills] == ["빨강", "파랑"]
    assert (reading.photos_read, reading.issues) == (2, [])


@pytest.mark.parametrize(
    ("given", "place"),
    [
        ("obj.names", "obj.names"),
        ("data/obj.names", "data/obj.names"),
        ("data/obj.names", "obj.names"),
        (r"data\\obj.names", "obj.names"),
        ("/content/darknet/data/obj.names", "obj.names"),
        ("../obj.names", "obj.names"),
        ("classes.txt", "classes.txt"),
    ],
)
def test_names_in_a_file(tmp_path, given, place) -> None:
    """As Darknet keeps them; the index depends on the file."""
    root = write_set(tmp_path, {"images/a.png": BOX, "images/b.png": BOX.replace("0", "1", 1)}, f"names: {given}\n")
    (root / place).parent.mkdir(exist_ok=True)
    (root / place).write_text("빨강\r\n1.10\r\n", encoding="utf-8-sig")
    (archive,) = list_archives(Source(kind="yolo", root=str(root))).values()
    assert archive.descriptions == [str(root / "data.yaml"), str(root / place)]
    assert [pill["k_code"] for pill in read_yolo_labels(archive).pills] == ["빨강", "1.10"]


@pytest.mark.parametrize(
    ("given", "file", "others"), [("train: .\nnames: names.txt\n", "names.txt", 2), ("", "classes.txt", 1)]
)
def test_class_names_that_are_numbers_are_no_label(tmp_path, given, file, others) -> None:
    root = write_set(tmp_path, {"a.png": BOX, "b.png": BOX}, given)
    if not given:
        (root / "data.yaml").unlink()
    (root / file).write_text("052400011\n052400012\n")
    (archive,) = list_archives(Source(kind="yolo", root=str(root))).values()
    reading = read_yolo_labels(archive)
    assert (reading.photos_read, reading.labels_read, reading.other_files, reading.issues) == (2, 2, others, [])
    assert {pill["k_code"] for pill in reading.pills} == {"052400011"}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("red\n\nblue\n", r"obj\.names: cannot be used \(line 2 is empty"),
        ("\n", r"obj\.names: has no class\. It must have a class in each line"),
        ("red\nred\n", "classes 0 and 1 have one name"),
    ],
)
def test_files_of_names_that_cannot_be_used(tmp_path, text, says) -> None:
    write_set(tmp_path, {"images/a.png": BOX}, "names: obj.names\n")
    (tmp_path / "obj.names").write_text(text)
    with pytest.raises(SourceError, match=says):
        list_archives(Source(kind="yolo", root=str(tmp_path)))


def test_listings(tmp_path) -> None:
    """Parts as text files: relative to the file or the folder, absolute here or elsewhere, with back slashes."""
    names = ["images/a.png", "images/b.png", "images/c.png", "images/d.png", "images/e.png"]
    root = write_set(tmp_path, dict.fromkeys(names, BOX), NAMES + "train: train.txt\nval: lists/val.txt\n")
    (root / "lists").mkdir()
    (root / "train.txt").write_text(f"./images/a.png\r\nimages/b.png\n{root}/images/c.png\n", encoding="utf-8-sig")
    (root / "lists/val.txt").write_text("C:\\pills\\images\\d.png\n/content/pills/images/e.png\nimages/gone.png\n")
    assert list(listed_photos(root / "train.txt", root)) == names[:3]
    archives = list_archives(Source(kind="yolo", root=str(root)))
    readings = {name: read_yolo_labels(archive) for name, archive in archives.items()}
    members = {name: [pill["member"] for pill in reading.pills] for name, reading in readings.items()}
    assert members == {"train": ["a.png", "b.png", "c.png"], "val": ["d.png", "e.png"]}
    assert [(issue["reason"], issue["member"]) for issue in readings["val"].issues] == [
        ("photo_missing", "images/gone.png")
    ]


@pytest.mark.parametrize(
    ("data", "listings", "left_out"),
    [
        ("train: train.txt\n", {"train.txt": ["images/a.png"]}, {"train": ["b.png", "c.png", "d.png", "e/f.png"]}),
        (
            "train: train.txt\nval: val.txt\n",
            {"train.txt": ["images/a.png"], "val.txt": ["images/b.png", "images/e/f.png"]},
            {"train": ["c.png", "d.png"]},
        ),
        (
            "train: train.txt\nval: images/e\n",
            {"train.txt": ["images/a.png", "images/c.png"]},
            {"train": ["b.png", "d.png"]},
        ),
        (
            "train: [1.txt, 2.txt]\n",
            {"1.txt": ["images/a.png"], "2.txt": ["images/a.png", "images/c.png"]},
            {"train_1": ["b.png", "d.png", "e/f.png"]},
        ),
        ("train: train.txt\n", {"train.txt": [f"images/{name}.png" for name in ("a", "b", "c", "d", "e/f")]}, {}),
    ],
)
def test_photographs_that_no_listing_names_are_counted_once(tmp_path, data, listings, left_out) -> None:
    names = [f"images/{name}.png" for name in ("a", "b", "c", "d", "e/f")]
    root = write_set(tmp_path, dict.fromkeys(names, BOX), NAMES + data)
    for file, lines in listings.items():
        (root / file).write_text("\n".join(lines))
    found = {}
    for name, archive in list_archives(Source(kind="yolo", root=str(root))).items():
        reading = read_yolo_labels(archive)
        assert {(issue["outcome"], issue["reason"]) for issue in reading.issues} <= {("skipped", "photo_not_listed")}
        assert reading.photos_read == len(reading.pills) + len(reading.issues)
        found[name] = sorted(issue["member"] for issue in reading.issues)
    assert {name: members for name, members in found.items() if members} == left_out


@pytest.mark.parametrize("empty", ["images/val", "val.txt"])
def test_a_named_part_without_a_photograph_is_no_part(tmp_path, caplog, empty) -> None:
    """As Roboflow exports a share of nothing: photographs of training are held out, as where it is not named."""
    root = write_set(tmp_path, {"images/train/a.png": BOX}, NAMES + f"train: images/train\nval: {empty}\n")
    (root / "images/val").mkdir()
    (root / "val.txt").write_text("\n")
    (archive,) = list_archives(Source(kind="yolo", root=str(root))).values()
    assert (archive.name, archive.part) == ("train", "")
    assert f"val: {empty} is not there, or has no photograph" in caplog.text


@pytest.mark.parametrize("listing", ["images/a.png\n/content/gone.png\n", "/content/gone.png\n", "gone/b.png\n"])
def test_photographs_of_a_listing_that_are_gone(tmp_path, listing) -> None:
    root = write_set(tmp_path, {"images/a.png": BOX}, NAMES + "train: train.txt\n")
    (root / "train.txt").write_text(listing)
    (archive,) = list_archives(Source(kind="yolo", root=str(root))).values()
    reading = read_yolo_labels(archive)
    not_listed = ["photo_not_listed"] * ("a.png" not in listing)
    assert [issue["reason"] for issue in reading.issues] == ["photo_missing", *not_listed]
    assert len(reading.pills) == listing.count("a.png")


@pytest.mark.parametrize(
    "listing", ["{set}/images/a.png\n{other}/images/b.png\n", "images/a.png\n{other}/images/b.png\n/content/gone.png\n"]
)
def test_listed_photographs_outside_the_set(tmp_path, listing) -> None:
    root = write_set(tmp_path / "set", {"images/a.png": BOX}, NAMES + "train: train.txt\n")
    other = write_set(tmp_path / "other", {"images/b.png": BOX}, NAMES)
    (root / "train.txt").write_text(listing.format(set=root, other=other))
    (archive,) = list_archives(Source(kind="yolo", root=str(root))).values()
    reading = read_yolo_labels(archive)
    assert archive.photos == str(tmp_path)
    assert [pill["member"] for pill in reading.pills] == ["set/images/a.png", "other/images/b.png"]
    assert [issue["reason"] for issue in reading.issues] == ["photo_missing"] * listing.count("gone")


def test_listed_photographs_without_a_folder_in_common_are_refused(tmp_path) -> None:
    """Else all files of the machine would be looked through."""
    root = write_set(tmp_path, {"images/a.png": BOX}, NAMES + "train: train.txt\n")
    (root / "train.txt").write_text("images/a.png\n/bin/sh\n")
    with pytest.raises(SourceError, match=r"train\.txt: lists photographs in .* which have no folder in common"):
        list_archives(Source(kind="yolo", root=str(root)))


@pytest.mark.parametrize(
    ("line", "outcome"),
    [
        ("0 0.5 0.5 0.2 0.1", (0, [0.5, 0.5, 0.2, 0.1], [])),
        ("1.0000e+00 5e-1 .5 2E-1 0.1", (1, [0.5, 0.5, 0.2, 0.1], [])),
        ("0\t0.5  0.5 0.2 0.1 ", (0, [0.5, 0.5, 0.2, 0.1], [])),
        ("0 0.5 0.5 0.2 0.1 0.87", (0, [0.5, 0.5, 0.2, 0.1], ["confidence_ignored"])),
        ("0 0.5 0.5 0.2 0.1 0.87 12", (0, [0.5, 0.5, 0.2, 0.1], ["confidence_ignored"])),
        ("0 0.4 0.45 0.6 0.45 0.6 0.55 0.4 0.55", (0, [0.5, 0.5, 0.2, 0.1], ["bbox_from_polygon"])),
        ("0 0.4 0.45 0.6 0.45 0.5 0.55", (0, [0.5, 0.5, 0.2, 0.1], ["bbox_from_polygon"])),
        ("0 0.4 0.45 0.6 0.45 0.5 0.55 0.9", (0, [0.5, 0.5, 0.2, 0.1], ["confidence_ignored", "bbox_from_polygon"])),
        ("-1 0.5 0.5 0.2 0.1", "class_out_of_range"),
        ("0.5 0.5 0.5 0.2 0.1", "class_out_of_range"),
        ("nan 0.5 0.5 0.2 0.1", "class_out_of_range"),
        ("0", "bbox_missing"),
        ("0 0.5 0.5 0.2", "bbox_malformed"),
        ("0 0.5 0.5 0 0.1", "bbox_zero_size"),
        ("0 0.5 0.5 nan 0.1", "bbox_malformed"),
        ("0 0.4 0.45 inf 0.45 0.5 0.55", "bbox_malformed"),
        ("0 0.4 0.45 0.4 0.45 0.4 0.55", "bbox_zero_size"),
        ("red 0.5 0.5 0.2 0.1", "label_unparsable"),
    ],
)
def test_lines(line, outcome) -> None:
    if isinstance(outcome, str):
        with pytest.raises(LabelError) as error:
            parse_line(line)
        assert error.value.reason == outcome
    else:
        label = parse_line(line)
        assert (label.index, [reason for reason, _ in label.repairs]) == (outcome[0], outcome[2])
        assert label.box == pytest.approx(outcome[1])


@pytest.mark.parametrize(
    ("shape", "points"),
    [("[1, 3]", "0.5 0.48 2"), ("[2, 2]", "0.4 0.4 0.6 0.6"), ("[2, 3]", "0.4 0.4 1 0.6 0.6 0"), ("[1, 2]", "0.5 0.5")],
)
def test_keypoints_are_no_corners(tmp_path, shape, points) -> None:
    archives = yolo_set(tmp_path, {"train/a.png": f"{BOX.strip()} {points}\n", "train/b.png": BOX})
    file = tmp_path / "data.yaml"
    plain = read_yolo_labels(archives["train"]).pills[1]
    file.write_text(f"{file.read_text()}\nkpt_shape: {shape}\n")
    reading = read_yolo_labels(archives["train"])
    assert [[pill[side] for side in "xywh"] for pill in reading.pills] == [[plain[side] for side in "xywh"]] * 2
    assert [issue["reason"] for issue in reading.issues] == ["keypoints_ignored"]


@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-be", "cp949"]
)
def test_encodings(tmp_path, encoding) -> None:
    root = write_set(tmp_path, {"images/train/a.png": ""}, "names: [가나정, 다라정]\r\n".encode(encoding))
    (root / "labels/train/a.txt").write_bytes("1 0.5 0.5 0.2 0.1\r\n\r\n".encode(encoding))
    archives = list_archives(Source(kind="yolo", root=str(root)))
    assert [pill["k_code"] for pill in read_yolo_labels(archives["train"]).pills] == ["다라정"]


@pytest.mark.parametrize(
    ("lines", "pills", "reasons"),
    [
        ([BOX, BOX], [("single", 1)], ["label_duplicated"]),
        ([BOX, "1 0.5 0.5 0.2 0.1\n"], [], ["bbox_shared", "bbox_shared", "photo_without_usable_label"]),
        ([BOX, "1 0.2 0.2 0.1 0.1\n"], [("combo", 2), ("combo", 2)], []),
        ([BOX, "2 0.2 0.2 0.1 0.1\n"], [("combo", 2)], ["class_out_of_range"]),
        ([BOX, "-1 0.2 0.2 0.1 0.1\n"], [("combo", 2)], ["class_out_of_range"]),
    ],
)
def test_photographs(tmp_path, lines, pills, reasons) -> None:
    reading = read_yolo_labels(yolo_set(tmp_path, {"train/a.png": "".join(lines)})["train"])
    assert [(pill["domain"], pill["expected_pills"]) for pill in reading.pills] == pills
    assert [issue["reason"] for issue in reading.issues] == reasons
    labels = [issue for issue in reading.issues if issue["label_member"] and issue["outcome"] != "repaired"]
    assert reading.labels_read == len(reading.pills) + len(labels)


@pytest.mark.parametrize("file", [None, "check.py"])
def test_a_folder_without_photographs_is_no_part(tmp_path, file) -> None:
    photos = {f"{part}/{name}.png": BOX for part in ("train", "val") for name in "ab"}
    yolo_set(tmp_path, photos)
    (tmp_path / "test").mkdir()
    if file:
        (tmp_path / "test" / file).write_text("pass")
    assert set(list_archives(Source(kind="yolo", root=str(tmp_path)))) == {"train", "val"}


@pytest.mark.parametrize(
    ("file", "text", "says"),
    [
        ("data.yaml", "names: red\n", r"no usable `names` \(it is the text 'red',"),
        ("data.yaml", "names: obj.names\n", r"'obj.names', and no file of this name is below .* or name a text file"),
        ("data.yaml", "names: ../../obj.names\n", r"'../../obj.names', and no file of this name is below"),
        ("data.yaml", "names: /etc/hostname\n", r"'/etc/hostname', and no file of this name is below"),
        ("data.yaml", "names: images\n", r"'images', and no file of this name is below"),
        ("classes.txt", "red\n\nblue\n", "line 2 is empty, and it is not known whether it counts"),
    ],
)
def test_names_that_would_be_others_are_refused(tmp_path, file, text, says) -> None:
    yolo_set(tmp_path, {"a.png": BOX})
    (tmp_path / "data.yaml").unlink()
    (tmp_path / file).write_text(text)
    with pytest.raises(SourceError, match=says):
        list_archives(Source(kind="yolo", root=str(tmp_path)))


def test_an_empty_label_file_is_a_background(tmp_path) -> None:
    names = {"train/a.rf.1.png": "\n  \n", "train/a.rf.2.png": BOX, "train/b.png": "", "test/c.png": ""}
    archives = yolo_set(tmp_path, names)
    readings = {name: read_yolo_labels(archive) for name, archive in archives.items()}
    found = [tuple(one.values()) for reading in readings.values() for one in reading.backgrounds]
    assert sorted(found) == [
        ("test.c", "test", "c.png", "test", "test.c"),
        ("train.a.rf.1", "train", "a.rf.1.png", "", "a"),
        ("train.b", "train", "b.png", "", "train.b"),
    ]
    assert not any(reading.issues for reading in readings.values())
    assert (readings["train"].photos_read, readings["train"].labels_read) == (3, 1)


def test_names_of_aihubs_form_give_group_and_pills(tmp_path) -> None:
    names = ["K-000111-000220_0_2_0_2_70_000_200", "K-000114_0_2_0_0_75_260_200"]
    reading = read_yolo_labels(yolo_set(tmp_path, {f"train/{name}.png": BOX for name in names})["train"])
    found = {pill["member"]: (pill["group"], pill["domain"], pill["expected_pills"]) for pill in reading.pills}
    assert found == {
        f"{names[0]}.png": ("K-000111-000220", "combo", 2),
        f"{names[1]}.png": ("K-000114_2_0_0_75", "single", 1),
    }


def test_text_files_without_labels_are_other_files(tmp_path) -> None:
    root = write_set(tmp_path, {"train/a.png": BOX}, NAMES + "train: train\n")
    (root / "train/classes.txt").write_text("red\nblue\n")
    (root / "train/notes.md").write_text("x")
    (root / "train/gone.txt").write_text(BOX)
    reading = read_yolo_labels(list_archives(Source(kind="yolo", root=str(root)))["train"])
    assert (reading.photos_read, reading.labels_read, reading.other_files) == (1, 2, 2)
    assert [(issue["reason"], issue["label_member"]) for issue in reading.issues] == [
        ("label_without_photo", "gone.txt")
    ]


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("names: [a, b]\n", {0: "a", 1: "b"}),
        ("names: {0: a, 1: 7}\n", {0: "a", 1: "7"}),
        ("names: {0: a, 5: b}\n", {0: "a", 5: "b"}),
        ("names:\n  0: NO\n  1: off\n  2: 052400011\n  3: 1.10\n", {0: "NO", 1: "off", 2: "052400011", 3: "1.10"}),
        ('names:\n- a\n- b\nnc: 2\n\ndescription\n"free text"\n(string)\n', {0: "a", 1: "b"}),
        ("nc: 2\n", {0: "class_0", 1: "class_1"}),
        ("names: {one: a}\n", "has no usable `names`"),
        ("names: [[a]]\n", "has no usable `names`"),
        ("names: ['']\n", "has no usable `names`"),
        ("names: [a, b, a]\n", "classes 0 and 2 have one name, 'a'"),
        ("", "cannot be used"),
        ("nc: two\n", "has no `names`"),
        ("nc: ²\n", "has no `names`"),
        ("nc: 99999999999\n", "`nc` is 99999999999, and at most 100,000 can be numbered"),
        (f"nc: 1{'0' * 5000}\n", "at most 100,000 can be numbered"),
        (f"names: {'[' * 100_000}\n", "cannot be used"),
    ],
)
def test_class_names(tmp_path, text, names) -> None:
    root = write_set(tmp_path, {"images/train/a.png": BOX}, text)
    if isinstance(names, str):
        with pytest.raises(SourceError, match=names):
            read_yolo_data(root)
    else:
        assert read_yolo_data(root).names == names


@pytest.mark.parametrize(
    ("files", "says"),
    [
        ({}, r"has no data\.yaml\. Set it to the folder"),
        ({"overlay.yaml": "source: {kind: yolo}\n"}, r"has no data\.yaml\. Set it to the folder"),
        ({"a.yaml": NAMES, "b.yml": NAMES}, r"holds several YOLO data sets \(a\.yaml, b\.yml\)"),
        ({"a/data.yaml": NAMES, "b/data.yaml": NAMES}, r"several YOLO data sets \(a/data\.yaml, b/data\.yaml\)"),
        ({"data.yaml": NAMES}, r"names no folder of photographs"),
        (
            {"data.yaml": NAMES + "train: [gone, here]\n", "here/a.txt": BOX},
            r"train: gone is not there or has no photograph, nor are",
        ),
        ({"images/a.txt": BOX, "classes.txt": "red\n"}, r"write a data\.yaml of two lines there: `train: \."),
        ({"data.yaml": NAMES + "train: gone/images\n"}, r"train: gone/images is not there or has no photograph, nor"),
    ],
)
def test_missing_parts_are_an_error(tmp_path, files, says) -> None:
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    with pytest.raises(SourceError, match=says):
        list_archives(Source(kind="yolo", root=str(tmp_path)))


@pytest.mark.parametrize("below", ["", "export", "downloads/export"])
def test_the_data_set_is_found_beside_an_overlay_and_below_the_root(tmp_path, below) -> None:
    write_set(tmp_path / below, {"images/train/a.png": BOX}, "nc: 1\ntrain: images/train\n")
    (tmp_path / "overlay.yaml").write_text("source: {kind: yolo}\n")
    (tmp_path / below / "data.yaml").rename(tmp_path / below / "pills.yml")
    archives = list_archives(Source(kind="yolo", root=str(tmp_path)))
    assert [archive.photos for archive in archives.values()] == [str(tmp_path / below / "images/train")]


def test_polygons_as_roboflow_exports_them(real_photos) -> None:
    archives = list_archives(Source(kind="yolo", root=str(real_photos.parent / "pillcounter")))
    readings = [read_yolo_labels(archive) for archive in archives.values()]
    assert sum(reading.photos_read for reading in readings) == 273
    assert sum(reading.labels_read for reading in readings) == 667
    reasons = Counter(issue["reason"] for reading in readings for issue in reading.issues)
    assert reasons == {"bbox_from_polygon": 667, "label_duplicated": 1}


def test_real_photos(real_photos) -> None:
    archives = list_archives(Source(kind="yolo", root=str(real_photos)))
    assert [(archive.name, archive.part) for archive in archives.values()] == [(p, p) for p in ("test", "train", "val")]
    readings = {name: read_yolo_labels(archive) for name, archive in archives.items()}
    pills = [pill for reading in readings.values() for pill in reading.pills]
    assert sum(reading.photos_read for reading in readings.values()) == 267
    assert len(read_yolo_data(real_photos).names) == 17
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
