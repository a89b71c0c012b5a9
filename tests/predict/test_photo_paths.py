"""Which photographs the words of `pillsnap predict` mean."""

import io
import os
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pillow_heif import register_heif_opener

from pillsnap.answers.answer import Answer
from pillsnap.pictures.decode import PHOTO_FORMATS, PictureError
from pillsnap.predict import photo_paths
from pillsnap.predict.annotate import write_answer_picture
from pillsnap.predict.photo_paths import PHOTO_ENDINGS, Photo, find_photos, names_one, read_photo

FILES = (
    "b.jpg", "a.PNG", "sub/c.webp", "sub/deep/d.tif", "a/z.jpeg", "notes.txt", "._b.jpg", ".hidden/e.jpg", "[1].jpg"
)  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in FILES:
        (tmp_path / "photos" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "photos" / name).write_bytes(b"x")
    (tmp_path / "photos" / "empty").mkdir()
    (tmp_path / "photos" / "folder.jpg").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("words", "names"),
    [
        (["photos/b.jpg", "photos/a.PNG"], ["photos/b.jpg", "photos/a.PNG"]),
        (["photos/notes.txt"], ["photos/notes.txt"]),
        (
            ["photos"],
            ["photos/[1].jpg", "photos/a/z.jpeg", "photos/a.PNG", "photos/b.jpg", "photos/sub/c.webp",
             "photos/sub/deep/d.tif"],
        ),
        (["photos/*"], ["photos/[1].jpg", "photos/a.PNG", "photos/b.jpg"]),
        (["photos/sub/**"], ["photos/sub/c.webp", "photos/sub/deep/d.tif"]),
        (["photos/**/*.jp*g"], ["photos/[1].jpg", "photos/a/z.jpeg", "photos/b.jpg"]),
        (["photos/[1].jpg"], ["photos/[1].jpg"]),
        (["photos/b.jpg", "./photos/b.jpg", "photos/b*"], ["photos/b.jpg"]),
        (["-", "photos/b.jpg", "-"], ["-", "photos/b.jpg"]),
        (["missing.jpg"], ["missing.jpg"]),
        (["x" * 300], ["x" * 300]),
    ],
)  # fmt: skip
def test_photographs_found(folder: Path, words: list[str], names: list[str]) -> None:
    found = find_photos(words)
    assert sorted(photo.name for photo in found) == sorted(names)
    assert [photo.name for photo in found] == (sorted(names, key=Path) if words == ["photos"] else names)
    assert not any(photo.problem for photo in found)


@pytest.mark.parametrize(
    ("word", "said"), [("photos/empty", "no picture in this folder"), ("photos/*.gif", "no picture matches")]
)
def test_nothing_found_is_a_problem(folder: Path, word: str, said: str) -> None:
    (photo,) = find_photos([word])
    assert (photo.name, photo.problem.reason) == (word, "photo_missing")
    assert said in photo.problem.message


@pytest.mark.skipif(os.geteuid() == 0, reason="root may open every folder")
def test_a_closed_folder_is_a_problem(folder: Path) -> None:
    (folder / "photos/sub").chmod(0)
    found = find_photos(["photos"])
    (folder / "photos/sub").chmod(0o700)
    assert [photo.name for photo in found if photo.problem] == ["photos/sub"]


@pytest.fixture
def drawn(folder: Path) -> Path:
    """The same folder with drawn pictures: below one, beside photographs, and in a folder of their own."""
    for name in ("answers/a.PNG.jpg", "answers/sub/c.webp.jpg", "drawn.png", "only/one.JPEG"):
        picture = folder / "photos" / name
        write_answer_picture(np.zeros((8, 8, 3), np.uint8), Answer("single", 8, 8, ()), picture)
    return folder


ALL = ["[1].jpg", "a.PNG", "a/z.jpeg", "b.jpg", "sub/c.webp", "sub/deep/d.tif"]
LEFT_OUT = "left out, since drawn by pillsnap predict: "


@pytest.mark.parametrize(
    ("words", "names", "warned"),
    [
        (["photos"], ALL, "4 pictures"),
        (["photos/**/*.jpg"], ["[1].jpg", "b.jpg"], "2 pictures"),
        (["photos/*.png", "photos", "photos/sub"], ALL, "4 pictures"),
        (["photos/drawn.png"], ["drawn.png"], None),
        (["photos/only/*", "photos/only/one.JPEG"], ["only/one.JPEG"], "1 picture"),
        (["photos/only"], [], "1 picture"),
        (["photos/only/*"], [], "1 picture"),
        (["photos/sub"], ["sub/c.webp", "sub/deep/d.tif"], None),
    ],
)
def test_drawn_pictures_are_left_out_of_what_is_listed(
    drawn: Path, words: list[str], names: list[str], warned: str | None
) -> None:
    said: list[str] = []
    found = find_photos(words, warn=said.append)
    listed = [photo.name.removeprefix("photos/") for photo in found if not photo.problem]
    assert said == ([LEFT_OUT + warned] if warned else [])
    assert sorted(listed) == sorted(names)
    assert names or "drawn" in found[0].problem.message


def test_a_drawn_picture_that_may_not_be_read_is_told_by_reading(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def closed(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", closed)
    assert [photo.name for photo in find_photos(["photos/b*"])] == ["photos/b.jpg"]


@pytest.mark.parametrize("place", ["-", "./-"])
def test_a_dash_is_standard_input_whatever_lies_there(folder: Path, place: str) -> None:
    Path("-").mkdir()
    Path("-/a.jpg").touch()
    (photo,) = found = find_photos([place])
    assert (photo.name, names_one([place])) == (("-", True) if place == "-" else ("-/a.jpg", False)), found


def test_a_closed_standard_input_is_a_missing_photograph(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", None)
    with pytest.raises(PictureError, match="photo_missing: standard input is closed"):
        read_photo(Photo("-"))


def test_links_are_photographs_but_no_way_round(folder: Path) -> None:
    (folder / "photos/empty/link.jpg").symlink_to(folder / "photos/b.jpg")
    (folder / "photos/empty/up").symlink_to(folder / "photos")
    (folder / "photos/empty/broken.jpg").symlink_to(folder / "nowhere")
    (folder / "photos/empty/round.jpg").symlink_to("round.jpg")
    os.mkfifo(folder / "photos/empty/pipe.jpg")
    (folder / "photos/empty/to_pipe.jpg").symlink_to("pipe.jpg")
    names = [f"photos/empty/{name}" for name in ("broken.jpg", "link.jpg", "round.jpg", "up")]
    found = find_photos(["photos/empty"])
    assert [photo.name for photo in found] == names
    assert "not followed" in found[3].problem.message
    for photo in (found[0], found[2]):
        with pytest.raises(PictureError) as caught:
            read_photo(photo)
        assert caught.value.reason == "photo_missing", "it is not left out without a word"
    assert [photo.name for photo in find_photos(["photos/empty/*.jpg"])] == names[:3]


@pytest.mark.parametrize(
    ("words", "one"),
    [
        (["photos/b.jpg"], True),
        (["-"], True),
        (["missing.jpg"], True),
        (["photos/[1].jpg"], True),
        (["photos"], False),
        (["photos/b*"], False),
        (["photos/b.jpg", "photos/b.jpg"], False),
    ],
)
def test_words_that_mean_one_photograph(folder: Path, words: list[str], one: bool) -> None:
    assert names_one(words) == one


def test_names_can_be_shown() -> None:
    assert Photo(os.fsdecode("약\udcff.jpg".encode(errors="surrogateescape"))).shown == "약�.jpg"


def test_endings_are_those_of_the_formats_that_are_opened() -> None:
    Image.init()
    register_heif_opener()
    theirs = {
        ending for ending, kind in Image.registered_extensions().items() if kind in (*PHOTO_FORMATS, "MPO", "HEIF")
    }
    assert set(PHOTO_ENDINGS) == theirs


def test_reading_is_bounded(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(photo_paths, "MAX_BYTES", 1000)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(bytes(1001))))
    for name in ("/dev/zero", "-"):
        with pytest.raises(PictureError, match="file_too_large"):
            read_photo(Photo(name))
    with pytest.raises(PictureError, match="photo_missing: File name too long"):
        read_photo(Photo("x" * 300))
    with pytest.raises(PictureError, match="photo_missing: Is a directory"):
        read_photo(Photo("photos"))
