"""A folder that cannot be listed: it is told, by every kind of source, and nothing in it is lost without a word."""

import os
from pathlib import Path

import pytest

from pillsnap.sources.archives import SourceError
from pillsnap.sources.containers.container import Container
from pillsnap.sources.registry import list_archives, recognise
from pillsnap.sources.settings import Source
from tests.support.picture_bytes import saved, scene_image


@pytest.fixture
def closed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with two classes of photographs, the second of which only another user may list."""
    for name in ("A", "C"):
        (tmp_path / "data" / name).mkdir(parents=True)
        (tmp_path / "data" / name / "1.jpg").write_bytes(saved(scene_image(), "JPEG"))
    real = os.scandir

    def scandir(path: str | Path = ".") -> object:
        if Path(path).name == "C":
            raise PermissionError(13, "Permission denied", str(path))
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)  # root, as which tests often run, may list every folder
    return tmp_path / "data"


def test_a_container_does_not_list_the_rest(closed: Path) -> None:
    with Container(closed) as container, pytest.raises(OSError, match=r"C: cannot be listed \(Permission denied\)"):
        container.entries()


@pytest.mark.parametrize("kind", ["aihub", "coco"])
def test_kinds_that_look_for_their_files_refuse(closed: Path, kind: str) -> None:
    with pytest.raises(SourceError, match=r"C: cannot be listed .* Allow reading it, or take it out of the data"):
        list_archives(Source(kind=kind, root=str(closed)))


def test_no_kind_is_taken_for_what_cannot_be_read(closed: Path) -> None:
    with pytest.raises(SourceError, match="cannot be listed") as told:
        recognise(closed)
    assert "overlay" not in str(told.value)
