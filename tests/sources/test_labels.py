"""Labels of both kinds of source: what is read, what is quarantined, and that nothing is lost."""

import json
import unicodedata
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from pillsnap.sources.aihub_json import parse_label
from pillsnap.sources.aihub_labels import read_aihub_labels
from pillsnap.sources.archives import Archive
from pillsnap.sources.labels import LabelError, box_scale, fit_box, parse_box
from pillsnap.sources.registry import get_kind, list_archives
from pillsnap.sources.settings import Source
from pillsnap.sources.yolo_labels import read_yolo_labels
from tests.support.aihub_files import label, png, write_zip
from tests.support.archives import BOXES, photo_png

STEM = "K-000114_0_2_0_0_75_260_200"


@pytest.mark.parametrize(
    ("values", "outcome"),
    [
        ([1, 2, 3, 4], (1.0, 2.0, 3.0, 4.0)),
        ([], "bbox_missing"),
        (None, "bbox_missing"),
        ([116.649, 283, 446], "bbox_malformed"),
        ([1, 2, 3, "4"], "bbox_malformed"),
        ([1, 2, 3, float("nan")], "bbox_malformed"),
        ([1, 2, 3, True], "bbox_malformed"),
        ([1, 2, 3, 10**400], "bbox_malformed"),
        ([1e308, 2, 1e308, 3], "bbox_malformed"),
        ("1234", "bbox_malformed"),
        ([1, 2, 0, 4], "bbox_zero_size"),
        ([1, 2, 3, -4], "bbox_zero_size"),
    ],
)
def test_parse_box(values, outcome) -> None:
    if isinstance(outcome, tuple):
        assert parse_box(values) == outcome
    else:
        with pytest.raises(LabelError) as error:
            parse_box(values)
        assert error.value.reason == outcome


@pytest.mark.parametrize(
    ("box", "outcome"),
    [
        ((10, 10, 20, 20), (10, 10, 20, 20)),
        ((-1, 10, 20, 20), (0.0, 10, 19.0, 20.0)),
        ((80, 10, 21, 20), (80, 10, 20, 20)),
        ((6567, 10, 20, 20), "bbox_outside"),
        ((-3, 10, 20, 20), "bbox_outside"),
        ((0, 0, 100, 99), "bbox_whole_photo"),
        ((10, 10, 3.9, 20), "bbox_too_small"),
        ((-1, 10, 4.5, 20), "bbox_too_small"),
        ((1e308, 10, 1e308, 20), "bbox_outside"),
    ],
)
def test_fit_box(box, outcome) -> None:
    if isinstance(outcome, tuple):
        assert fit_box(box, 100, 100) == pytest.approx(outcome)
    else:
        with pytest.raises(LabelError) as error:
            fit_box(box, 100, 100)
        assert error.value.reason == outcome


def single(tmp_path, photos: dict[str, bytes], labels: dict[str, bytes]) -> Archive:
    return Archive(
        name="TS_1_single",
        photos=str(write_zip(tmp_path / "TS_1_단일.zip", photos)),
        labels=str(write_zip(tmp_path / "TL_1_단일.zip", labels)),
        domain="single",
        part="",
    )


def changed(**parts) -> bytes:
    """A good label with some of its parts replaced."""
    return json.dumps(json.loads(label("a.png", "K-000001")) | parts).encode()


@pytest.mark.parametrize(
    ("labels", "reasons"),
    [
        ([label("a.png", "K-000001")], []),
        ([], ["photo_without_label"]),
        ([b"{not json"], ["label_unparsable", "photo_without_usable_label"]),
        ([b"[]"], ["label_unparsable", "photo_without_usable_label"]),
        ([label("a.png", "K-000001", [])], ["bbox_missing", "photo_without_usable_label"]),
        ([label("a.png", "K-000001", [1, 2, 3])], ["bbox_malformed", "photo_without_usable_label"]),
        ([label("gone.png", "K-000001")], ["label_without_photo", "photo_without_label"]),
        ([label("a.png", "K-000001", width=None)], []),
        ([b""], ["label_unparsable", "photo_without_usable_label"]),
        ([b"[" * 100_000], ["label_unparsable", "photo_without_usable_label"]),
        ([b'{"images": [3]}'], ["label_unparsable", "photo_without_usable_label"]),
        ([b'{"images": {}}'], ["label_unparsable", "photo_without_usable_label"]),
        ([b'{"images": [{}], "annotations": 7}'], ["label_unparsable", "photo_without_usable_label"]),
        ([changed(images=[{}, {}])], ["label_of_several_pills", "photo_without_usable_label"]),
        ([changed(annotations=[{}, {}])], ["label_of_several_pills", "photo_without_usable_label"]),
        ([changed(annotations=[])], ["bbox_missing", "photo_without_usable_label"]),
        ([changed(annotations=[{"bbox": [10, 20, 30, 40], "iscrowd": 58548}])], ["iscrowd_ignored"]),
        ([label("", "K-000001")], ["file_name_missing"]),
        ([label(None, "K-000001")], ["file_name_missing"]),
        ([label("K-1/a.PNG", "K-000001")], []),
        ([label("a.png", " k-000001\n")], ["k_code_normalised"]),
        ([label("a.png", "K-\uff10\uff10\uff10\uff10\uff10\uff11")], ["k_code_normalised"]),
        ([label("a.png", "K-1")], ["k_code_malformed", "photo_without_usable_label"]),
        ([label("a.png", "K-000001-000002")], ["k_code_malformed", "photo_without_usable_label"]),
        ([label("a.png", 1)], ["label_field_missing", "photo_without_usable_label"]),
        ([label("a.png", "K-000001", di_edi_code="643303740, ?,None")], ["edi_code_dropped"]),
        ([label("a.png", "K-000001", dl_name="시험\x00정\n")], ["text_cleaned"]),
        ([label("a.png", "K-000001").replace(b"\xec\x8b\x9c", b"\\ud83d")], ["text_cleaned"]),
        ([label("a.png", "K-000001").replace(b"97", b"1e999")], []),
        ([label("a.png", "K-000001").replace(b"97", b"9" * 400)], []),
        ([label("a.png", "K-000001").replace(b"[10,", b"[NaN,")], ["bbox_malformed", "photo_without_usable_label"]),
        ([b"\xef\xbb\xbf" + label("a.png", "K-000001")], []),
        ([label("a.png", "K-000001").decode().encode("utf-16")], ["label_utf16"]),
        ([b" " * (2**20 + 1)], ["file_too_large", "photo_without_usable_label"]),
        (
            [label("a.png", "K-000001", dl_mapping_code=None, drug_N=None)],
            ["label_field_missing", "photo_without_usable_label"],
        ),
        ([label("a.png", "K-000001"), label("a.png", "K-000001")], ["label_duplicated"]),
        ([label("a.png", "K-000001"), label("a.png", "K-000001", (10, 20, 30, 41))], ["label_duplicated"]),
        (
            [label("a.png", "K-000001"), label("a.png", "K-000001", (50, 60, 30, 41))],
            ["bbox_ambiguous", "bbox_ambiguous", "photo_without_usable_label"],
        ),
        (
            [label("a.png", "K-000001"), label("a.png", "K-000002")],
            ["bbox_shared", "bbox_shared", "photo_without_usable_label"],
        ),
        ([label("a.png", "K-000001").decode().encode("cp949")], ["label_cp949"]),
    ],
)
def test_aihub_defects(tmp_path, labels, reasons) -> None:
    members = {f"K-000001_json/{'a' * (n + 1)}.json": data for n, data in enumerate(labels)}
    reading = read_aihub_labels(single(tmp_path, {"K-000001/a.png": png()}, members))
    assert sorted(issue["reason"] for issue in reading.issues) == sorted(reasons)
    lost_photos = {i["member"] for i in reading.issues if not i["label_member"] and i["outcome"] != "repaired"}
    assert reading.photos_read == len({pill["member"] for pill in reading.pills}) + len(lost_photos)
    lost_labels = [i for i in reading.issues if i["label_member"] and i["outcome"] != "repaired"]
    assert reading.labels_read == len(reading.pills) + len(lost_labels)


@pytest.mark.parametrize("key", ["dl_mapping_code", "di_edi_code", "dl_name", "iscrowd", "bbox", "width", "file_name"])
def test_values_that_are_nested_deep_end_no_run(key) -> None:
    deep = "[" * 1000 + "]" * 1000
    image, place = {"file_name": "a.png", "dl_mapping_code": "K-000001"}, {"bbox": [1, 2, 3, 4]}
    (place if key in ("iscrowd", "bbox") else image)[key] = "deep"
    text = json.dumps({"images": [image], "annotations": [place]}).replace('"deep"', deep)
    found = parse_label(text.encode())
    for read in (found.k_code, found.edi_codes, found.drug_name, lambda: parse_box(found.annotation["bbox"])):
        with suppress(LabelError):
            read()


@pytest.mark.parametrize(
    ("stem", "domain", "group", "pills"),
    [
        ("K-000114_0_2_0_0_75_260_200", "single", "K-000114_2_0_0_75", 1),
        ("K-000114_0_2_0_0_75_000_200", "single", "K-000114_2_0_0_75", 1),
        ("K-000114_0_2_0_0_90_260_200", "single", "K-000114_2_0_0_90", 1),
        ("K-000250-000114-002483_0_2_0_2_70_000_200", "combo", "K-000250-000114-002483", 3),
        ("holiday photo", "single", "holiday photo", 1),
    ],
)
@pytest.mark.parametrize("archive_domain", ["from name", "given"])
def test_file_names_tell_groups_pills_and_domains(tmp_path, stem, domain, group, pills, archive_domain) -> None:
    labels = {f"a_json/{stem}.json": label(f"{stem}.png", "K-000114")}
    archive = replace(
        single(tmp_path, {f"a/{stem}.png": png()}, labels), domain=domain if archive_domain == "given" else ""
    )
    (pill,) = read_aihub_labels(archive).pills
    assert (pill["domain"], pill["group"], pill["expected_pills"]) == (domain, group, pills)


def test_a_label_of_a_drug_that_the_name_does_not_tell_is_left_out(tmp_path) -> None:
    photos, labels = {f"K/{STEM}.png": png()}, {f"K_json/{STEM}.json": label(f"{STEM}.png", "K-000115")}
    reading = read_aihub_labels(single(tmp_path, photos, labels))
    assert [issue["reason"] for issue in reading.issues] == ["k_code_not_in_name", "photo_without_usable_label"]


def test_a_label_that_names_another_photo_is_left_out(tmp_path) -> None:
    photos = {"K/a.png": png(), "K/b.png": png()}
    labels = {"K_json/a.json": label("a.png", "K-000001"), "K_json/b.json": label("a.png", "K-000001")}
    reading = read_aihub_labels(single(tmp_path, photos, labels))
    assert [(issue["reason"], issue["member"]) for issue in reading.issues] == [
        ("label_names_other_photo", "K/b.png"),
        ("photo_without_usable_label", "K/b.png"),
    ]


def test_names_meet_in_any_unicode_form(tmp_path) -> None:
    nfc, nfd = (unicodedata.normalize(form, "알약") for form in ("NFC", "NFD"))
    reading = read_aihub_labels(single(tmp_path, {f"{nfd}.png": png()}, {"1.json": label(f"{nfc}.png", "K-000001")}))
    assert len(reading.pills) == 1 and not reading.issues


def test_aihub_side_files_are_skipped(tmp_path) -> None:
    photos = {"K-1/a.png": png(), "K-1/._a.png": b"x", "K-1/a_index.png": png()}
    labels = {"K-1_json/a.json": label("a.png", "K-000001"), "K-1_json/._a.json": b"x"}
    reading = read_aihub_labels(single(tmp_path, photos, labels))
    assert len(reading.pills) == 1
    assert sorted(issue["reason"] for issue in reading.issues) == ["apple_double", "apple_double", "index_picture"]
    assert reading.pills[0]["edi_codes"] == "643303740,A01200351"


def test_yolo_labels(tmp_path) -> None:
    (tmp_path / "images/train").mkdir(parents=True)
    (tmp_path / "labels/train").mkdir(parents=True)
    (tmp_path / "data.yaml").write_text('names: [red, blue]\n\ndescription\n"free text"\n(string)\n')
    for name in ("one.rf.1", "two.rf.1", "none.rf.1"):
        (tmp_path / f"images/train/{name}.png").write_bytes(png(100, 200))
    (tmp_path / "labels/train/one.rf.1.txt").write_text("0 0.5 0.5 0.2 0.1\n")
    (tmp_path / "labels/train/two.rf.1.txt").write_text("0 0.5 0.5 0.2 0.1\n1 0.2 0.2 0.1 0.1\n7 0.2 0.2 0.1 0.1\nx\n")
    (tmp_path / "labels/train/gone.txt").write_text("0 0.5 0.5 0.2 0.1\n")
    photos, labels, data = (str(tmp_path / name) for name in ("images/train", "labels/train", "data.yaml"))
    archive = Archive("train", photos, labels, "", "train", described_by=data)
    reading = read_yolo_labels(archive)
    one = next(pill for pill in reading.pills if pill["group"] == "one")
    assert (one["x"], one["y"], one["w"], one["h"]) == pytest.approx((40, 90, 20, 20))
    assert (one["k_code"], one["domain"], one["edi_codes"], one["part"]) == ("red", "single", "", "train")
    assert sorted(issue["reason"] for issue in reading.issues) == [
        "class_out_of_range",
        "label_unparsable",
        "label_without_photo",
        "photo_without_label",
    ]
    assert (reading.photos_read, reading.labels_read) == (3, 6)


@pytest.mark.parametrize(
    ("labelled", "actual", "scale"),
    [
        ((976, 1280), (488, 640), (0.5, 0.5)),
        ((976, 1280), (1952, 2560), (2, 2)),
        ((976, 1280), (640, 839), (640 / 976, 839 / 1280)),
        ((976, 1280), (640, 840), (640 / 976, 840 / 1280)),
        ((1000, 1000), (640, 640), (0.64, 0.64)),
        ((976, 1280), (976, 1280), (1, 1)),
        ((976, 1280), (977, 1279), (1, 1)),
        ((976, 1280), (640, 640), None),
        ((976, 1280), (1280, 976), None),
        ((976, 1280), (640, 488), None),
        ((1000, 1001), (1001, 1000), (1, 1)),
        ((1000, 1004), (1004, 1000), None),
        ((976, 1280), (976, 1200), None),
        ((0, 0), (976, 1280), None),
    ],
)
def test_boxes_are_scaled_where_one_factor_gives_both_sides(labelled, actual, scale) -> None:
    assert box_scale(labelled, actual) == (scale and pytest.approx(scale))


def as_yolo(root: Path, members: Sequence[str]) -> None:
    for member in members:
        text = (root / "labels" / member).with_suffix(".txt")
        text.parent.mkdir(parents=True, exist_ok=True)
        text.write_text("0 0.5 0.5 0.2 0.1\n")
        (root / "images" / member).parent.mkdir(parents=True, exist_ok=True)
        (root / "images" / member).write_bytes(photo_png())
    (root / "data.yaml").write_text("names: [red]\n")


def as_folders(root: Path, members: Sequence[str]) -> None:
    for member in members:
        (root / member).parent.mkdir(parents=True, exist_ok=True)
        (root / member).write_bytes(photo_png())


def as_coco(root: Path, members: Sequence[str]) -> None:
    as_folders(root, members)
    value = {
        "images": [{"id": number, "file_name": member} for number, member in enumerate(members)],
        "annotations": [
            {"id": number, "image_id": number, "category_id": 1, "bbox": BOXES[0]} for number in range(len(members))
        ],
        "categories": [{"id": 1, "name": "red"}],
    }
    (root / "labels.json").write_text(json.dumps(value))


@pytest.mark.parametrize(("kind", "write"), [("yolo", as_yolo), ("coco", as_coco), ("folders", as_folders)])
def test_photographs_of_paths_that_dots_would_make_one_keep_ids_of_their_own(tmp_path, kind, write) -> None:
    members = ["a/b.c.png", "a.b/c.png", "x/y.png", "x/z.rf.1.png"]
    write(tmp_path / "raw", members)
    ((name, archive),) = list_archives(Source(kind=kind, root=str(tmp_path / "raw"), box="whole")).items()
    reading = get_kind(kind).read_labels(archive)
    assert not reading.issues
    found = {pill["member"]: pill["image_id"].removeprefix(f"{name}.") for pill in reading.pills}
    assert found == {
        "a/b.c.png": "a.b.c.c0620514",
        "a.b/c.png": "a.b.c.fc7cd9c4",
        "x/y.png": "x.y",
        "x/z.rf.1.png": "x.z.rf.1",
    }
