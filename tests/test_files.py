"""Files appear whole or not at all; training state belongs to one run and one signature."""

import contextlib
import errno
import os
import shutil
import subprocess
import sys
import time
from collections import namedtuple
from collections.abc import Callable
from pathlib import Path

import numpy as np
import psutil
import pytest
from safetensors.numpy import save_file

from pillsnap.files import (
    DiskError,
    ShardWriter,
    placing_folder,
    read_from_shard,
    replacing,
    replacing_folder,
    sha256_of,
    write_json,
    write_text,
)
from tests.support.faults.disks import disk, mount


def test_replacing_keeps_the_old_file_when_the_block_fails(tmp_path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(RuntimeError), replacing(path) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("name", ["a" * 255, "가" * 85, "a" * 240, "a" * 241])
def test_any_name_that_a_file_may_have_can_be_written(tmp_path: Path, name: str) -> None:
    dead = subprocess.Popen(["true"])
    dead.wait()
    with pytest.raises(RuntimeError), replacing(tmp_path / name) as temporary:
        temporary.touch()
        assert temporary.suffixes[-2:] == [f".{os.getpid()}", ".part"]
        temporary.with_suffix("").with_suffix(f".{dead.pid}.part").touch()
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []
    write_text(tmp_path / name, "whole")
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_replacing_folder_is_whole_or_absent(tmp_path) -> None:
    path = tmp_path / "folder"
    with pytest.raises(RuntimeError), replacing_folder(path) as temporary:
        (temporary / "half").write_text("x")
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []
    for content in ("first", "second"):
        with replacing_folder(path) as temporary:
            (temporary / content).write_text(content)
    assert [file.name for file in path.iterdir()] == ["second"]


def _folder_with(*names: str) -> Callable[[Path], None]:
    def put(path: Path) -> None:
        path.mkdir(exist_ok=True)
        for name in names:
            (path / name).write_text("kept")

    return put


@pytest.mark.parametrize("earlier", [None, (), ("own",)], ids=["nothing", "an empty folder", "an earlier one"])
@pytest.mark.parametrize(
    ("put", "kept"),
    [
        (lambda path: None, False),
        (_folder_with(), False),
        (_folder_with("own"), False),
        (_folder_with("notes.txt"), True),
        (_folder_with("own", "notes.txt"), True),
        (lambda path: (shutil.rmtree(path, ignore_errors=True), path.write_text("kept")), True),
        (lambda path: (shutil.rmtree(path, ignore_errors=True), path.symlink_to("elsewhere")), True),
    ],
    ids=["nothing", "an empty folder", "an earlier one", "notes", "notes beside an earlier one", "a file", "a link"],
)
def test_what_appears_in_a_folders_place_is_kept(
    tmp_path: Path, earlier: tuple[str, ...] | None, put: Callable[[Path], object], kept: bool
) -> None:
    path = tmp_path / "out"
    if earlier is not None:
        _folder_with(*earlier)(path)
    before: list[str] = []

    def listed() -> list[str]:
        return sorted(
            f"{file.name} {file.is_symlink() or file.is_dir() or file.read_text()}" for file in tmp_path.rglob("*")
        )

    told = pytest.raises(DiskError, match=r"out: something was put there meanwhile, and was kept. Name another place")
    with told if kept else contextlib.nullcontext(), placing_folder(path, replaced=["own"]) as folder:
        (folder / "own").write_text("new")
        put(path)
        before = [line for line in listed() if "part" not in line and line != "own new"]
    assert listed() == (before if kept else ["out True", "own new"])


def test_json_refuses_what_json_cannot_say(tmp_path) -> None:
    with pytest.raises(ValueError, match="Out of range"):
        write_json(tmp_path / "a.json", {"x": float("nan")})
    assert list(tmp_path.iterdir()) == []


def test_folder_hash_sees_names_and_contents(tmp_path) -> None:
    (tmp_path / "a").write_text("1")
    first = sha256_of(tmp_path)
    (tmp_path / ".snakemake_timestamp").write_text("")
    assert sha256_of(tmp_path) == first
    (tmp_path / "a").write_text("2")
    second = sha256_of(tmp_path)
    (tmp_path / "a").rename(tmp_path / "b")
    assert len({first, second, sha256_of(tmp_path)}) == 3


def test_shards(tmp_path) -> None:
    with ShardWriter(tmp_path / "s") as shard:
        places = [shard.add(data) for data in (b"one", b"", b"three")]
    with (tmp_path / "s").open("rb") as shard:
        assert [read_from_shard(shard, *place) for place in places] == [b"one", b"", b"three"]
        with pytest.raises(ValueError, match="ends before byte 12"):
            read_from_shard(shard, 4, 8)


def test_what_a_killed_process_left_is_removed(tmp_path) -> None:
    dead = subprocess.Popen(["true"])
    dead.wait()
    left, alive = tmp_path / f".crops.{dead.pid}.part", tmp_path / ".crops.1.part"
    left.mkdir()
    (left / "train.bin").write_bytes(b"half")
    alive.mkdir()
    with replacing_folder(tmp_path / "crops") as folder:
        (folder / "train.bin").write_bytes(b"whole")
    assert sorted(path.name for path in tmp_path.iterdir()) == [alive.name, "crops"]


@pytest.mark.parametrize(
    ("error", "free", "said"),
    [
        (
            OSError(errno.ENOSPC, "No space left on device"),
            10,
            r"a\.txt: .* is full \(10 bytes free\)\. Make room",
        ),
        (RuntimeError("unexpected pos 64 vs 0"), 10, "the disk is full"),
        (OSError(errno.EROFS, "Read-only file system"), 10**9, r"a\.txt: cannot be written .*Read-only.*Allow writing"),
    ],
)
def test_a_disk_that_takes_nothing_is_told_with_a_cure(tmp_path, monkeypatch, error, free, said) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: namedtuple("Usage", "free")(free))
    with pytest.raises(DiskError, match=said) as told, replacing(tmp_path / "a.txt"):
        raise error
    assert told.value.__cause__ is error
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_takes_nothing_is_told_where_a_library_does_not_say_why(tmp_path) -> None:
    """safetensors writes by itself, and its error has no `errno`."""
    with disk(tmp_path / "disk", 1) as small:
        mount("-o", "remount,ro", str(small.place))
        error = r"weights: cannot be written \(.*Read-only file system.*\)\. Allow writing there"
        with pytest.raises(DiskError, match=error), replacing(small.place / "weights") as temporary:
            save_file({"weight": np.zeros(1)}, temporary)


@pytest.mark.parametrize("error", [RuntimeError("shapes"), PermissionError(errno.EACCES, "no", "/elsewhere/raw.zip")])
def test_errors_that_the_disk_is_not_to_blame_for_pass(tmp_path, error) -> None:
    with pytest.raises(type(error)) as told, replacing(tmp_path / "a.txt"):
        raise error
    assert told.value is error


def test_what_a_killed_process_left_is_removed_before_its_parent_knows(tmp_path: Path) -> None:
    """A killed process keeps its number until its parent waits for it."""
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    left = tmp_path / f".table.csv.{child.pid}.part"
    left.touch()
    write_text(tmp_path / "table.csv", "a")
    assert left.exists()
    child.kill()
    while psutil.Process(child.pid).status() != psutil.STATUS_ZOMBIE:
        time.sleep(0.01)
    write_text(tmp_path / "table.csv", "b")
    assert not left.exists()
    child.wait()


def test_what_a_writer_left_that_was_killed_meanwhile_is_removed(tmp_path: Path) -> None:
    """A job that outlived its Snakemake writes beside the new one, and is killed."""
    other = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    with replacing(tmp_path / "a.txt") as temporary:
        temporary.write_text("whole")
        (tmp_path / f".a.txt.{other.pid}.part").touch()
        other.kill()
        other.wait()
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]
