"""The one decode: every damaged photograph is named, the rest is stored as it was photographed."""

import hashlib
import io
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from pillsnap.config.data import Prepare
from pillsnap.crops.crop import cut_crop
from pillsnap.files import read_from_shard, sha256_of
from pillsnap.manifest.prepare_archive import prepare_archive
from pillsnap.pictures.decode import decode_jpeg, decode_photo
from pillsnap.pictures.scale import perceptual_hash, pyramid
from pillsnap.sources.containers.container import ContainerError
from pillsnap.tables.files import make_table, read_table, write_table
from pillsnap.tables.schemas import CONTEXTS, ISSUES, PHOTOS, PLAN
from tests.support.aihub_files import label
from tests.support.archives import BOXES, HEIGHT, WIDTH, ZIP_OF, DataRun, HandMade, hand_made, photo_png, prepare_source
from tests.support.picture_bytes import saved

SETTINGS = Prepare(photo_size=64)
K_CODE, VIEW = "K-000001", "0_0_0_75_000"
MEMBER = f"{K_CODE}/{K_CODE}_0_{VIEW}_200.png"
LABEL = f"{K_CODE}_json/{K_CODE}_0_{VIEW}_200.json"


@pytest.fixture(scope="module")
def raw() -> HandMade:
    return hand_made()


@pytest.fixture(scope="module")
def run(raw: HandMade, tmp_path_factory) -> DataRun:
    folder = tmp_path_factory.mktemp("run")
    return prepare_source(raw.write(folder / "raw"), folder / "results")


def table(run: DataRun, archive: str, name: str, schema) -> pd.DataFrame:
    return read_table(run.folder / "prepared" / archive / f"{name}.parquet", schema)


def stored(run: DataRun, archive: str, shard: str, row) -> np.ndarray:
    with (run.folder / "prepared" / archive / shard).open("rb") as stream:
        return decode_jpeg(read_from_shard(stream, row.offset, row.length))


def prepared_alone(run: DataRun, folder: Path, archive: str = "TS_1_single", **options) -> Path:
    settings = {"settings": SETTINGS, "threads": 1} | options
    prepare_archive(archive=run.archives[archive], plan=run.plan, prepared=folder, **settings)
    return folder


def noted(run: DataRun) -> set[tuple[str, str, str, str]]:
    issues = table(run, "TS_1_single", "issues", ISSUES)
    return set(issues[["outcome", "reason", "member", "label_member"]].itertuples(index=False, name=None))


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "photo_empty"),
        (photo_png()[:-100], "photo_truncated"),
        (photo_png()[: len(photo_png()) // 2], "photo_truncated"),
        (b"\x00\x05\x16\x07 no picture", "photo_unreadable"),
        (saved(Image.new("RGB", (70_000, 8)), "PNG"), "photo_too_large"),  # no JPEG holds it
    ],
)
def test_a_corrupt_photo_is_quarantined_with_its_label(tmp_path, data, reason) -> None:
    raw = hand_made().only("TS_1_단일")
    raw.photos["TS_1_단일"][MEMBER] = data
    run = prepare_source(raw.write(tmp_path / "raw"), tmp_path / "results")
    details = table(run, "TS_1_single", "issues", ISSUES)["detail"]
    assert not details.str.contains("0x").any()
    label_too = ("quarantined", "label_of_quarantined_photo", MEMBER, LABEL)
    assert noted(run) == {("quarantined", reason, MEMBER, ""), label_too}
    image_ids = set(table(run, "TS_1_single", "photos", PHOTOS)["image_id"])
    assert len(image_ids) == len(raw.photos["TS_1_단일"]) - 1
    assert not any(VIEW in image_id and K_CODE in image_id for image_id in image_ids)


@pytest.mark.parametrize(
    ("bbox", "facts", "issues"),
    [
        (BOXES[0], {}, set()),
        (BOXES[0], {"width": HEIGHT, "height": WIDTH}, {("repaired", "size_corrected", LABEL)}),
        ((8, 12, WIDTH - 7, 24), {}, {("repaired", "bbox_clipped", LABEL)}),
        (
            (8, 12, WIDTH, 24),
            {},
            {("quarantined", "bbox_outside", LABEL), ("quarantined", "photo_without_usable_label", "")},
        ),
        (
            (0, 0, WIDTH, HEIGHT),
            {},
            {("quarantined", "bbox_whole_photo", LABEL), ("quarantined", "photo_without_usable_label", "")},
        ),
    ],
)
def test_labels_are_checked_against_the_true_photo(tmp_path, bbox, facts, issues) -> None:
    raw = hand_made().only("TS_1_단일")
    raw.labels["TS_1_단일"][LABEL] = label(Path(MEMBER).name, K_CODE, bbox, **facts)
    run = prepare_source(raw.write(tmp_path / "raw"), tmp_path / "results")
    assert noted(run) == {(outcome, reason, MEMBER, where) for outcome, reason, where in issues}
    photos = table(run, "TS_1_single", "photos", PHOTOS)
    assert set(zip(photos["width"], photos["height"], strict=True)) == {(WIDTH, HEIGHT)}
    boxes = table(run, "TS_1_single", "crops", CONTEXTS).set_index("label_member")
    kept = not any(outcome == "quarantined" for outcome, *_ in issues)
    assert (LABEL in boxes.index) is kept
    if kept:
        x, y, w, h = bbox
        assert tuple(boxes.loc[LABEL, list("xywh")]) == (x, y, min(w, WIDTH - x), h)


@pytest.mark.parametrize(("change", "reason"), [("removed", "photo_missing"), ("damaged", "photo_truncated")])
def test_an_archive_that_changed_after_it_was_indexed(raw, run, tmp_path, change, reason) -> None:
    source = Path(run.archives["TS_1_single"].photos)
    other = tmp_path / source.name
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(other, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            if name != MEMBER or change == "damaged":
                new.writestr(name, old.read(name))
        place = new.getinfo(MEMBER).header_offset + 30 + len(MEMBER) if change == "damaged" else None
    if place:
        data = bytearray(other.read_bytes())
        data[place : place + 50] = b"\xff" * 50
        other.write_bytes(data)
    archive = type(run.archives["TS_1_single"])(**vars(run.archives["TS_1_single"]) | {"photos": str(other)})
    prepare_archive(archive=archive, plan=run.plan, prepared=tmp_path / "out", settings=SETTINGS, threads=1)
    issues = read_table(tmp_path / "out/issues.parquet", ISSUES)
    assert list(issues["reason"]) == [reason, "label_of_quarantined_photo"]
    assert set(issues["member"]) == {MEMBER}


def test_a_zip_that_is_not_the_indexed_one_is_refused(run, tmp_path) -> None:
    """One that differs in a single byte of a photograph is another zip; the same bytes under another name are not."""
    indexed = run.archives["TS_1_single"]
    counts = run.folder / "TS_1_single.counts.json"
    words = {"plan": run.plan, "settings": SETTINGS, "threads": 1, "counts": counts}
    other, copy = tmp_path / "other.zip", tmp_path / "copy.zip"
    with zipfile.ZipFile(indexed.photos) as old, zipfile.ZipFile(other, "w") as new:
        for info in old.infolist():
            data = old.read(info.filename)
            new.writestr(info, data[:-1] + b"?" if info.filename == MEMBER else data)
    shutil.copy(indexed.photos, copy)
    changed = type(indexed)(**vars(indexed) | {"photos": str(other)})
    with pytest.raises(ContainerError, match=r"other\.zip: is not the zip that was indexed.*Delete .*counts\.json"):
        prepare_archive(archive=changed, prepared=tmp_path / "out", **words)
    assert not (tmp_path / "out").exists()
    same = type(indexed)(**vars(indexed) | {"photos": str(copy)})
    prepare_archive(archive=same, prepared=tmp_path / "out", **words)
    assert (tmp_path / "out/photos.bin").stat().st_size > 0


def test_an_archive_that_is_gone_leaves_nothing_behind(run, tmp_path) -> None:
    gone = type(run.archives["TS_1_single"])(**vars(run.archives["TS_1_single"]) | {"photos": str(tmp_path / "no.zip")})
    with pytest.raises(ContainerError, match=r"no\.zip"):
        prepare_archive(archive=gone, plan=run.plan, prepared=tmp_path / "out", settings=SETTINGS, threads=1)
    assert not list(tmp_path.iterdir())


def test_an_archive_without_a_planned_photo_is_not_opened(run, tmp_path) -> None:
    (tmp_path / "TS_9.zip").write_bytes(b"no zip at all")
    other = type(run.archives["TS_1_single"])("TS_9", str(tmp_path / "TS_9.zip"), "", "single", "")
    prepare_archive(archive=other, plan=run.plan, prepared=tmp_path / "out", settings=SETTINGS, threads=1)
    for name, schema in (("photos", PHOTOS), ("crops", CONTEXTS), ("issues", ISSUES)):
        assert read_table(tmp_path / f"out/{name}.parquet", schema).empty
    assert (tmp_path / "out/photos.bin").stat().st_size == 0


def peak_memory(folder: Path, photos: int) -> int:
    """Bytes that a process needs at most to prepare an archive of so many photographs of 9 megabytes in pixels."""
    data = photo_png(width=1500, height=2000)
    with zipfile.ZipFile(folder / f"{photos}.zip", "w") as archive:
        for number in range(photos):
            archive.writestr(f"{number}.png", data)
    texts = dict.fromkeys(["part", "group", "edi_codes", "drug_name"], "")
    same = {"archive": "TS_1", "domain": "single", "k_code": "K-000001", "split": "train", "expected_pills": 1}
    same |= texts | {"width": 1500, "height": 2000} | dict(zip("xywh", BOXES[0], strict=True))
    rows = [
        same | {"image_id": f"{number:04d}", "member": f"{number}.png", "label_member": f"{number}.json"}
        for number in range(photos)
    ]
    write_table(make_table(rows, PLAN), folder / f"{photos}.parquet", PLAN)
    code = (
        "import sys; from pathlib import Path; from pillsnap.config.config import Prepare;"
        "from pillsnap.sources.archives import Archive; from pillsnap.manifest.prepare_archive import prepare_archive;"
        "name = sys.argv[1];"
        "archive = Archive('TS_1', name + '.zip', '', 'single', '');"
        "paths = {'plan': Path(name + '.parquet'), 'prepared': Path(name + '.out')};"
        "prepare_archive(archive=archive, **paths, settings=Prepare(), threads=1);"
        "print(next(line for line in open('/proc/self/status') if line.startswith('VmHWM')))"
    )
    command = [sys.executable, "-c", code, str(folder / str(photos))]
    shown = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return int(shown.split()[1]) * 1024


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="peak memory is read from Linux's /proc")
def test_memory_does_not_grow_with_the_archive(tmp_path) -> None:
    few, many = peak_memory(tmp_path, 15), peak_memory(tmp_path, 60)
    assert many - few < 20e6 < 45 * 9e6


def test_the_plan_is_read_for_one_archive_only(run, monkeypatch, tmp_path) -> None:
    checked = []
    monkeypatch.setattr("pillsnap.tables.files.check_table", lambda table, *_: checked.append(table) or table)
    table = read_table(run.plan, PLAN, filters=[("archive", "==", "TS_1_combo")])
    assert set(table["archive"]) == {"TS_1_combo"}
    assert len(checked[0]) == len(table) < len(read_table(run.plan, PLAN))


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_any_number_of_threads_gives_the_same_bytes(run, tmp_path, threads) -> None:
    again = prepared_alone(run, tmp_path / "out", threads=threads)
    assert sha256_of(again) == sha256_of(run.folder / "prepared/TS_1_single")


def test_an_older_result_is_replaced_as_a_whole(run, tmp_path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out/photos.bin").write_bytes(b"old")
    (tmp_path / "out/left.over").write_bytes(b"old")
    again = prepared_alone(run, tmp_path / "out")
    assert sha256_of(again) == sha256_of(run.folder / "prepared/TS_1_single")


def test_only_planned_photos_are_read(tmp_path) -> None:
    raw = hand_made()
    plan = read_table(prepare_source(raw.write(tmp_path / "raw"), tmp_path / "first", images=20).plan, PLAN)
    planned, read = set(plan["member"]), 0
    for archive, members in raw.photos.items():
        for member in members:
            read += member in planned
            if member not in planned:
                raw.photos[archive][member] = b"this would be quarantined if it were read"
    shutil.rmtree(tmp_path / "raw")
    run = prepare_source(raw.write(tmp_path / "raw"), tmp_path / "second", images=20)
    assert 0 < read <= 20
    assert sum(len(table(run, archive, "photos", PHOTOS)) for archive in run.archives) == read
    assert all(table(run, archive, "issues", ISSUES).empty for archive in run.archives)


@pytest.mark.parametrize(("archive", "native"), [("TS_1_single", False), ("TS_1_combo", False), ("VS_1_combo", True)])
def test_photos_are_stored_small_for_training_and_native_for_the_test(raw, run, archive, native) -> None:
    photos = table(run, archive, "photos", PHOTOS)
    assert len(photos) == len(raw.photos[ZIP_OF[archive]])
    by_id = {f"{archive}.{Path(member).stem}": data for member, data in raw.photos[ZIP_OF[archive]].items()}
    for row in photos.itertuples():
        data = by_id[row.image_id]
        assert row.sha256 == hashlib.sha256(data).hexdigest()
        assert row.phash == perceptual_hash(pyramid(decode_photo(data)))
        picture = stored(run, archive, "photos.bin", row)
        assert picture.shape[:2] == ((HEIGHT, WIDTH) if native else (64, 48))
        original = Image.open(io.BytesIO(data)).resize(picture.shape[1::-1], Image.Resampling.BOX)
        assert np.abs(picture.astype(int) - np.asarray(original)).mean() < 4
    contexts = table(run, archive, "crops", CONTEXTS)
    assert set(contexts["length"] == 0) == {native}


def test_no_context_crop_is_cut_of_a_test_photo(run) -> None:
    for archive in ("VS_1_single", "VS_1_combo"):
        assert (run.folder / "prepared" / archive / "crops.bin").stat().st_size == 0
    assert (run.folder / "prepared/TS_1_combo/crops.bin").stat().st_size > 0


@pytest.mark.parametrize("archive", ["TS_1_single", "TS_1_combo"])
def test_a_crop_from_the_context_is_the_crop_from_the_photo(raw, run, archive) -> None:
    by_id = {f"{archive}.{Path(member).stem}": data for member, data in raw.photos[ZIP_OF[archive]].items()}
    contexts = table(run, archive, "crops", CONTEXTS)
    assert len(contexts) == sum(len(members) for name, members in raw.labels.items() if name == ZIP_OF[archive])
    for row in contexts.itertuples():
        box = np.array([row.x, row.y, row.w, row.h])
        direct = cut_crop(decode_photo(by_id[row.image_id]), box, size=64, margin=0.15)
        window = stored(run, archive, "crops.bin", row)
        through = cut_crop(window, box - [row.left, row.top, 0, 0], size=64, margin=0.15)
        # JPEG alone makes 1.3; a window that begins between two pixels may be rounded to either
        assert np.abs(direct.astype(int) - through).mean() < 8
