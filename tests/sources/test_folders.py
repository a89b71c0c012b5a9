"""Folders of one class each: layouts, parts, names, and photographs that cannot be used."""

import unicodedata
from pathlib import Path

import numpy as np
import pytest

from pillsnap.answers.answer import Answer
from pillsnap.predict.annotate import write_answer_picture
from pillsnap.sources.archives import NotRecognisedError, SourceError
from pillsnap.sources.folders.folders import read_folder_labels
from pillsnap.sources.registry import list_archives
from pillsnap.sources.settings import Source
from tests.support.aihub_files import write_zip
from tests.support.archives import photo_png


def write(root: Path, *names: str) -> Source:
    """Photographs of 100 x 200 pixels; paths that begin with `NAME.zip/` go into that zip."""
    zips: dict[str, dict[str, bytes]] = {}
    for number, name in enumerate(names):
        data = photo_png(1, seed=number, width=100, height=200)
        archive, found, member = name.partition(".zip/")
        if found:
            zips.setdefault(f"{archive}.zip", {})[member] = data
        else:
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_bytes(data)
    for name, members in zips.items():
        write_zip(root / name, members)
    return Source(kind="folders", root=str(root), box="whole")


def readings(source: Source) -> dict[str, dict[str, tuple[str, str]]]:
    """Class and part of each photograph, by archive; nothing is left out."""
    found = {}
    for name, archive in list_archives(source).items():
        reading = read_folder_labels(archive)
        assert reading.labels_read == len(reading.pills) and not reading.issues
        found[name] = {pill["member"]: (pill["k_code"], pill["part"]) for pill in reading.pills}
    return found


def test_drawn_pictures_are_no_photographs(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    source = write(tmp_path, "A/1.png", "B/2.png")
    for name in ("A/1.png.jpg", "answers/A/1.png.jpg", "answers/B/2.png.jpg"):
        write_answer_picture(np.zeros((8, 8, 3), np.uint8), Answer("single", 8, 8, ()), tmp_path / name)
    assert readings(source) == {"photos": {"A/1.png": ("A", ""), "B/2.png": ("B", "")}}
    told = [message for message in caplog.messages if "left out" in message]
    assert told == [f"{tmp_path}: left out, since drawn by pillsnap predict: 3 pictures"]


FULL_WIDTH = "K-\uff10\uff10\uff10\uff11\uff11\uff14"
"""K-000114 in the digits that an East Asian keyboard gives."""


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        pytest.param(["A/1.png", "B/2.PNG"], {"photos": {"A/1.png": ("A", ""), "B/2.PNG": ("B", "")}}, id="classes"),
        pytest.param(["A/deep/er/1.png", "B/2.png"],
            {"photos": {"A/deep/er/1.png": ("A", ""), "B/2.png": ("B", "")}}, id="nested below the class"),
        pytest.param(["pills-v2/data/A/1.png", "pills-v2/data/B/2.png"],
            {"photos": {"pills-v2/data/A/1.png": ("A", ""), "pills-v2/data/B/2.png": ("B", "")}}, id="folders around"),
        pytest.param(["train/A/1.png", "Valid/A/2.png", "test/A/3.png"],
            {"photos": {"Valid/A/2.png": ("A", "val"), "test/A/3.png": ("A", "test"), "train/A/1.png": ("A", "train")}},
            id="three parts"),
        pytest.param(["set/train/A/1.png", "set/val/A/2.png"],
            {"photos": {"set/train/A/1.png": ("A", ""), "set/val/A/2.png": ("A", "val")}}, id="no test part"),
        pytest.param(["train/A/1.png", "train/B/2.png"],
            {"photos": {"train/A/1.png": ("A", ""), "train/B/2.png": ("B", "")}}, id="training part alone"),
        pytest.param(["pills.zip/set/train/A/1.png", "pills.zip/set/test/B/2.png"],
            {"pills": {"set/test/B/2.png": ("B", "test"), "set/train/A/1.png": ("A", "")}}, id="one zip"),
        pytest.param(["train.zip/A/1.png", "val.zip/A/2.png", "test.zip/A/3.png"],
            {part: {f"A/{n}.png": ("A", part)} for part, n in (("test", 3), ("train", 1), ("val", 2))},
            id="a zip for each part"),
        pytest.param(["k-000114/1.png", "K_000115/2.png", f"{FULL_WIDTH}/4.png", "10 mg/3.png"],
            {"photos": {"10 mg/3.png": ("10 mg", ""), "K_000115/2.png": ("K-000115", ""),
                f"{FULL_WIDTH}/4.png": ("K-000114", ""), "k-000114/1.png": ("K-000114", "")}},
            id="K-codes"),
        pytest.param(["train_images/A/1.png", "test_images/A/2.png"],
            {"photos": {"test_images/A/2.png": ("A", "test"), "train_images/A/1.png": ("A", "")}},
            id="parts of photographs"),
        pytest.param(["set/images/A/1.png", "set/images/B/2.png"],
            {"photos": {"set/images/A/1.png": ("A", ""), "set/images/B/2.png": ("B", "")}}, id="in a folder images"),
        pytest.param(["train/images/A/1.png", "val/images/B/2.png", "test/images/B/3.png"],
            {"photos": {"test/images/B/3.png": ("B", "test"), "train/images/A/1.png": ("A", "train"),
                "val/images/B/2.png": ("B", "val")}}, id="in a folder images of each part"),
    ],
)  # fmt: skip
def test_layouts(tmp_path, names, expected) -> None:
    assert readings(write(tmp_path, *names)) == expected


def test_folders_beside_a_zip_are_refused(tmp_path) -> None:
    source = write(tmp_path, ".thumbnails/A/1.png", "__MACOSX/A/._1.png", "extra.zip/C/1.png")
    assert readings(source) == {"extra": {"C/1.png": ("C", "")}}
    write(tmp_path, "A/1.png")
    with pytest.raises(SourceError, match="has zips, and folders of photographs beside them, such as A"):
        list_archives(source)


@pytest.mark.parametrize(
    ("members", "says"),
    [
        (["data.yaml", "train/images/1.png", "train/labels/1.txt", "valid/images/2.png"], "with label files"),
        (["annotations/instances_default.json", "images/1.png"], "with label files"),
        (["Annotations/1.xml", "JPEGImages/1.png"], "with label files"),
        (["train/1.png", "train/_annotations.coco.json", "valid/2.png"], "named as parts"),
    ],
)
def test_a_zip_of_labelled_photographs_is_refused(tmp_path, members, says) -> None:
    """As tools export them; read as folders, `train` and `valid` would be drugs."""
    source = write(tmp_path, *(f"export.zip/{name}" for name in members))
    with pytest.raises(NotRecognisedError, match=rf"export\.zip: .*{says}.*Unpack it"):
        list_archives(source)


def test_a_pill_is_the_whole_photograph_until_a_box_is_found(tmp_path) -> None:
    (archive,) = list_archives(write(tmp_path, "가나정/a.rf.1.png")).values()
    (pill,) = read_folder_labels(archive).pills
    assert [pill[side] for side in ("x", "y", "w", "h", "width", "height")] == [0, 0, 100, 200, 100, 200]
    assert (pill["domain"], pill["group"], pill["image_id"]) == ("single", "a", "photos.가나정.a.rf.1")
    assert (archive.boxes, pill["k_code"], pill["drug_name"]) == ("whole", "가나정", "가나정")


def test_names_of_aihubs_form_give_the_group(tmp_path) -> None:
    names = [f"K-000114/K-000114_0_2_0_0_75_{longitude}_200.png" for longitude in ("000", "260")]
    (archive,) = list_archives(write(tmp_path, *names)).values()
    assert {pill["group"] for pill in read_folder_labels(archive).pills} == {"K-000114_2_0_0_75"}


def test_names_are_compared_in_nfc(tmp_path) -> None:
    source = write(tmp_path, "train/" + unicodedata.normalize("NFD", "가정") + "/1.png", "val/가정/2.png")
    ((_, photos),) = readings(source).items()
    assert {name for name, _ in photos.values()} == {"가정"}


@pytest.mark.parametrize(
    "names",
    [
        ("Aspirin/1.png", "aspirin/2.png"),
        ("train/Aspirin/1.png", "test/ASPIRIN/2.png"),
        ("가정/1.png", unicodedata.normalize("NFD", "가정") + "/2.png"),
    ],
)
def test_two_spellings_of_a_name_are_refused(tmp_path, names) -> None:
    (archive,) = list_archives(write(tmp_path, *names)).values()
    with pytest.raises(SourceError, match="two classes have one name but for its spelling"):
        read_folder_labels(archive)


@pytest.mark.parametrize("stray", ["sample/5.png", "test1/A/5.png"])
def test_folders_beside_those_of_parts_are_refused(tmp_path, stray) -> None:
    names = ("train/A/1.png", "train/B/2.png", "test/A/3.png", "test/B/4.png", stray)
    (archive,) = list_archives(write(tmp_path, *names)).values()
    with pytest.raises(SourceError, match=f"test, train are named as parts, and beside them there are {stray[:5]}"):
        read_folder_labels(archive)


def test_what_tools_keep_for_themselves_is_no_class_and_no_photograph(tmp_path) -> None:
    own = (".ipynb_checkpoints/3.png", "A/.ipynb_checkpoints/1-checkpoint.png", "B/@eaDir/2.png/THUMB_XL.jpg")
    (archive,) = list_archives(write(tmp_path, "A/1.png", "B/2.png", *own)).values()
    reading = read_folder_labels(archive)
    assert [(pill["member"], pill["k_code"]) for pill in reading.pills] == [("A/1.png", "A"), ("B/2.png", "B")]
    assert (reading.photos_read, reading.other_files, reading.issues) == (2, 3, [])


def test_what_is_left_out_is_noted(tmp_path) -> None:
    source = write(tmp_path, "A/1.png", "B/1.png", "A/2.png", "A/2.PNG", "B/._1.png", "loose.png")
    (tmp_path / "A/notes.txt").write_text("seen by day")
    (tmp_path / "B/3.png").symlink_to("/etc/hostname")
    (tmp_path / "B/4.png").write_bytes(b"no picture")
    reading = read_folder_labels(list_archives(source)["photos"])
    assert sorted((issue["outcome"], issue["reason"], issue["member"]) for issue in reading.issues) == [
        ("quarantined", "link_outside", "B/3.png"),
        ("quarantined", "photo_without_label", "loose.png"),
        ("skipped", "apple_double", "B/._1.png"),
        ("skipped", "photo_duplicated", "A/2.png"),
    ]
    assert (reading.photos_read, reading.labels_read, reading.other_files) == (8, 4, 1)
    assert [pill["member"] for pill in reading.pills] == ["A/1.png", "A/2.PNG", "B/1.png", "B/4.png"]


@pytest.mark.parametrize(
    ("names", "says"),
    [
        ((), "it has no folder with photographs"),
        (("1.png",), "it has no folder with photographs"),
        (
            ("train/1.png", "valid/2.png", "test/3.png"),
            r"named as parts \(test, train, valid\), and in none of a class",
        ),
        (("images/train/1.png",), "lies in a data set with label files"),
        (("set/train/images/1.png",), "lies in a data set with label files"),
        (("images/A/1.png", "labels/A/1.png", "labels/A/1.txt"), "lies in a data set with label files"),
        (("train/1.png", "train/1.xml", "test/2.png", "test/2.xml"), "lies in a data set with label files"),
        (("train/1.png", "train/1.txt", "train/_darknet.labels"), "lies in a data set with label files"),
        (("JPEGImages/1.png", "Annotations/1.xml"), "lies in a data set with label files"),
    ],
)
def test_other_data_is_not_recognised(tmp_path, names, says) -> None:
    with pytest.raises(NotRecognisedError, match=says):
        list_archives(write(tmp_path, *names))


@pytest.mark.parametrize(
    ("names", "loose"),
    [
        (("set/A/1.png", "set/B/2.png", "set/3.png"), "set/3.png"),
        (("train/A/1.png", "train/B/2.png", "test/A/3.png", "train/4.png"), "train/4.png"),
        (("images/A/1.png", "images/B/2.png", "3.png"), "3.png"),
    ],
)
def test_a_photograph_beside_the_folders_of_classes_has_no_class(tmp_path, names, loose) -> None:
    """It does not make one class of what lies around it. A folder without photographs is none, either."""
    source = write(tmp_path, *names)
    (tmp_path / "C").mkdir()
    reading = read_folder_labels(list_archives(source)["photos"])
    assert [(issue["reason"], issue["member"]) for issue in reading.issues] == [("photo_without_label", loose)]
    assert {pill["k_code"] for pill in reading.pills} == {"A", "B"} and reading.photos_read == len(names)


def test_a_zip_that_cannot_be_opened_stops_nothing(tmp_path) -> None:
    source = write(tmp_path, "good.zip/A/1.png")
    (tmp_path / "bad.zip").write_bytes(b"no zip")
    issues = [issue["reason"] for one in list_archives(source).values() for issue in read_folder_labels(one).issues]
    assert issues == ["archive_unreadable"]
