"""The dataset page: whole, offline, honest about what it cannot show, and the same each time."""

import re
from html import unescape
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from pillsnap.config.data import Scenes
from pillsnap.dataset.quarantine import quarantine_examples
from pillsnap.dataset.write_dataset_page import write_dataset_page
from pillsnap.files import write_json
from pillsnap.scenes.compose_scenes import compose_scenes
from pillsnap.scenes.cut_pills import cut_pills
from pillsnap.sources.checks import overlapping_labels
from pillsnap.tables.files import read_table, write_table
from pillsnap.tables.schemas import MANIFEST, OVERLAPS
from tests.support.dataset_runs import aihub_run, page_arguments, yolo_run
from tests.support.report_inputs import words_of


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("aihub")
    arguments = page_arguments(aihub_run(folder), "aihub", folder / "results/stage4/dataset.html")
    write_dataset_page(**arguments)
    return arguments


@pytest.fixture(scope="module")
def page(written: dict[str, Any]) -> str:
    return written["page"].read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def yolo_page(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("yolo")
    arguments = page_arguments(yolo_run(folder), "yolo", folder / "dataset.html")
    write_dataset_page(**arguments)
    return arguments["page"].read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def bare_page(written: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> str:
    """The same of synthetic data in a clone that has no raw archives."""
    folder = tmp_path_factory.mktemp("bare")
    raw = {name: str(folder / name) for name in written["raw"]}
    write_dataset_page(
        **written
        | {"page": folder / "page.html", "raw": raw, "sources": dict.fromkeys(written["sources"], "synthetic")}
    )
    return (folder / "page.html").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def composed_page(written: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> str:
    """The same with six scenes, composed from the pills of its own training photographs."""
    folder, cut_outs = tmp_path_factory.mktemp("composed"), []
    for prepared in written["prepared"]:
        cut_outs.append(folder / prepared.name)
        words = {"train": written["manifest"]["train"], "prepared": prepared, "per_drug": 3, "seed": 1}
        cut_pills(cut_outs=cut_outs[-1], **words)
    words = {"cut_outs": cut_outs, "prepared": written["prepared"], "settings": Scenes(photos=6), "side": 96, "seed": 1}
    compose_scenes(scenes=folder / "0000", shard=0, **words)
    scenes = {"scenes": [folder / "0000"], "cut_outs": cut_outs, "page": folder / "page.html"}
    write_dataset_page(**written | scenes)
    return scenes["page"].read_text(encoding="utf-8")


def test_labels_of_two_drugs_that_overlap_are_shown(written: dict[str, Any], page: str, tmp_path: Path) -> None:
    assert "No labels of two drugs overlap with an IoU above 0.1." in section(page, "boxes")
    pills = read_table(written["manifest"]["train"], MANIFEST)
    first, second = pills.index[pills.groupby("image_id")["k_code"].transform("nunique") == 2][:2]
    for side, shift in zip("xywh", (6, 0, 0, 0), strict=True):
        pills.loc[second, side] = pills.loc[first, side] + shift
    write_table(pills, tmp_path / "train.csv", MANIFEST)
    files = {"page": tmp_path / "page.html", "overlapping_labels": tmp_path / "overlapping_labels.csv"}
    write_table(overlapping_labels(pills), files["overlapping_labels"], OVERLAPS)
    write_dataset_page(**written | {"manifest": written["manifest"] | {"train": tmp_path / "train.csv"}} | files)
    shown = section((tmp_path / "page.html").read_text(encoding="utf-8"), "boxes")
    assert "1 pair of labels of two drugs in 1 photograph overlaps with an IoU above 0.1" in shown
    (caption,) = re.findall(r"<figcaption>([^<]* of [^<]* and [^<]*\(0\.\d\d\))</figcaption>", shown)
    assert pills.loc[first, "member"] in caption and pills.loc[second, "k_code"] in caption


def section(page: str, name: str) -> str:
    return re.search(rf'<section id="{name}">(.*?)</section>', page, re.DOTALL)[1]


def cards(page: str, reason: str) -> list[str]:
    """The examples of a reason, as visible words; `(picture)` stands for an image."""
    found = re.search(rf"<h3><code>{reason}</code></h3>(.*?)</ul>", page, re.DOTALL)
    items = re.findall(r"<li>(.*?)</li>", found[1], re.DOTALL) if found else []
    return [unescape(words_of(re.sub(r"<img [^>]*>", "(picture)", item))) for item in items]


def test_page_is_self_contained(page: str) -> None:
    assert not re.findall(r"""(?:src|href|action)\s*=\s*["'](?!data:|#)[^"']*""", page)
    assert not re.findall(r"url\((?!#)|@import|<link|<script src|https?://", page)
    assert "default-src 'none'" in page
    identifiers = re.findall(r'\bid="([^"]+)"', page)
    assert len(identifiers) == len(set(identifiers))
    assert all('alt="' in image for image in re.findall(r"<img [^>]*>", page))


def test_page_has_its_parts_in_order(page: str) -> None:
    assert re.findall(r"<h2>(.*?)</h2>", page) == [
        "Counts", "Photographs", "Views", "Boxes", "Classes", "Codes", "Quarantine", "Left out and repaired",
        "Made from",
    ]  # fmt: skip
    assert "<title>PillSnap dataset: Stage 4</title>" in page


@pytest.mark.parametrize(
    ("kind", "fixture", "there", "absent"),
    [
        ("synthetic", "bare_page", "All photographs of this page are synthetic.", "Real photographs"),
        ("aihub", "page", "AIHub's terms forbid handing them on", "synthetic"),
        ("yolo", "yolo_page", "a YOLO data set", "synthetic"),
    ],
)
def test_banner_names_the_source(
    request: pytest.FixtureRequest, kind: str, fixture: str, there: str, absent: str
) -> None:
    page = request.getfixturevalue(fixture)
    banner = unescape(re.search(r'<div class="banner.*?</div>', page, re.DOTALL)[0])
    assert there in banner and absent not in banner
    assert page.index("banner") < page.index("<h1>")
    assert f'<meta name="source" content="{kind}">' in page


def test_counts_are_those_of_the_manifest(written: dict[str, Any], page: str) -> None:
    counted = {}
    for part, path in written["manifest"].items():
        lines = path.read_text(encoding="utf-8-sig").splitlines()[1:]
        counted[part] = len({line.split(",")[0] for line in lines}), len(lines)
    text = words_of(section(page, "counts"))
    photos, pills = (sum(values) for values in zip(*counted.values(), strict=True))
    assert f"All {photos} {pills} 3 " in text
    assert "1 combo photograph has fewer labels than pills" in text
    assert "97 x 128" in text


def test_each_part_and_domain_has_its_contact_sheet(page: str) -> None:
    titles = re.findall(r"<h3>(.*?): [\d,]+ of [\d,]+ photographs?</h3>", section(page, "photographs"))
    assert titles == [f"{d}, {p}" for d in ("Single", "Combo") for p in ("training", "validation", "test")]
    assert section(page, "photographs").count("<img") > 15
    assert "partly labelled" in section(page, "photographs")


def test_classes_codes_and_views(page: str) -> None:
    assert 'lang="ko">가스모틴정 5mg' in section(page, "classes")
    assert section(page, "classes").count("<img") == 3
    codes = words_of(section(page, "codes"))
    assert "Drugs with several 1" in codes and "Drugs without any 1" in codes
    assert "643303740 K-000001 가스모틴정 5mg and K-000002 타이레놀정 500mg" in codes
    views = section(page, "views")
    assert 'aria-label="Camera latitude. Bars:' in views and "90°, single: 3 photographs" in views


def test_quarantined_photographs_are_shown_or_it_is_said_why_not(page: str) -> None:
    assert cards(page, "photo_empty")[0].startswith("Cannot be decoded (photo_empty): an empty file.")
    assert "300 bytes, beginning with 89 50 4E 47 0D 0A 1A 0A." in cards(page, "photo_truncated")[0]
    assert "17 bytes, beginning with 6E 6F 20 70 69 63 74 75." in cards(page, "photo_unreadable")[0]
    assert cards(page, "label_without_photo")[0].startswith("There is no photograph.")
    outside = cards(page, "bbox_outside")
    assert outside[0].startswith("(picture)") and outside[0].endswith("The label's box is drawn.")
    assert "[6567.0, 20.0, 30.0, 40.0] in 97 x 128" in outside[1]
    assert outside[1].endswith("The label's box lies too far outside to be drawn.")
    assert cards(page, "bbox_malformed")[0].endswith("[1, 2, 3]")
    assert cards(page, "photo_without_label")[0].startswith("(picture)")


def test_every_reason_is_counted_with_its_meaning(page: str) -> None:
    text = words_of(section(page, "quarantine"))
    assert "photo_empty 1 0 the photograph's file has 0 bytes" in unescape(text)
    assert "The label file is no JSON object" not in text, "a reason that did not occur"
    assert "The account balances." in words_of(section(page, "left-out"))


def test_without_the_raw_archives_the_page_says_so(bare_page: str) -> None:
    assert "The raw archive of 1 is not here" in words_of(section(bare_page, "quarantine"))
    assert cards(bare_page, "bbox_outside")[0].startswith("The raw archive is not here")
    assert section(bare_page, "photographs").count("<img") > 15


def test_an_archive_that_cannot_be_opened_stops_nothing(tmp_path: Path) -> None:
    broken = tmp_path / "broken.zip"
    broken.write_bytes(b"no zip")
    row = {"archive": "A", "member": "a.png", "label_member": "", "reason": "photo_empty", "detail": "0 bytes"}
    (example,) = quarantine_examples(pd.DataFrame([row]), {"A": str(broken)}, fractions=())["photo_empty"]
    assert (example.picture, example.note) == (b"", "The raw archive cannot be opened.")


def test_hostile_drug_name_is_escaped(page: str) -> None:
    assert "<b>리피토정</b>" not in page
    assert "&lt;b&gt;리피토정&lt;/b&gt; &amp; 10mg" in page


def test_same_inputs_same_bytes(written: dict[str, Any], tmp_path: Path) -> None:
    again = tmp_path / "again.html"
    write_dataset_page(**written | {"page": again})
    assert again.read_bytes() == written["page"].read_bytes()


def test_yolo_names_tell_no_view_and_have_no_codes(yolo_page: str) -> None:
    assert "tell nothing of background, side, light and angle" in words_of(section(yolo_page, "views"))
    assert "No drug of this source has an EDI code; class names stand in for K-codes." in words_of(
        section(yolo_page, "codes")
    )
    assert "So many by their name" not in yolo_page
    assert cards(yolo_page, "bbox_zero_size")[0].endswith("The label's box is drawn.")


def test_nothing_in_the_quarantine(tmp_path: Path) -> None:
    run = yolo_run(tmp_path)
    arguments = page_arguments(run, "yolo", tmp_path / "page.html")
    head = arguments["quarantine"].read_text(encoding="utf-8-sig").splitlines()[0]
    arguments["quarantine"].write_text(head + "\n", encoding="utf-8-sig")
    summary = run.summary()
    for kind in ("photos", "labels"):
        summary[kind]["quarantined"] = {}
    write_json(arguments["summary"], summary)
    write_dataset_page(**arguments)
    page = arguments["page"].read_text(encoding="utf-8")
    assert "Nothing is in the quarantine." in words_of(section(page, "quarantine"))


def test_composed_scenes_have_a_heading_of_their_own_and_change_no_count(page: str, composed_page: str) -> None:
    composed = unescape(words_of(section(composed_page, "composed")))
    assert "6 scenes with" in composed and "They are no photographs" in composed
    assert section(composed_page, "composed").count("<img ") == 6
    read = re.search(r"(\d+) of (\d+) pills were cut out", composed)
    assert read and 0 < int(read[1]) <= int(read[2]) == 9
    assert 'id="composed"' not in page and 'href="#composed"' not in page and 'href="#composed"' in composed_page
    for name in ("counts", "photographs", "boxes", "classes", "left-out"):
        assert section(composed_page, name) == section(page, name)
