"""Archives in S3 are read in place: the same results as from a disk, few bytes moved, and plain errors."""

import os
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from pillsnap.cli import app
from pillsnap.config.config import Config
from pillsnap.config.load import ConfigError, load_config
from pillsnap.preflight.doctor import examine
from pillsnap.preflight.raw import check_archives
from pillsnap.sources.archives import SourceError
from pillsnap.sources.containers import s3
from pillsnap.sources.containers.container import Container, ContainerError
from pillsnap.sources.containers.s3 import S3Error
from pillsnap.sources.registry import KINDS, list_archives
from pillsnap.sources.settings import Source, SyntheticSource
from pillsnap.tables.files import read_table
from pillsnap.tables.schemas import PLAN
from tests.support.aihub_files import split, write_zip
from tests.support.archives import DataRun, course_files, draw_source, hand_made, index_source, prepare_planned
from tests.support.preflight import ends
from tests.support.s3 import Traffic, forget, raw_bucket, upload
from tests.support.workflow import PROJECT

IN_S3 = Source(kind="aihub", root="s3://raw/pills")
DRAWN = SyntheticSource(
    drugs=3, photos_per_drug=18, validation_photos_per_drug=1, combos=1, validation_combos=1, single_archives=1,
    combo_archives=1,
)  # fmt: skip


@pytest.fixture
def traffic() -> Traffic:
    return Traffic()


@pytest.fixture
def bucket(monkeypatch, traffic) -> Iterator[None]:
    with raw_bucket(monkeypatch, traffic):
        yield


def results_of(run: DataRun) -> dict[str, bytes]:
    """Every file of a run."""
    return {
        file.relative_to(run.folder).as_posix(): file.read_bytes() for file in run.folder.rglob("*") if file.is_file()
    }


def configured(**source: str) -> Config:
    """The project's configuration with another source."""
    settings = yaml.safe_load((PROJECT / "config.yaml").read_text(encoding="utf-8"))
    return load_config(settings | {"source": source})


def run_of(source: Source, folder: Path, **options) -> DataRun:
    run = index_source(source, folder)
    prepare_planned(run, **options)
    run.build_manifest()
    return run


def test_results_have_the_same_bytes_as_those_of_a_disk_and_few_bytes_move(tmp_path, bucket, traffic) -> None:
    root = tmp_path / "raw"
    draw_source(root, DRAWN)
    upload(root, "pills")
    here = run_of(Source(kind="aihub", root=str(root)), tmp_path / "here", images=24)
    there = run_of(IN_S3, tmp_path / "there", images=24)
    assert results_of(here) == results_of(there)
    assert all(archive.photos.startswith("s3://raw/pills/") for archive in there.archives.values())

    planned = read_table(there.plan, PLAN).drop_duplicates("image_id")
    for name, archive in there.archives.items():
        zipped = root / Path(archive.photos).relative_to("s3:/raw/pills")
        with zipfile.ZipFile(zipped) as opened:
            sizes = {info.filename: info.compress_size for info in opened.infolist()}
        used = planned.loc[planned["archive"] == name, "member"]
        members, moved = sum(sizes[member] for member in used), traffic.moved(zipped.name)
        print(f"{zipped.name}: {len(used)} of {len(sizes)} files planned, {members} of {zipped.stat().st_size} bytes, "
              f"{moved} moved")  # fmt: skip
        # the directory is read by index_archive and by prepare_archive
        assert members <= moved <= members + 2 * s3.TAIL + s3.GAP
    whole = sum(file.stat().st_size for file in root.rglob("*S_*.zip"))
    photos = sum(size for path, size in traffic.gets if "S_" in path.rpartition("/")[2])
    assert photos < 0.5 * whole


def test_parts_of_a_download_and_odd_names_are_read_as_from_a_disk(tmp_path, bucket) -> None:
    raw = hand_made()
    here = run_of(raw.write(tmp_path / "raw"), tmp_path / "here")
    for zipped in (tmp_path / "raw").rglob("TS_1_단일.zip"):
        split(zipped)
    for zipped in (tmp_path / "raw").rglob("TL_1_조합.zip"):
        zipped.rename(zipped.with_name("TL 1 combo.zip"))
    upload(tmp_path / "raw", "pills")
    assert results_of(run_of(IN_S3, tmp_path / "there")) == results_of(here)


@pytest.mark.parametrize("place", ["", "/course.zip"])
def test_the_courses_zip_is_read_and_a_bucket_can_be_the_root(tmp_path, bucket, place) -> None:
    write_zip(tmp_path / "raw/course.zip", course_files(hand_made()))
    upload(tmp_path / "raw")
    here = index_source(Source(kind="aihub", root=f"{tmp_path}/raw{place}"), tmp_path / "here")
    there = index_source(Source(kind="aihub", root=f"s3://raw{place}"), tmp_path / "there")
    assert results_of(here) == results_of(there)


def test_labels_are_fetched_in_few_requests_whatever_their_order(tmp_path, bucket, traffic) -> None:
    labels = {f"K-{number:06}_json/{number}.json": os.urandom(3000) for number in range(900)}
    zipped = write_zip(tmp_path / "labels.zip", dict(reversed(labels.items())))
    upload(tmp_path)
    with Container("s3://raw/labels.zip") as container:
        names = [entry.name for entry in container.entries()]
        container.will_read(names)
        assert {name: container.read(name) for name in names} == labels
    assert len(traffic.gets) <= 2 + zipped.stat().st_size / s3.BLOCK * 1.2
    assert traffic.moved() < 1.1 * zipped.stat().st_size


def test_memory_holds_a_part_of_a_large_archive(tmp_path, bucket, monkeypatch) -> None:
    monkeypatch.setattr(s3, "HELD", 2**20)
    photos = {f"{number}.png": os.urandom(2**18) for number in range(24)}
    write_zip(tmp_path / "photos.zip", photos)
    upload(tmp_path)
    with Container("s3://raw/photos.zip") as container:
        container.will_read(photos)
        for name, data in photos.items():
            assert container.read(name) == data
            assert sum(end - start for start, end in container._file._files[0]._held) <= 2 * 2**20


def test_answers_that_fail_are_asked_for_again(tmp_path, bucket, traffic) -> None:
    write_zip(tmp_path / "photos.zip", photos := {f"{number}.png": os.urandom(2**19) for number in range(6)})
    upload(tmp_path)
    traffic.spoil = lambda number, body: None if number in (0, 2, 3) else body[:1000] if number == 6 else body
    with Container("s3://raw/photos.zip") as container:
        container.will_read(photos)
        assert {name: container.read(name) for name in photos} == photos


def test_an_archive_that_is_replaced_while_it_is_read_is_an_error(tmp_path, bucket) -> None:
    photos = {f"{number}.png": os.urandom(2**20) for number in range(20)}
    write_zip(tmp_path / "photos.zip", photos)
    upload(tmp_path)
    with Container("s3://raw/photos.zip") as container:
        container.read("0.png")
        write_zip(tmp_path / "photos.zip", dict(reversed(photos.items())))
        upload(tmp_path)
        with pytest.raises(S3Error, match=r"photos\.zip: was written anew while it was read"):
            container.read("19.png")


def test_an_archive_that_is_replaced_after_its_index_is_refused_and_its_version_is_another(tmp_path, bucket) -> None:
    raw = hand_made().only("TS_1_단일")
    raw.write(tmp_path / "raw")
    upload(tmp_path / "raw", "pills")
    run = index_source(IN_S3, tmp_path / "results")
    before = run.archives["TS_1_single"].versions

    def replace() -> None:
        raw.photos["TS_1_단일"].popitem()
        raw.write(tmp_path / "raw")
        upload(tmp_path / "raw", "pills")
        forget()

    with pytest.raises(ContainerError, match=r"s3://raw/pills/.*: is not the zip that was indexed"):
        prepare_planned(run, spoil=replace)
    after = list_archives(IN_S3)["TS_1_single"].versions
    assert before.count(",") == after.count(",") == 1 and before != after


def test_checks_of_the_data_know_archives_in_s3(tmp_path, bucket) -> None:
    hand_made().write(tmp_path / "raw")
    upload(tmp_path / "raw", "pills")
    run = index_source(IN_S3, tmp_path / "results")
    assert ends(check_archives(run.archives.keys(), run.archives, tmp_path / "results")) == "ok"
    findings = examine(configured(kind="aihub", root="s3://raw/pills"), "stage1")
    found = {finding.what: finding.found for finding in findings}
    assert found["source"] == "aihub: 4 archives below s3://raw/pills"
    done = CliRunner().invoke(app, ["data", "check", "s3://raw/pills"])
    assert done.exit_code == 0, done.output
    assert "AIHub data set 576" in done.output and "root: s3://raw/pills" in done.output


@pytest.mark.parametrize("kind", sorted(KINDS.keys() - {"aihub"}))
def test_other_kinds_are_refused_with_those_that_can(kind, monkeypatch) -> None:
    monkeypatch.setenv("PILLS", "s3://raw/pills")
    said = rf"source\.root = .*: lies in S3, where no source of the kind {kind} is read, only aihub"
    with pytest.raises(SourceError, match=said):
        list_archives(Source(kind=kind, root="s3://raw/pills"))
    with pytest.raises(ConfigError, match=said):
        configured(kind=kind, root="${PILLS}")


def test_what_is_no_zip_is_refused(tmp_path, bucket) -> None:
    write_zip(tmp_path / "TL_1_단일.zip", {"a.json": b"{}"})
    (tmp_path / "TS_1_단일").mkdir()
    (tmp_path / "TS_1_단일/a.png").write_bytes(b"x")
    upload(tmp_path, "pills")
    with pytest.raises(SourceError, match=r"s3://raw/pills/TS_1_단일: is no zip, and in S3 only zips are read"):
        list_archives(IN_S3)


def test_what_is_missing_is_told(tmp_path, bucket, monkeypatch) -> None:
    def said(root: str) -> str:
        forget()
        with pytest.raises(SourceError) as caught:
            list_archives(Source(kind="aihub", root=root))
        done = CliRunner().invoke(app, ["data", "check", root])
        assert done.exit_code == 2 and "Traceback" not in done.output
        return str(caught.value)

    assert "there is nothing at s3://raw/empty in S3" in said("s3://raw/empty")
    for root in ("s3://nowhere/pills", "s3://nowhere"):
        assert "there is no bucket nowhere. Correct the address" in said(root)
    (tmp_path / "notes.txt").write_text("none")
    upload(tmp_path, "other")
    assert "no AIHub archive below it" in (told := said("s3://raw/other")) and "1 files .txt" in told
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    assert "no credentials. Set AWS_ACCESS_KEY_ID" in said("s3://raw/pills")


def test_a_package_that_is_missing_is_named_with_the_cure(monkeypatch) -> None:
    forget()
    monkeypatch.setitem(sys.modules, "s3fs", None)
    with pytest.raises(SourceError, match=r"package s3fs, which is missing .*pip install --editable '\.\[s3\]'"):
        list_archives(IN_S3)
