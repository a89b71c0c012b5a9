"""HEIC photographs in folders: read, or told which package is missing."""

import io
import sys
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image

from pillsnap.predict.photo_paths import find_photos
from pillsnap.scenes.backgrounds import find_backgrounds
from pillsnap.sources.settings import Source
from tests.support.archives import photo_png, prepare_source
from tests.support.heic_bytes import heic

NAMES = "IMG_0001.HEIC", "IMG_0002.heic", "b.heif", "c.HIF"
LINE = "0 0.5 0.5 0.4 0.4\n"


def write_photos(folder: Path) -> None:
    folder.mkdir(parents=True)
    for number, name in enumerate(NAMES):
        image = Image.open(io.BytesIO(photo_png(1, seed=number)))
        (folder / name).write_bytes(heic(image.convert("RGB")))


def as_yolo(root: Path) -> Source:
    write_photos(root / "images/train")
    (root / "labels/train").mkdir(parents=True)
    for name in NAMES:
        (root / "labels/train" / name).with_suffix(".txt").write_text(LINE)
    (root / "data.yaml").write_text("names: [A]\ntrain: images/train\n")
    return Source(kind="yolo", root=str(root))


def test_prepared(tmp_path: Path) -> None:
    run = prepare_source(as_yolo(tmp_path / "raw"), tmp_path / "run")
    run.build_manifest()
    assert run.quarantine().empty
    assert sorted(Path(member).name for member in run.pills()["member"]) == sorted(NAMES)


def test_missing_package_is_told_in_the_quarantine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = as_yolo(tmp_path / "raw")
    monkeypatch.setitem(sys.modules, "pillow_heif", None)  # its import fails
    run = prepare_source(source, tmp_path / "run")
    issues = pd.read_parquet(run.prepared[0] / "issues.parquet")
    photos = issues[issues["reason"] == "photo_unreadable"]
    assert sorted(Path(member).name for member in photos["member"]) == sorted(NAMES)
    assert photos["detail"].str.contains("needs the package pillow-heif: pip install pillow-heif").all()


def test_found_in_a_folder(tmp_path: Path) -> None:
    write_photos(tmp_path / "photos")
    assert sorted(Path(photo.path).name for photo in find_photos([str(tmp_path / "photos")])) == sorted(NAMES)
    assert len(find_backgrounds(tmp_path / "photos")) == len(NAMES)
