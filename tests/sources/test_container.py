"""Zips and folders: names, sizes and links that an archive tells of are never trusted, and damage is told."""

import os
import tracemalloc
import zipfile

import pytest

from pillsnap.sources.containers.container import Container, ContainerError, MemberError


@pytest.mark.parametrize("make", [lambda path: path.write_bytes(b"PK no zip"), lambda path: None])
def test_an_archive_that_cannot_be_opened_is_an_error(tmp_path, make) -> None:
    make(tmp_path / "TS_1_단일.zip")
    with pytest.raises(
        ContainerError, match=r"TS_1_단일\.zip: is neither a folder nor a zip .* Fetch the archive again"
    ):
        Container(tmp_path / "TS_1_단일.zip")


def test_a_folder_gives_nothing_from_outside_it(tmp_path) -> None:
    (tmp_path / "inside/deeper").mkdir(parents=True)
    (tmp_path / "outside").mkdir()
    for name in ("secret.png", "outside/b.png", "inside/deeper/a.png"):
        (tmp_path / name).write_bytes(name.encode())
    for name, target in {
        "out.png": "../secret.png", "folder": "../outside", "gone.png": "nothing", "round.png": "round.png",
        "in.png": "deeper/a.png",
    }.items():  # fmt: skip
        (tmp_path / "inside" / name).symlink_to(target)
    os.mkfifo(tmp_path / "inside/pipe.png")
    with Container(tmp_path / "inside") as container:
        refused = dict.fromkeys(("gone.png", "out.png", "pipe.png", "round.png"), "link_outside")
        found = {entry.name: entry.reason for entry in container.entries()}
        assert found == refused | {"deeper/a.png": "", "in.png": ""}
        assert container.read("in.png") == b"inside/deeper/a.png"
        for name in refused:
            with pytest.raises(MemberError):
                container.read(name)
        for name in ("../secret.png", str(tmp_path / "secret.png"), "missing.png", "folder/b.png"):
            with pytest.raises(KeyError):
                container.read(name)


def test_links_of_dvc_are_followed_into_its_cache(tmp_path) -> None:
    """With `cache.type symlink`, `dvc add` leaves links; only a file that its content names is one of its cache."""
    cache = tmp_path / ".dvc/cache/files/md5"
    kept, other = cache / "ab" / ("0" * 30), cache / "ab/notes.png"
    kept.parent.mkdir(parents=True)
    for path in (kept, other):
        path.write_bytes(b"photograph")
    (tmp_path / "pills").mkdir()
    (tmp_path / "pills/a.png").symlink_to(kept)
    (tmp_path / "pills/b.png").symlink_to(other)
    with Container(tmp_path / "pills") as container:
        assert {entry.name: entry.reason for entry in container.entries()} == {"a.png": "", "b.png": "link_outside"}
        assert container.read("a.png") == b"photograph"


UNSAFE = ("../a.png", "/a.png", "K/../../a.png", "C:/a.png", "K\\a.png", "a\nb.png", "a\x7f.png", "약" * 61 + ".png")


def test_names_in_a_zip_are_never_trusted(tmp_path) -> None:
    path = tmp_path / "TS_1_단일.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for name in (*UNSAFE, "K/good..name.png", "K/알약.png"):
            archive.writestr(zipfile.ZipInfo(name), b"x")
        link = zipfile.ZipInfo("link.png")
        link.create_system, link.external_attr = 3, 0o120777 << 16
        archive.writestr(link, "/etc/passwd")
    with Container(path) as container:
        found = {entry.name: entry.reason for entry in container.entries()}
        expected = dict.fromkeys(UNSAFE, "name_unsafe") | {"link.png": "link_outside"}
        assert found == expected | {"K/good..name.png": "", "K/알약.png": ""}
        for name in expected:
            with pytest.raises(MemberError):
                container.read(name)


@pytest.mark.parametrize(
    ("name", "encoding"),
    [
        ("가나/1.png", "cp949"),
        ("타이레놀정500밀리그램/1.png", "cp949"),
        ("가나/1.png", "utf-8"),
        ("pâté/1.png", "cp437"),
    ],
)
def test_names_in_a_zip_that_does_not_tell_their_encoding(tmp_path, name, encoding) -> None:
    """As Korean Windows, macOS and DOS write them."""
    path, written = tmp_path / "a.zip", name.encode(encoding)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x" * len(written), b"photograph")
    path.write_bytes(path.read_bytes().replace(b"x" * len(written), written))
    with Container(path) as container:
        assert [entry.name for entry in container.entries()] == [name]
        assert container.read(name) == b"photograph"


def test_a_name_that_a_zip_has_twice_is_told_and_the_first_is_read(tmp_path) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive, pytest.warns(UserWarning, match="Duplicate name"):
        archive.writestr("a.png", b"first")
        archive.writestr("a.png", b"second")
    with Container(path) as container:
        assert [entry.reason for entry in container.entries()] == ["", "name_repeated"]
        assert container.read("a.png") == b"first"


def test_a_zip64_is_read(tmp_path) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in ("a.png", "b.png"):
            with archive.open(zipfile.ZipInfo(name), "w", force_zip64=True) as member:
                member.write(name.encode() * 100)
        # a place beyond 4 GiB, where the directory needs its 64-bit fields; the file in between is sparse
        archive.fp.seek(5 * 2**30)
        archive.start_dir = archive.fp.tell()
        archive.writestr("c.png", b"far away")
    assert path.stat().st_size > 5 * 2**30
    with Container(path) as container:
        assert [entry.name for entry in container.entries()] == ["a.png", "b.png", "c.png"]
        assert container.read("b.png") == b"b.png" * 100
        assert container.read("c.png") == b"far away"


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_every_way_of_packing_is_read(tmp_path, method) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w", method) as archive:
        archive.writestr("a.png", b"abc" * 1000)
    with Container(path) as container:
        assert container.read("a.png") == b"abc" * 1000
        with pytest.raises(MemberError, match="3000 bytes, limit 2999"):
            container.read("a.png", limit=2999)


def test_a_file_that_unpacks_to_more_than_it_promises_stays_in_bounded_memory(tmp_path) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.png", bytes(400 * 2**20))
    data = bytearray(path.read_bytes())
    size = (400 * 2**20).to_bytes(4, "little")
    while (place := data.find(size)) >= 0:
        data[place : place + 4] = (1000).to_bytes(4, "little")
    path.write_bytes(data)
    with Container(path) as container:
        tracemalloc.start()
        with pytest.raises(OSError, match=r"size or CRC-32 differs from the archive's directory"):
            container.read("a.png")
        assert tracemalloc.get_traced_memory()[1] < 4 * 2**20
        tracemalloc.stop()
