"""The command `pillsnap data check`: a folder is looked at before any configuration is written."""

import json
import logging
import re
from pathlib import Path

import pytest
import yaml
from click.testing import Result
from typer.testing import CliRunner

from pillsnap.cli import app
from pillsnap.config.load import read_config
from tests.support.aihub_files import write_zip
from tests.support.archives import course_files, hand_made, photo_png
from tests.support.dataset_runs import yolo_run
from tests.support.workflow import PROJECT


def check(*words: object) -> Result:
    return CliRunner().invoke(app, ["data", "check", *(str(word) for word in words)], env={"COLUMNS": "200"})


def said(text: str) -> str:
    return " ".join(text.split())


def test_aihub_archives(tmp_path) -> None:
    hand_made().write(tmp_path / "pills")
    done = check(tmp_path / "pills")
    assert done.exit_code == 0
    for words in (
        "pills: AIHub data set 576",
        "TS_1_single not fixed 30 30",
        "VS_1_combo test 1 3",
        "43 photographs with usable labels, of 3 drugs",
        "Test 4 Photographs: 43 read = 43 kept + 0 quarantined + 0 skipped",
        f"source: kind: aihub root: {tmp_path}/pills",
        "snakemake --cores 8 --configfile config.yaml overlay.yaml -- results/pills/stage4/report.html",
    ):
        assert words in said(done.stdout), words


def test_drugs_that_are_held_out_are_explained(tmp_path) -> None:
    for number in range(120):
        photo, label = tmp_path / f"set/images/train/{number}.png", tmp_path / f"set/labels/train/{number}.txt"
        for path in (photo, label):
            path.parent.mkdir(parents=True, exist_ok=True)
        photo.write_bytes(photo_png(seed=number))
        label.write_text(f"{number % 12} 0.24 0.19 0.3 0.2\n")
    (tmp_path / "set/data.yaml").write_text(f"names: {list('abcdefghijkl')}\n")
    done = check(tmp_path / "set")
    assert done.exit_code == 0, done.stderr
    rows = r"Training \d+ Validation \d+ Test \d+ Of 2 drugs that no training sees, to measure such answers 20 "
    assert re.search(rows, said(done.stdout)) and "unseen_val" not in done.stdout


def test_the_overlay_is_a_configuration(tmp_path) -> None:
    yolo_run(tmp_path / "a set, 1")
    folder, overlay = tmp_path / "a set, 1/raw", tmp_path / "overlay.yaml"
    done = check(folder, "--write", overlay)
    assert done.exit_code == 0
    found = re.search(
        r"bbox_zero_size 1 the bounding box has no width or no height such as train: a2\.txt:1: .*", said(done.stdout)
    )
    assert found, done.stdout
    config = read_config(PROJECT / "config.yaml", overlay)
    assert (config.source.kind, config.source.root, config.plan.unseen_drugs) == ("yolo", str(folder), 0)
    assert config.pathvars.results == "results/a-set-1-raw"
    assert yaml.safe_load(overlay.read_text())["plan"] == {"unseen_drugs": 0}
    again = check(folder, "--write", overlay)
    assert (again.exit_code, "exists, and was kept" in again.stderr) == (2, True)


def test_one_class_leads_to_a_detector(tmp_path) -> None:
    yolo_run(tmp_path / "pills")
    for label in (tmp_path / "pills/raw/labels").rglob("*.txt"):
        label.write_text(label.read_text().replace("1 0.", "0 0."))
    (tmp_path / "pills/raw/labels/train/a1.txt").write_text("")
    done = check(tmp_path / "pills/raw")
    assert done.exit_code == 0
    for words in (
        "There is one class: a detector can be trained of it, and no classifier.",
        "stage4/detector_report.html",
        "1 background: photographs without a pill",
        "18 read = 17 kept + 1 quarantined + 0 skipped",
    ):
        assert words in said(done.stdout), done.stdout


def test_a_test_part_alone_can_be_evaluated(tmp_path) -> None:
    """What is labelled but too little to train on, is enough to measure."""
    root = tmp_path / "set"
    (root / "images").mkdir(parents=True)
    (root / "labels").mkdir()
    (root / "data.yaml").write_text("names: [a, b]\ntest: images")
    (root / "images/1.png").write_bytes(photo_png(1))
    (root / "labels/1.txt").write_text("0 0.5 0.5 0.2 0.2\n")
    done = check(root)
    assert done.exit_code == 2
    assert "`pillsnap evaluate` measures models on it as it is." in said(done.stderr)


@pytest.mark.parametrize(
    ("files", "says"),
    [
        ({}, "is an empty folder. Correct the path"),
        (
            {
                "data.yaml": "names: [a, b]",
                "images/train/a.png": "",
                "other/a.png": "",
                "other/a.json": '{"images": [], "annotations": [], "categories": []}',
            },
            "holds a YOLO data set and COCO JSON. Name the folder of one of them; .* source.kind: yolo or coco",
        ),
        (
            {
                "TS_1_단일/K-000001/a.png": "",
                "TL_1_단일/K-000001_json/a.json": "",
                "data.yaml": "names: [a, b]",
                "images/train/a.png": "",
            },
            "holds AIHub data set 576, zips or folders and a YOLO data set. .* source.kind: aihub or yolo",
        ),
        ({"a.jpg": ""}, "is no data set that is known. aihub: .* yolo: has no data.yaml.* coco: no COCO file"),
        (
            {"TS_1_단일/K-000001/a.png": ""},
            "TS_1_단일: has photographs, but there is no archive of its labels .* overlay with source.kind: folders",
        ),
        ({"data.yaml": "names: [a, b]"}, "names no folder of photographs"),
        (
            {"data.yaml": "names: [a, b]", "images/train/a.png": ""},
            "no stage can be made of it. The source has no",
        ),
        (None, "there is no folder"),
    ],
)
def test_what_is_wrong_is_told(tmp_path, files, says) -> None:
    if files is not None:
        (tmp_path / "set").mkdir()
    for name, text in (files or {}).items():
        (tmp_path / "set" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "set" / name).write_text(text)
    done = check(tmp_path / "set")
    assert done.exit_code == 2
    assert re.search(says, said(done.stderr)), done.stderr


@pytest.mark.parametrize(
    ("folders", "kind"),
    [
        (("K-000250", "K-000573"), "folders of one class each"),
        (("set/K-000250", "set/K-000573"), "folders of one class each"),
        (("train_images/A", "test_images/A", "train_images/B", "test_images/B"), "folders of one class each"),
        (("images/A", "images/B"), "folders of one class each"),
        (("K-000250", "K-000250-000573"), "has photographs, but there is no archive of its labels"),
        (("K-000250", "K-000250_json"), "AIHub data set 576"),
        (("train_images",), "has photographs, but there is no archive of its labels"),
    ],
)
def test_folders_that_may_be_of_two_kinds(tmp_path, folders, kind) -> None:
    """Folders named as AIHub's, and those named as of data sets with label files, may each be a class."""
    for place, folder in enumerate(folders):
        (tmp_path / "pills" / folder).mkdir(parents=True)
        for number in range(10):
            name = f"{place}{number}.{'json' if folder.endswith('_json') else 'png'}"
            (tmp_path / "pills" / folder / name).write_bytes(photo_png(1, seed=10 * place + number))
    done = check(tmp_path / "pills")
    assert kind in said(done.stdout + done.stderr)
    assert ("folders" in kind) == (done.exit_code == 0)


def test_a_trial_of_held_out_drugs_is_not_warned_of(tmp_path, caplog) -> None:
    """Nor is what the check prints itself, such as that there is one class."""
    for name, classes in (("two", 2), ("one", 1)):
        for number in range(30):
            path = tmp_path / name / f"class {number % classes}/{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(photo_png(1, seed=number))
        done = check(tmp_path / name)
        warned = [record.message for record in caplog.records if record.levelno >= logging.WARNING]
        assert (done.exit_code, done.stderr, warned) == (0, "", [])
    assert "There is one class" in said(done.stdout)


def test_real_photographs(real_photos, tmp_path) -> None:
    """Combinations that show a drug that is held out are lost: too many here, so that none is held out."""
    done = check(real_photos)
    assert done.exit_code == 0
    assert "267 photographs with usable labels, of 17 drugs" in said(done.stdout)
    assert "plan: unseen_drugs: 0" in said(done.stdout)
    other = check(real_photos.parent / "pillcounter")
    assert "bbox_from_polygon 667" in said(other.stdout) and "of 2 drugs" in said(other.stdout)
    assert "273 read = 234 kept + 0 quarantined + 39 skipped 39 group_held_out: " in said(other.stdout)


def test_the_courses_zip_and_what_is_skipped(tmp_path) -> None:
    path = write_zip(tmp_path / "ai level1.zip", course_files(hand_made()))
    done = check(path)
    assert done.exit_code == 0, done.stderr
    for words in (
        "ai level1.zip: AIHub data set 576",
        "Skipped: nothing is wrong with them, and they are not used",
        "photo_of_test_images 3 a photograph of the course's `test_images`, which have no labels",
        "42 read = 39 kept + 0 quarantined + 3 skipped",
        "results: results/ai-level1",
    ):
        assert words in said(done.stdout), words


def test_a_folder_that_lacks_a_half_of_one_kind_may_be_another(tmp_path) -> None:
    """The course's photographs with labels that were merged into one COCO file."""
    raw = hand_made().photos["TS_1_단일"]
    images, found = [], []
    for number, (member, data) in enumerate(raw.items()):
        name = Path(member).name
        path = tmp_path / "set/train_images" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        images.append({"id": number, "file_name": name, "width": 97, "height": 128})
        found.append({"id": number, "image_id": number, "category_id": int(member[2:8]), "bbox": [8, 12, 31, 24]})
    categories = [{"id": number, "name": f"drug {number}"} for number in (1, 2, 3)]
    merged = {"images": images, "annotations": found, "categories": categories}
    (tmp_path / "set/merged.json").write_text(json.dumps(merged))
    done = check(tmp_path / "set")
    assert done.exit_code == 0, done.stderr
    assert "set: a COCO data set" in said(done.stdout) and "of 3 drugs" in said(done.stdout)


def test_a_warning_is_given_once(tmp_path, caplog) -> None:
    """Each of the archives reads the description again."""
    yolo_run(tmp_path)
    with (tmp_path / "raw/data.yaml").open("a") as file:
        file.write("\nExported by hand\n================\nThis set: was {made}\n")
    assert check(tmp_path / "raw").exit_code == 0
    warnings = [record.message for record in caplog.records if "no YAML from line" in record.message]
    assert len(warnings) == 1 and warnings[0].startswith(f"{tmp_path}/raw/data.yaml: ")


def test_nothing_is_written(tmp_path) -> None:
    hand_made().write(tmp_path / "pills")
    before = sorted(Path(tmp_path).rglob("*"))
    check(tmp_path / "pills")
    assert sorted(Path(tmp_path).rglob("*")) == before
