"""Randomly damaged data: nothing crashes, nothing is lost, and every loss has a documented reason."""

import io
import json
import unicodedata
import zipfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from PIL import Image

from pillsnap.files import read_json
from pillsnap.manifest.choose_photos import PlanError
from pillsnap.sources.synthetic.defects import promise_too_much
from pillsnap.tables.files import read_table
from pillsnap.tables.quarantine_reasons import QUARANTINED, REPAIRED, SKIPPED
from pillsnap.tables.schemas import ISSUES, PILLS
from tests.support.aihub_files import png
from tests.support.archives import ZIP_OF, DataRun, HandMade, hand_made, index_source, prepare_planned

DAMAGES_A_TREE = 60
TREES = 20

NASTY: list[Any] = [
    None, "", " ", 0, -1, 3, 1.5, float("nan"), float("inf"), 10**30, True, [], {}, [[]], "null", "K-000001",
    "K-000002-000003", "../../etc/passwd", "x" * 5000, "\x00\x07", "\ud800", "알약", [1, 2, 3], [1, 2, 3, 4],
    [-1.5, 2, 30, 40], [1e308] * 4, ["1", "2", "3", "4"], [0, 0, 97, 128], [10, 10, 1, 1], [{}], [{"bbox": [1, 2, 3]}],
    {"a": {"b": 1}}, 58548,
]  # fmt: skip
FIELDS = ("file_name", "width", "height", "dl_mapping_code", "drug_N", "di_edi_code", "dl_name")


def photo(change: Callable[[bytes, int], bytes]) -> Callable[..., None]:
    def damage(raw: HandMade, archive: str, member: str, number: int) -> None:
        raw.photos[archive][member] = change(raw.photos[archive].get(member, b""), number)

    return damage


def label(change: Callable[[bytes, int], bytes]) -> Callable[..., None]:
    def damage(raw: HandMade, archive: str, member: str, number: int) -> None:
        names = sorted(raw.labels[archive])
        if names:
            name = names[number % len(names)]
            raw.labels[archive][name] = change(raw.labels[archive][name], number)

    return damage


def flip(data: bytes, number: int) -> bytes:
    if not data:
        return data
    place = number * 7919 % len(data)
    return data[:place] + bytes([data[place] ^ (number % 255 + 1)]) + data[place + 1 :]


def cut(data: bytes, number: int) -> bytes:
    return data[: number * 104729 % max(1, len(data))]


def picture(kind: str) -> Callable[[bytes, int], bytes]:
    def change(data: bytes, number: int) -> bytes:
        stream = io.BytesIO()
        Image.new("L" if number % 2 else "RGB", (97, 128), number % 256).save(stream, kind)
        return stream.getvalue()

    return change


def change_field(data: bytes, number: int) -> bytes:
    try:
        value = json.loads(data)
        place, nasty = FIELDS[number % len(FIELDS)], NASTY[number // len(FIELDS) % len(NASTY)]
        value["images"][0][place] = nasty
    except (ValueError, LookupError, TypeError, RecursionError):
        return data
    return json.dumps(value).encode()


def change_annotation(data: bytes, number: int) -> bytes:
    try:
        value = json.loads(data)
        nasty = NASTY[number // 4 % len(NASTY)]
        match number % 4:
            case 0 | 1:
                value["annotations"][0]["bbox"] = nasty
            case 2:
                value["annotations"] = nasty
            case _:
                value["images"] = nasty
    except (ValueError, LookupError, TypeError, RecursionError):
        return data
    return json.dumps(value).encode()


def drop_photo(raw: HandMade, archive: str, member: str, number: int) -> None:
    raw.photos[archive].pop(member, None)


def drop_label(raw: HandMade, archive: str, member: str, number: int) -> None:
    names = sorted(raw.labels[archive])
    if names:
        del raw.labels[archive][names[number % len(names)]]


def copy_photo(raw: HandMade, archive: str, member: str, number: int) -> None:
    members = sorted(raw.photos[archive])
    if members:
        raw.photos[archive][members[number % len(members)]] = raw.photos[archive].get(member, b"")


def copy_label(raw: HandMade, archive: str, member: str, number: int) -> None:
    names = sorted(raw.labels[archive])
    if names:
        raw.labels[archive][names[number % len(names)]] = raw.labels[archive][names[number // 7 % len(names)]]


def add_file(raw: HandMade, archive: str, member: str, number: int) -> None:
    folder, name = member.split("/") if "/" in member else ("", member)
    names = (
        f"{folder}/._{name}",
        f"{folder}/x_index.png",
        "Thumbs.db",
        unicodedata.normalize("NFD", "알약.png"),
        "a b.PNG",
    )
    raw.photos[archive][names[number % len(names)].lstrip("/")] = png(8, 8, seed=number % 50)
    raw.labels[archive][f"{number % 5}/._{name}.json"] = b"\x00\x05\x16\x07"


DAMAGES = [
    photo(flip), photo(cut), photo(lambda data, number: b""), photo(lambda data, number: bytes(number % 300)),
    photo(lambda data, number: promise_too_much(data) if len(data) > 33 else data), photo(picture("JPEG")),
    photo(picture("GIF")), photo(picture("PNG")), label(flip), label(cut), label(lambda data, number: b""),
    label(lambda data, number: b"[" * 3000), label(lambda data, number: data.decode(errors="ignore").encode("utf-16")),
    label(change_field), label(change_field), label(change_annotation), label(change_annotation), drop_photo,
    drop_label, copy_photo, copy_label, add_file,
]  # fmt: skip


def spoil_zip(path: Path, number: int) -> None:
    """Damage a whole archive: cut, garbage, or bytes changed in its directory."""
    data = bytearray(path.read_bytes())
    match number % 3:
        case 0:
            del data[len(data) * 2 // 3 :]
        case 1:
            data[:] = b"no zip"
        case _:
            for place in range(len(data) - 200, len(data) - 60, 11):
                data[place] ^= 0x55
    path.write_bytes(data)


def unpack_all(root: Path) -> None:
    for path in sorted(root.rglob("*.zip")):
        path.with_suffix("").mkdir()
        with zipfile.ZipFile(path) as archive:
            archive.extractall(path.with_suffix(""))
        path.unlink()


def check_index(run: DataRun) -> None:
    """read = usable + quarantined + skipped, archive by archive, every reason documented."""
    told = {"quarantined": QUARANTINED, "skipped": SKIPPED, "repaired": REPAIRED}
    for name in run.archives:
        pills, issues = (
            read_table(run.folder / f"{name}.parquet", PILLS),
            read_table(run.folder / f"{name}.issues.parquet", ISSUES),
        )
        counts = read_json(run.folder / f"{name}.counts.json")
        assert all(row.reason in told[row.outcome] for row in issues.itertuples())
        lost = issues[issues["outcome"] != "repaired"]
        assert counts["labels"] == len(pills) + (lost["label_member"] != "").sum()
        about_photos = lost[(lost["label_member"] == "") & (lost["member"] != "")]
        assert counts["photos"] == pills["member"].nunique() + len(about_photos)
        assert not lost.duplicated(["member", "label_member"]).any()


def check_manifest(run: DataRun) -> None:
    summary, kept, rows = run.summary(), run.pills(), run.quarantine()
    for kind in ("archives", "photos", "labels"):
        part = summary[kind]
        assert part["read"] == part["kept"] + sum(part["quarantined"].values()) + sum(part["skipped"].values())
    assert set(rows["reason"]) <= QUARANTINED.keys()
    assert summary["labels"]["quarantined"] == Counter(rows.loc[rows["label_member"] != "", "reason"])
    assert not kept.duplicated(["archive", "label_member"]).any()
    assert (kept["w"] >= 4).all() and (kept["x"] >= 0).all() and (kept["x"] + kept["w"] <= kept["width"]).all()
    assert set(kept["member"]).isdisjoint(rows.loc[rows["label_member"] == "", "member"]) or len(run.archives) > 1


numbers = st.integers(0, 10**6)
damages = st.lists(
    st.tuples(st.integers(0, len(DAMAGES) - 1), st.integers(0, 3), numbers),
    min_size=DAMAGES_A_TREE,
    max_size=DAMAGES_A_TREE,
)


def test_any_damage_is_survived_and_accounted_for(tmp_path_factory) -> None:
    done: Counter[str] = Counter()

    # without shrinking: the damages of a failure are printed, and finding fewer takes minutes
    @settings(
        max_examples=TREES,
        deadline=None,
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(damages=damages, spoiled=numbers)
    def survive(damages, spoiled) -> None:
        folder, raw = tmp_path_factory.mktemp("tree"), hand_made()
        archives = list(ZIP_OF.values())
        for kind, place, number in damages:
            archive = archives[0] if place else archives[number % 4]  # mostly the large one, so that drugs survive
            members = sorted(raw.photos[archive]) or ["K-1/a.png"]
            DAMAGES[kind](raw, archive, members[number % len(members)], number)
        source = raw.write(folder / "raw")
        done["damages"] += len(damages)
        done["trees"] += 1
        if done["trees"] % 3 == 1:
            unpack_all(folder / "raw")
        elif done["trees"] % 3 == 2:
            zips = sorted((folder / "raw").rglob("*.zip"))
            spoil_zip(zips[spoiled % len(zips)], spoiled)
            done["archives"] += 1
        run = index_source(source, folder / "results")
        check_index(run)
        try:
            prepare_planned(run)
        except PlanError:
            done["too little left"] += 1
            return
        run.build_manifest()
        check_manifest(run)
        done["manifests"] += 1

    survive()
    assert done["damages"] >= 1000
    assert done["manifests"] >= TREES // 2
    assert done["archives"] >= 2
