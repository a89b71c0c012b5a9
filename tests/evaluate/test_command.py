"""The command `pillsnap evaluate`: every kind of source, what it writes, and what it says where nothing can be done."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from typer.testing import CliRunner

from pillsnap.cli import app
from pillsnap.predict.references import EnrolledDrug, write_references
from tests.report.test_browser import look_at
from tests.sources.test_coco import annotation, write_coco, write_photos
from tests.support.archives import hand_made, photo_png
from tests.support.faults.disks import disk, mount
from tests.support.models import onnx_models
from tests.support.yolo_files import write_yolo_set

LINE = "0.24 0.19 0.32 0.19"
TWO = f"0 {LINE}\n1 0.68 0.3 0.28 0.3\n"


@pytest.fixture(scope="module")
def models(base: Path) -> Path:
    return onnx_models(base)


def evaluate(*words: object) -> Result:
    return CliRunner().invoke(app, ["evaluate", *(str(word) for word in words)], env={"COLUMNS": "200"})


def said(text: str) -> str:
    return " ".join(text.split())


def yolo(root: Path) -> None:
    write_yolo_set(
        root, names=["red", "blue"], parts={"train": {"a": TWO, "b": f"0 {LINE}\n", "c": "", "d": "0 9 9 1 1\n"}}
    )
    (root / "images/train/e.png").write_bytes(photo_png()[:300])
    (root / "labels/train/e.txt").write_text(f"0 {LINE}\n")


def coco(root: Path) -> None:
    write_photos(root / "images/a.png", root / "images/b.png")
    write_coco(root / "annotations/instances_train.json", ["a.png", "b.png"], [annotation(1, 0), annotation(2, 1, 2)])


def aihub(root: Path) -> None:
    raw = hand_made().only("VS_1_단일", "VS_1_조합")
    labels = raw.labels["VS_1_조합"]
    del labels[sorted(labels)[0]]
    raw.write(root)


def folders(root: Path) -> None:
    for number, name in enumerate(("K-000001", "k_000002", "some other")):
        (root / name).mkdir(parents=True)
        (root / name / "1.png").write_bytes(photo_png(seed=number))


def coco_twice(root: Path, *more: dict[str, Any]) -> None:
    coco(root)
    found = [annotation(1, 0), annotation(2, 1, 2), *more]
    write_coco(root / "older/instances_old.json", ["images/a.png", "b.png"], found)


def yolo_twice(root: Path) -> None:
    yolo(root)
    (root / "data.yaml").write_text("names: [red, blue]\ntrain: images/train\nval: images\n")


REFUSED = {"photo_truncated": 1, "photo_without_usable_label": 1}


@pytest.mark.parametrize(
    ("write", "read", "quarantined", "counts", "drugs"),
    [
        pytest.param(yolo, 5, REFUSED, {"photos": 3, "pills": 3, "partly": 0, "empty": 1}, None, id="yolo"),
        pytest.param(coco, 2, {}, {"photos": 2, "pills": 2, "partly": 0, "empty": 0}, None, id="coco"),
        pytest.param(aihub, 4, {}, {"photos": 4, "pills": 5, "partly": 1, "empty": 0}, (5, 0), id="aihub"),
        pytest.param(folders, 3, {}, None, (2, 1), id="folders"),
    ],
)
def test_every_kind_of_source(
    write: Callable[[Path], None],
    read: int,
    quarantined: dict[str, int],
    counts: dict[str, int] | None,
    drugs: tuple[int, int] | None,
    models: Path,
    tmp_path: Path,
) -> None:
    write(tmp_path / "pills")
    done = evaluate(tmp_path / "pills", "--models", models, "--out", tmp_path / "out", "--threads", 1)
    assert done.exit_code == 0, done.output
    written = json.loads((tmp_path / "out/evaluation.json").read_text())
    kept = read - sum(quarantined.values())
    assert written["accounts"]["photos"] == {"read": read, "kept": kept, "quarantined": quarantined, "skipped": {}}
    told = said(done.stdout)
    assert f"{kept} of {read} photographs" in told
    assert all(f"quarantined, {reason}: {number} photograph" in told for reason, number in quarantined.items())
    assert ("with fewer labels than pills" in told) == bool(counts and counts["partly"])
    assert "was not measured" not in told
    labels = written["accounts"]["labels"]
    assert labels["read"] == labels["kept"] + sum(labels["quarantined"].values()) + sum(labels["skipped"].values())
    if rates := written["found"]:
        found = {name: rates[name] for name in ("photos", "pills")} | {"partly": rates["partly_labelled"]["photos"]}
        assert found | {"empty": written.get("backgrounds", {"photos": 0})["photos"]} == counts
        assert rates["boxes"] > 0, "the untrained detector finds something everywhere"
    assert (rates is None) == (counts is None)
    named = written["drugs"]
    assert (named and (named["pills"], named["other_pills"])) == drugs
    page = (tmp_path / "out/evaluation.html").read_text(encoding="utf-8")
    assert "<h1>pills</h1>" in page and ("Pills found" in page) == bool(counts)


def test_a_folder_whose_labels_tell_nothing_that_can_be_right(models: Path, tmp_path: Path) -> None:
    (tmp_path / "pills/some other").mkdir(parents=True)
    for name in ("some other/1.png", "2.png"):
        (tmp_path / "pills" / name).write_bytes(photo_png(seed=1))
    done = evaluate(tmp_path / "pills", "--models", models, "--out", tmp_path / "out")
    told = said(done.stdout)
    assert "whether answers are right was not measured" in told
    assert (
        "quarantined, photo_without_label: 1 photograph: no label file names the photograph, or it lies in no" in told
    )


@pytest.mark.parametrize(("once", "twice"), [(yolo, yolo_twice), (coco, coco_twice)], ids=["yolo", "coco"])
def test_a_photograph_that_is_labelled_twice_is_measured_once(
    once: Callable[[Path], None], twice: Callable[[Path], None], models: Path, tmp_path: Path
) -> None:
    found = []
    for write, name in ((once, "once"), (twice, "twice")):
        write(tmp_path / name / "pills")
        done = evaluate(tmp_path / name / "pills", "--models", models, "--out", tmp_path / name / "out")
        assert done.exit_code == 0, done.stderr
        found.append(json.loads((tmp_path / name / "out/evaluation.json").read_text()))
    one, both = found
    assert both["found"] == one["found"] and both["verdicts"] == one["verdicts"]
    assert both["accounts"]["photos"]["kept"] == one["accounts"]["photos"]["kept"]
    for name in ("photos", "labels"):
        read = both["accounts"][name]
        assert read["skipped"]["photo_duplicated"] >= one["accounts"][name]["kept"], "one more may not be decoded"
        assert read["read"] == read["kept"] + sum(read["skipped"].values()) + sum(read["quarantined"].values())


def test_two_label_files_that_say_different_things_of_a_photograph(models: Path, tmp_path: Path) -> None:
    coco_twice(tmp_path / "pills", annotation(9, 0, 2))
    done = evaluate(tmp_path / "pills", "--models", models, "--out", tmp_path / "out")
    assert done.exit_code == 2 and "label 1 photographs differently, such as images/a.png" in said(done.stderr)
    assert "instances_train.json and " in done.stderr and "instances_old.json label" in said(done.stderr)


def test_a_test_part_alone_is_measured(models: Path, tmp_path: Path) -> None:
    write_yolo_set(tmp_path / "pills", names=["red", "blue"], parts={"test": {"a": TWO}})
    (tmp_path / "pills/data.yaml").write_text("names: [red, blue]\ntrain: ../train/images\ntest: images/test\n")
    done = evaluate(tmp_path / "pills", "--models", models, "--out", tmp_path / "out")
    assert done.exit_code == 0 and "1 of 1 photographs" in said(done.stdout)


def test_a_table_of_class_names_makes_drugs_comparable(models: Path, tmp_path: Path) -> None:
    yolo(tmp_path / "pills")
    (tmp_path / "table.csv").write_text("name,k_code\nred,K-000001\nblue,K-000077\n")
    words = (tmp_path / "pills", "--models", models, "--out", tmp_path / "out")
    assert evaluate(*words, "--classes", tmp_path / "table.csv").exit_code == 0
    drugs = json.loads((tmp_path / "out/evaluation.json").read_text())["drugs"]
    assert (drugs["pills"], drugs["other_pills"]) == (2, 1)
    (tmp_path / "table.csv").write_text("name,k_code\nred,K-000001\n")
    refused = evaluate(*words, "--classes", tmp_path / "table.csv")
    assert refused.exit_code == 2 and "has no row for 1 classes of train: blue" in refused.stderr


def test_threads_and_a_second_run_change_no_byte(models: Path, tmp_path: Path) -> None:
    yolo(tmp_path / "pills")
    for out, threads in (("one", 1), ("two", 2), ("two", 2)):
        words = ("--models", models, "--out", tmp_path / out, "--threads", threads, "--mode", "single")
        assert evaluate(tmp_path / "pills", *words).exit_code == 0
    for name in ("evaluation.json", "evaluation.html"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
    assert json.loads((tmp_path / "one/evaluation.json").read_text())["found"]["boxes"] <= 3, "one box a photograph"


@pytest.mark.parametrize("width", [1280, 390])
def test_page_fits_and_is_whole(models: Path, browser: str, tmp_path: Path, width: int) -> None:
    yolo(tmp_path / "pills")
    assert evaluate(tmp_path / "pills", "--models", models, "--out", tmp_path / "out").exit_code == 0
    page = (tmp_path / "out/evaluation.html").read_text(encoding="utf-8")
    measured, console = look_at(page, width, browser, tmp_path)
    assert measured["scrollWidth"] <= width
    assert (measured["beyond"], measured["requests"], console) == ([], [], [])
    assert measured["pictures"] > 1 and measured["broken"] == 0 and measured["enlarged"]
    assert "Real photographs: a YOLO data set" in measured["words"]


def _nothing(root: Path) -> None:
    root.mkdir()


def _no_data_set(root: Path) -> None:
    root.mkdir()
    (root / "notes.txt").write_text("pills")


def _no_label(root: Path) -> None:
    write_yolo_set(root, names=["red"], parts={"train": {"a": "0 0.5\n"}})


def _no_picture(root: Path) -> None:
    write_yolo_set(root, names=["red"], parts={"train": {"a": f"0 {LINE}\n"}})
    (root / "images/train/a.png").write_bytes(photo_png()[:200])


@pytest.mark.parametrize(
    ("write", "says"),
    [
        pytest.param(lambda root: None, "pills: there is no folder of this name. Correct the path", id="missing"),
        pytest.param(_nothing, "pills: is an empty folder. Correct the path", id="empty"),
        pytest.param(_no_data_set, "is no data set that is known", id="unknown"),
        pytest.param(_no_label, "none of its 1 photographs has a usable label.*1 bbox_malformed, such as", id="labels"),
        pytest.param(_no_picture, "none of its photographs can be measured.*1 photo_truncated, such as", id="pictures"),
    ],
)
def test_data_that_cannot_be_used(write: Callable[[Path], None], says: str, models: Path, tmp_path: Path) -> None:
    write(tmp_path / "pills")
    done = evaluate(tmp_path / "pills", "--models", models, "--out", tmp_path / "out")
    assert done.exit_code == 2 and re.search(says, said(done.stderr)), done.stderr
    assert "source.root = " not in done.stderr
    assert not (tmp_path / "out").exists() and not list(tmp_path.glob(".out*"))


def test_models_and_kinds_that_cannot_be_used(models: Path, tmp_path: Path) -> None:
    yolo(tmp_path / "pills")
    for wrong, says in ((tmp_path, "there is no such model"), (models / "pipeline.onnx", "is a file. Name the folder")):
        done = evaluate(tmp_path / "pills", "--models", wrong, "--out", tmp_path / "out")
        assert done.exit_code == 2 and says in said(done.stderr)
    done = evaluate(tmp_path / "pills", "--models", models, "--out", tmp_path / "out", "--kind", "coco")
    assert done.exit_code == 2 and said(done.stderr).startswith(f"{tmp_path / 'pills'}: no COCO file below it")
    done = evaluate(tmp_path / "pills", "--models", models, "--out", tmp_path / "out", "--kind", "synthetic")
    assert done.exit_code == 2 and "--kind synthetic: must be one of aihub, yolo, coco, folders" in said(done.stderr)


LOST, DENIED = "is there, and holds something else than an evaluation", "nothing can be written there"


@pytest.mark.parametrize(
    ("files", "out", "says"),
    [
        pytest.param(["evaluation.json", "evaluation.html", "notes.txt"], "out", LOST, id="notes beside it"),
        pytest.param(["evaluation.json", "composed/00.jpg"], "out", LOST, id="the pipeline's"),
        pytest.param(["evaluation.json"], "out", LOST, id="the pipeline's without pictures"),
        pytest.param(["data.yaml"], "out", LOST, id="photographs"),
        pytest.param(["notes.txt"], "out/notes.txt", LOST, id="a file"),
        pytest.param(["notes.txt"], "out/notes.txt/x", DENIED, id="below a file"),
        pytest.param(["notes.txt"], "out/.", LOST, id="the working directory"),
        pytest.param([], ".", "is the working directory or a mount point", id="the empty working directory"),
    ],
)
def test_a_place_that_cannot_be_used_is_told_before_anything_is_read(
    files: list[str], out: str, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in files:
        (tmp_path / "out" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "out" / name).write_text("kept")
    monkeypatch.chdir(tmp_path)
    done = evaluate("nowhere", "--models", "nowhere", "--out", out)
    assert done.exit_code == 2 and says in said(done.stderr), done.stderr
    assert {path.relative_to(tmp_path / "out").as_posix() for path in tmp_path.rglob("*") if path.is_file()} == {*files}


def test_a_place_that_takes_nothing_is_told_before_anything_is_read(tmp_path: Path) -> None:
    with disk(tmp_path / "disk", 1) as small:
        done = evaluate("nowhere", "--models", "nowhere", "--out", small.place)
        assert done.exit_code == 2 and "is the working directory or a mount point" in said(done.stderr)
        mount("-o", "remount,ro", str(small.place))
        done = evaluate("nowhere", "--models", "nowhere", "--out", small.place / "a/b")
        assert done.exit_code == 2 and re.search(f"a/b: |a: {DENIED}.*read-only file system", said(done.stderr))
        assert "Allow writing there, or name another place." in said(done.stderr)


@pytest.mark.parametrize("earlier", [False, True])
def test_what_appears_in_the_place_meanwhile_is_kept(
    models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, earlier: bool
) -> None:
    yolo(tmp_path / "pills")
    out = tmp_path / "out"
    words = (tmp_path / "pills", "--models", models, "--out", out)
    if earlier:
        assert evaluate(*words).exit_code == 0

    def render(*_: object) -> str:
        out.mkdir(exist_ok=True)
        (out / "notes.txt").write_text("kept")
        return ""

    monkeypatch.setattr("pillsnap.evaluate.evaluate.render_evaluation", render)
    done = evaluate(*words)
    assert done.exit_code == 2 and f"{out}: something was put there meanwhile, and was kept." in said(done.stderr)
    written = {"evaluation.html", "evaluation.json"} if earlier else set()
    assert {path.name for path in out.iterdir()} == {"notes.txt", *written} and not list(tmp_path.glob(".out*"))


def test_links_are_followed(models: Path, tmp_path: Path) -> None:
    yolo(tmp_path / "pills")
    (tmp_path / "link").symlink_to("far/out")
    for _ in range(2):
        done = evaluate(tmp_path / "pills", "--models", models, "--out", tmp_path / "link")
        assert done.exit_code == 0, done.stderr
        assert (tmp_path / "link").is_symlink() and (tmp_path / "far/out/evaluation.html").is_file()


def test_enrolled_drugs_are_said_to_be_left_out(models: Path, tmp_path: Path, caplog) -> None:
    shutil.copytree(models, tmp_path / "onnx")
    write_references(tmp_path / "onnx", [EnrolledDrug("K-012345", (), "a", 1, (0.0,))])
    yolo(tmp_path / "set")
    done = evaluate(tmp_path / "set", "--models", tmp_path / "onnx", "--out", tmp_path / "out", "--device", "cpu")
    assert done.exit_code == 0, done.stderr
    assert "enrolled from photographs are left out, trained ones are measured (K-012345)" in caplog.text


def test_folders_that_look_like_aihubs_are_told_how(models: Path, tmp_path: Path) -> None:
    folders(tmp_path / "pills")
    (tmp_path / "pills/K-000001-000002").mkdir()
    (tmp_path / "pills/K-000001-000002/1.png").write_bytes(photo_png(2))
    words = (tmp_path / "pills", "--models", models, "--out", tmp_path / "out")
    done = evaluate(*words)
    assert done.exit_code == 2 and "`pillsnap evaluate` takes --kind folders" in said(done.stderr)
    assert evaluate(*words, "--kind", "folders").exit_code == 0
