"""The folder of grounds, before the first job and by the checks of a stage."""

from pathlib import Path

import pytest

from pillsnap.config.data import Scenes
from pillsnap.preflight.backgrounds import check_backgrounds
from pillsnap.preflight.doctor import examine
from tests.support.archives import photo_png
from tests.support.preflight import config, ends

FOLDERS = {
    "missing": (None, "refused", "there is no folder"),
    "empty": ({}, "refused", "holds no photograph (."),
    "no picture": ({"notes.txt": b"pills"}, "refused", "holds no photograph (."),
    "no picture within": ({"a.jpg": b"pills", "b.png": photo_png()}, "refused", "a.jpg cannot be decoded"),
    "empty file": ({"a.png": b""}, "refused", "a.png cannot be decoded"),
    "good": ({"more/b.png": photo_png(), "c.PNG": photo_png()}, "ok", "2 photographs in"),
}


@pytest.mark.parametrize(("files", "verdict", "says"), FOLDERS.values(), ids=FOLDERS)
def test_a_folder_of_grounds(tmp_path: Path, files: dict[str, bytes] | None, verdict: str, says: str) -> None:
    folder = tmp_path / "grounds"
    for name, data in (files or {}).items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    if files is not None:
        folder.mkdir(exist_ok=True)
    (found,) = check_backgrounds(Scenes(photos=1, backgrounds=str(folder)))
    assert ends(found) == verdict and says in found.found
    assert str(folder) in found.found


@pytest.mark.parametrize("scenes", [Scenes(photos=0, backgrounds="nowhere"), Scenes(photos=1)])
def test_where_none_is_needed_nothing_is_checked(scenes: Scenes) -> None:
    assert check_backgrounds(scenes) == []


def test_the_doctor_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    found = examine(config(scenes={"photos": 1, "backgrounds": "nowhere"}), "stage4")
    assert [ends(one) for one in found if one.what == "scenes.backgrounds"] == ["refused"]
