"""AIHub data as people have it: every layout gives the manifest of the zips as they were published."""

import io
import shutil
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image

from pillsnap.sources.settings import Source
from tests.support.aihub_files import packed, split, unpack, write_zip
from tests.support.archives import HandMade, course_files, hand_made, prepare_source

KEPT = ["split", "domain", "group", "k_code", "fully_labelled", "class_index"]
BOX = ["width", "height", "x", "y", "w", "h"]


@pytest.fixture(scope="module")
def raw() -> HandMade:
    return hand_made()


def each_zip(change: Callable[[Path], object]) -> Callable[[HandMade, Path], Source]:
    """Write the zips, and change each of them."""

    def write(raw: HandMade, root: Path) -> Source:
        source = raw.write(root)
        for path in sorted(root.rglob("*.zip")):
            change(path)
        return source

    return write


def unpacked_in_place(path: Path) -> None:
    shutil.unpack_archive(path, path.parent)
    path.unlink()


def without_underscore(path: Path) -> None:
    path.rename(path.with_name(path.name.replace("_단일", "단일").replace("_조합", "조합").lower()))


def resized(raw: HandMade, root: Path) -> Source:
    """Twice as large, as JPEG."""
    photos: dict[str, dict[str, bytes]] = {}
    for archive, members in raw.photos.items():
        photos[archive] = {}
        for name, data in members.items():
            picture, stream = Image.open(io.BytesIO(data)), io.BytesIO()
            picture.resize((2 * picture.width, 2 * picture.height)).save(stream, "JPEG", quality=95)
            photos[archive][name.replace(".png", ".JPG")] = stream.getvalue()
    return HandMade(photos, raw.labels).write(root)


def course_in_zips(raw: HandMade, root: Path) -> Source:
    for part in ("train_images", "train_annotations", "test_images"):
        inside = {name.partition("/")[2]: data for name, data in course_files(raw).items() if name.startswith(part)}
        write_zip(root / f"{part}.zip", inside)
    return Source(kind="aihub", root=str(root))


def course_in_one(change: Callable[[Path], object] = lambda path: None, *, top: str = "") -> Callable:
    def write(raw: HandMade, root: Path) -> Source:
        files = {f"{top}{name}": data for name, data in course_files(raw).items()}
        change(write_zip(root / "ai level1.zip", files))
        return Source(kind="aihub", root=str(root))

    return write


LAYOUTS = {
    "folders of the zips' names": each_zip(unpack),
    "unpacked in place": each_zip(unpacked_in_place),
    "TS_1조합, small letters": each_zip(without_underscore),
    "parts of a tar": each_zip(lambda path: split(packed(path, "tar"))),
    "JPEG, twice as large": resized,
}
COURSE = {
    "folders": lambda raw, root: (course_in_zips(raw, root), [unpack(path) for path in root.glob("*.zip")])[0],
    "one zip": course_in_one(),
    "one zip in parts, a folder around": course_in_one(split, top="ai level1/"),
    "one tar": course_in_one(lambda path: packed(path, "tar")),
    "one zip, unpacked in place": course_in_one(unpacked_in_place),
}


def manifest(write: Callable[[HandMade, Path], Source], raw: HandMade, folder: Path) -> tuple[pd.DataFrame, dict]:
    """The manifest's rows by base names of photograph and label, and its summary."""
    run = prepare_source(write(raw, folder / "raw"), folder / "run")
    run.build_manifest()
    rows = run.pills()
    names = {name: rows[name].str.extract(r"([^/]*)\.\w+$")[0] for name in ("member", "label_member")}
    return rows[[*KEPT, *BOX]].assign(**names).sort_values(list(names)).reset_index(drop=True), run.summary()


@pytest.fixture(scope="module")
def plain(raw, tmp_path_factory) -> tuple[pd.DataFrame, dict]:
    return manifest(HandMade.write, raw, tmp_path_factory.mktemp("plain"))


@pytest.fixture(scope="module")
def course(raw, tmp_path_factory) -> tuple[pd.DataFrame, dict]:
    return manifest(course_in_zips, raw, tmp_path_factory.mktemp("course"))


def accounts(summary: dict) -> dict:
    return {kind: summary[kind] for kind in ("photos", "labels", "splits", "partly_labelled_photos")}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_layouts_of_the_whole_data(plain, raw, tmp_path, layout) -> None:
    rows, summary = manifest(LAYOUTS[layout], raw, tmp_path)
    larger = 2 if layout.startswith("JPEG") else 1
    pd.testing.assert_frame_equal(rows, plain[0].assign(**{name: plain[0][name] * larger for name in BOX}))
    assert accounts(summary) == accounts(plain[1])
    assert summary["repaired"] == ({"box_scaled": len(rows)} if larger == 2 else {})
    assert summary["splits"]["test"]["photos"] == 4 and summary["photos"]["kept"] == 43


@pytest.mark.parametrize("layout", COURSE)
def test_layouts_of_the_courses_edition(course, raw, tmp_path, layout) -> None:
    rows, summary = manifest(COURSE[layout], raw, tmp_path)
    pd.testing.assert_frame_equal(rows, course[0])
    assert accounts(summary) == accounts(course[1])
    account = summary["photos"]
    assert (account["read"], account["kept"], account["quarantined"]) == (42, 39, {})
    assert account["skipped"] == {"photo_of_test_images": 3}
