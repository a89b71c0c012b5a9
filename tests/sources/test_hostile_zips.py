"""Zips made to do harm, through the real rules: nothing outside the output, a documented reason, bounded memory."""

import os
import subprocess
import sys
import unicodedata
import zlib
from pathlib import Path

import pandas as pd
import pytest

from pillsnap.files import read_json
from pillsnap.sources.containers.container import Container, ContainerError
from pillsnap.sources.settings import Source
from pillsnap.tables.files import read_table
from pillsnap.tables.schemas import ISSUES, PILLS
from tests.support.aihub_files import label
from tests.support.archives import BOXES, DRUGS, DataRun, hand_made, index_source, photo_png, prepare_planned
from tests.support.hostile import BZIP2, DEFLATED, LZMA, Record, bomb, records_of, write_hostile
from tests.support.workflow import PROJECT

MEMORY = 300
"""MiB that the rules may take more than their imports: a raw photograph of 256 MiB, and room; the bombs hold 600."""
SECONDS = 60
JOB = """
import re, sys, time
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from tests.support.archives import index_source, prepare_planned
from pillsnap.sources.settings import Source
peak = lambda: int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) // 1024
before, began = peak(), time.monotonic()
run = index_source(Source(kind="aihub", root="raw"), Path("results"))
prepare_planned(run)
run.build_manifest()
print(peak() - before, time.monotonic() - began)
"""

LINKS = {"link": 0o120777, "pipe": 0o010644, "device": 0o020644, "socket": 0o140644}
UNSAFE = (
    "../../evil", "/usr/evil", "C:\\evil", "C:/evil", "K\\..\\evil", "a/../../evil", "evil\nnew line", "evil\x1b[2J",
    "evil\x7f", "evil" * 60, "\\\\server\\evil", "~/../evil", "\0evil",
)  # fmt: skip
HUGE = 2**62
PACKED = (DEFLATED, BZIP2, LZMA)


def view(number: int) -> str:
    """The stem of a photograph of the first drug, one in no capture group with another."""
    return f"{DRUGS[0]}_0_1_{number % 3}_{number // 3}_75_000_200"


def spoiled_photos() -> dict[str, tuple[Record, str]]:
    """Records of photographs by their stem, each with a sound label, and the reason that is to be found."""
    good = photo_png(1, seed=4000)
    packed = {"data": b"", "size": 1_000_000, "crc": 0}
    cases: list[tuple[dict, str]] = [
        *[({"stored": bomb(method), "method": method, **packed}, "photo_truncated") for method in PACKED],
        ({"stored": bomb(DEFLATED), "method": DEFLATED, "data": b"", "size": 450 * 2**20}, "file_too_large"),
        ({"data": good, "size": HUGE}, "file_too_large"),
        ({"data": good, "packed": HUGE}, "file_too_large"),
        ({"data": good, "packed": 200 * 2**20}, "photo_truncated"),
        ({"data": good, "crc": 1}, "photo_truncated"),
        ({"data": good, "size": 10}, "photo_truncated"),
        ({"data": good, "method": DEFLATED}, "photo_truncated"),
        ({"data": good, "method": BZIP2}, "photo_truncated"),
        ({"data": good, "method": LZMA}, "photo_truncated"),
        ({"stored": b"\x09\x14\x05\x00\x5d\xff\xff\xff\xff" + bytes(50), "method": LZMA, **packed}, "photo_truncated"),
        ({"data": good, "method": 97}, "photo_truncated"),
        ({"data": good, "flags": 0x801}, "encrypted"),
        ({"data": good, "offset": 2**63 + 5}, "photo_truncated"),
        ({"data": good, "offset": 10**9}, "photo_truncated"),
        *[({"data": b"/etc/passwd", "mode": mode}, "link_outside") for mode in LINKS.values()],
        ({"data": b"PK\3\4" + bytes(100)}, "photo_unreadable"),
    ]  # fmt: skip
    stems = [view(number) for number in range(len(cases))]
    return {
        stem: (Record(name=f"{DRUGS[0]}/{stem}.png", **facts), reason)
        for stem, (facts, reason) in zip(stems, cases, strict=True)
    }


def spoiled_labels() -> dict[str, tuple[Record, str]]:
    """The same for labels, each with a sound photograph."""
    packed = {"data": b"", "size": 1_000_000, "crc": 0}
    cases: list[tuple[dict, str]] = [
        *[({"stored": bomb(method), "method": method, **packed}, "label_unparsable") for method in PACKED],
        ({"stored": bomb(BZIP2), "method": BZIP2, "data": b"", "size": 2**21}, "file_too_large"),
        ({"data": b"{}", "packed": HUGE}, "file_too_large"),
        ({"data": b"{}", "offset": 2**63 + 5}, "label_unparsable"),
        ({"data": b"{}", "flags": 0x801}, "encrypted"),
        ({"data": b"../../canary", "mode": LINKS["link"]}, "link_outside"),
        ({"data": b"[" * 900_000}, "label_unparsable"),
        ({"data": b'{"a":' * 100_000}, "label_unparsable"),
    ]  # fmt: skip
    stems = [view(number) for number in range(100, 100 + len(cases))]
    return {
        stem: (Record(name=f"{DRUGS[0]}_json/{stem}.json", **facts), reason)
        for stem, (facts, reason) in zip(stems, cases, strict=True)
    }


@pytest.fixture(scope="module")
def spoiled(tmp_path_factory: pytest.TempPathFactory) -> tuple[DataRun, Path, int, float]:
    """Sound archives with every spoiled record among them, through the rules in a process of its own."""
    folder = tmp_path_factory.mktemp("hostile")
    (folder / "canary").write_text("as it was")
    sound = hand_made().only("TS_1_단일", "VS_1_단일")
    sound.write(folder / "raw")
    photos, labels = records_of(sound.photos["TS_1_단일"]), records_of(sound.labels["TS_1_단일"])
    for stem, (record, _) in spoiled_photos().items():
        photos.append(record)
        labels.append(Record(name=f"{DRUGS[0]}_json/{stem}.json", data=label(f"{stem}.png", DRUGS[0], BOXES[0])))
    for number, (stem, (record, _)) in enumerate(spoiled_labels().items()):
        labels.append(record)
        photos.append(Record(name=f"{DRUGS[0]}/{stem}.png", data=photo_png(1, seed=5000 + number)))
    for name in UNSAFE:
        photos.append(Record(name=f"{name}.png", data=photo_png(1)))
        labels.append(Record(name=f"{name}.json", data=label("evil.png", DRUGS[0], BOXES[0])))
    write_hostile(next((folder / "raw").rglob("TS_1_단일.zip")), photos)
    write_hostile(next((folder / "raw").rglob("TL_1_단일.zip")), labels)
    done = subprocess.run(
        [sys.executable, "-c", JOB, str(Path(__file__).parent)], cwd=folder, capture_output=True, text=True,
        check=False, timeout=SECONDS * 2, env=os.environ | {"PYTHONPATH": str(PROJECT)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    memory, seconds = done.stdout.split()[-2:]
    names = ("TS_1_single", "VS_1_single")
    return DataRun(folder / "results", dict.fromkeys(names)), folder, int(memory), float(seconds)


def found_in(run: DataRun) -> pd.DataFrame:
    paths = (run.folder / "TS_1_single.issues.parquet", run.folder / "prepared/TS_1_single/issues.parquet")
    return pd.concat([read_table(path, ISSUES) for path in paths], ignore_index=True)


def test_every_spoiled_file_has_its_reason_and_every_sound_one_is_kept(spoiled) -> None:
    run, *_ = spoiled
    found = found_in(run)
    photos = found[found["label_member"] == ""].set_index("member")["reason"]
    labels = found[found["label_member"] != ""].set_index("label_member")["reason"]
    for record, reason in spoiled_photos().values():
        assert photos[record.name] == reason, record
    for record, reason in spoiled_labels().values():
        assert labels[record.name] == reason, record.name
    # zipfile ends a name at its NUL, so that the last is neither photograph nor label
    for kind, ending in ((photos, "png"), (labels, "json")):
        assert set(kind[kind == "name_unsafe"].index) == {f"{name}.{ending}" for name in UNSAFE[:-1]}
    pills = read_table(run.folder / "TS_1_single.parquet", PILLS)
    kept = set(run.pills()["member"])
    assert set(hand_made().photos["TS_1_단일"]) <= kept
    assert not kept & {record.name for record, _ in spoiled_photos().values()}
    assert not pills["member"].str.contains("evil").any()


def test_the_account_balances(spoiled) -> None:
    run, *_ = spoiled
    summary = run.summary()
    for kind in ("archives", "photos", "labels"):
        part = summary[kind]
        assert part["read"] == part["kept"] + sum(part["quarantined"].values()) + sum(part["skipped"].values())


def test_nothing_is_written_outside_and_memory_and_time_are_bounded(spoiled) -> None:
    _, folder, memory, seconds = spoiled
    print(f"{memory} MiB more than the imports, {seconds:.1f} s")
    assert sorted(path.name for path in folder.iterdir()) == ["canary", "raw", "results"]
    assert (folder / "canary").read_text() == "as it was"
    assert not Path("/usr/evil.png").exists()
    assert {path.suffix for path in (folder / "raw").rglob("*") if path.is_file()} == {".zip"}
    made = [path for path in (folder / "results").rglob("*") if path.is_file()]
    assert {path.suffix for path in made} <= {".parquet", ".csv", ".json", ".bin"}
    assert not any(path.is_symlink() for path in (folder / "results").rglob("*"))
    assert memory < MEMORY
    assert seconds < SECONDS


def test_files_that_share_their_bytes_are_not_unpacked_again_and_again(tmp_path: Path) -> None:
    """A zip of 2,000 labels that are the same megabyte."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    data = packer.compress(bytes(2**20)) + packer.flush()
    first = Record(name="0.json", data=bytes(2**20), stored=data, method=DEFLATED)
    others = [
        Record(name=f"{n}.json", data=first.data, packed=len(data), method=DEFLATED, offset=0, crc=first.facts()[0])
        for n in range(1, 2000)
    ]
    path = write_hostile(tmp_path / "a.zip", [first, *others])
    with Container(path) as container:
        read = [entry.name for entry in container.entries() if _reads(container, entry.name)]
    assert len(read) == 1


def _reads(container: Container, name: str) -> bool:
    try:
        return len(container.read(name)) > 0
    except OSError as error:
        assert "overlaps another file" in str(error)
        return False


@pytest.mark.parametrize("counted", [0, 1, 60_000])
def test_a_directory_that_lies_about_its_count(tmp_path: Path, counted: int) -> None:
    path = write_hostile(tmp_path / "a.zip", records_of({f"{n}.png": b"x" for n in range(5)}), counted=counted)
    with Container(path) as container:
        assert [container.read(entry.name) for entry in container.entries()] == [b"x"] * 5


def test_a_hundred_thousand_files_are_listed_in_bounded_time(tmp_path: Path) -> None:
    path = write_hostile(tmp_path / "a.zip", [Record(name=f"{n}.png") for n in range(100_000)])
    with Container(path) as container:
        assert len(container.entries()) == 100_000


@pytest.mark.parametrize("place", range(1, 23))
def test_an_end_that_lies_in_any_byte_is_an_archive_or_an_error(tmp_path: Path, place: int) -> None:
    path = write_hostile(tmp_path / "a.zip", records_of({"a.png": b"abc"}))
    data = bytearray(path.read_bytes())
    for value in (0, 1, 0x7F, 0xFF):
        path.write_bytes(data[:-place] + bytes([value]) + (data[-place + 1 :] if place > 1 else b""))
        try:
            with Container(path) as container:
                assert [entry.name for entry in container.entries()] in ([], ["a.png"])
        except ContainerError as error:
            assert "Fetch the archive again" in str(error)


def test_a_zip_in_a_zip_is_no_photograph_and_is_not_opened(tmp_path: Path) -> None:
    inner = write_hostile(tmp_path / "inner.zip", [Record(name="a.png", data=photo_png())]).read_bytes()
    raw = hand_made().only("TS_1_단일", "VS_1_단일")
    raw.photos["TS_1_단일"]["K-000001/inner.zip"] = inner
    run = index_source(raw.write(tmp_path / "raw"), tmp_path / "results")
    assert read_json(run.folder / "TS_1_single.counts.json")["other_files"] == 1


def test_names_that_differ_in_case_or_unicode_form_only(tmp_path: Path) -> None:
    """On a file system that takes them for one, the second would replace the first."""
    raw = hand_made().only("TS_1_단일", "VS_1_단일")
    photos, labels = raw.photos["TS_1_단일"], raw.labels["TS_1_단일"]
    pairs = [("K-000001/Photo.png", "K-000001/photo.PNG")]
    pairs.append(tuple(unicodedata.normalize(form, "K-000001/알약 é.png") for form in ("NFC", "NFD")))
    for number, name in enumerate(name for pair in pairs for name in pair):
        photos[name] = photo_png(1, seed=3000 + number)
        own = name.rpartition("/")[2]
        labels[f"K-000001_json/{own[:-4]}.json"] = label(own, DRUGS[0], BOXES[0])
    run = index_source(raw.write(tmp_path / "raw"), tmp_path / "results")
    prepare_planned(run)
    run.build_manifest()
    found = found_in(run)
    double = found[found["reason"] == "photo_duplicated"]
    assert {frozenset((row.member, row.detail)) for row in double.itertuples()} == {frozenset(pair) for pair in pairs}
    images = run.pills()["image_id"]
    assert images.str.casefold().nunique() == images.nunique()
    test_the_account_balances((run,))


def test_photographs_of_a_yolo_folder_whose_names_differ_in_case(tmp_path: Path) -> None:
    root = tmp_path / "raw"
    for part in ("train", "val", "test"):
        for kind in ("images", "labels"):
            (root / kind / part / "a").mkdir(parents=True)
    (root / "data.yaml").write_text("names: [x]")
    for number, name in enumerate(("a/b", "a.b", "A.B")):
        (root / f"images/train/{name}.png").write_bytes(photo_png(1, seed=number))
        (root / f"labels/train/{name}.txt").write_text("0 .5 .5 .4 .4")
    run = index_source(Source(kind="yolo", root=str(root)), tmp_path / "results")
    assert len(read_table(run.folder / "train.parquet", PILLS)) == 2
    issues = read_table(run.folder / "train.issues.parquet", ISSUES)
    assert (issues["reason"] == "photo_duplicated").sum() == 1
