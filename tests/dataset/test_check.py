"""The command `pillsnap data check`: a folder is looked at before any configuration is written."""

import re
from pathlib import Path

import pytest
import yaml
from click.testing import Result
from typer.testing import CliRunner

from pillsnap.cli import app
from pillsnap.config.load import read_config
from tests.support.archives import hand_made
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
        "Photographs: 43 read = 43 kept + 0 quarantined + 0 skipped",
        f"source: kind: aihub root: {tmp_path}/pills",
        "snakemake --cores 8 --configfile config.yaml overlay.yaml -- results/pills/stage4/report.html",
    ):
        assert words in said(done.stdout), words


def test_the_overlay_is_a_configuration(tmp_path) -> None:
    yolo_run(tmp_path / "a set, 1")
    folder, overlay = tmp_path / "a set, 1/raw", tmp_path / "overlay.yaml"
    done = check(folder, "--write", overlay)
    assert done.exit_code == 0
    assert "bbox_zero_size 1 train: a2.png" in said(done.stdout)
    config = read_config(PROJECT / "config.yaml", overlay)
    assert (config.source.kind, config.source.root, config.plan.unseen_drugs) == ("yolo", str(folder), 0)
    assert config.pathvars.results == "results/a-set-1-raw"
    assert yaml.safe_load(overlay.read_text())["plan"] == {"unseen_drugs": 0}
    again = check(folder, "--write", overlay)
    assert (again.exit_code, "exists, and was kept" in again.stderr) == (2, True)


@pytest.mark.parametrize(
    ("files", "says"),
    [
        ({"a.jpg": ""}, "is no data set that is known. aihub: .* yolo: .* has no data.yaml .* coco: .* no COCO file"),
        ({"TS_1_단일/K-000001/a.png": ""}, "TS_1_단일: has photographs, but there is no archive of its labels"),
        ({"data.yaml": "names: [a, b]"}, "names no folder of training photographs"),
        (
            {"data.yaml": "names: [a, b]", "images/train/a.png": ""},
            "no stage can be made of it. The source has no",
        ),
        (None, "there is no folder"),
    ],
)
def test_what_is_wrong_is_told(tmp_path, files, says) -> None:
    for name, text in (files or {}).items():
        (tmp_path / "set" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "set" / name).write_text(text)
    done = check(tmp_path / "set")
    assert done.exit_code == 2
    assert re.search(says, said(done.stderr)), done.stderr


def test_real_photographs(real_photos, tmp_path) -> None:
    """Combinations that show a drug that is held out are lost: too many here, so that none is held out."""
    done = check(real_photos)
    assert done.exit_code == 0
    assert "267 photographs with usable labels, of 17 drugs" in said(done.stdout)
    assert "plan: unseen_drugs: 0" in said(done.stdout)
    other = check(real_photos.parent / "pillcounter")
    assert "bbox_from_polygon 667" in said(other.stdout) and "of 2 drugs" in said(other.stdout)
    assert "273 read = 234 kept + 0 quarantined + 39 skipped (39 group_held_out)" in said(other.stdout)


def test_nothing_is_written(tmp_path) -> None:
    hand_made().write(tmp_path / "pills")
    before = sorted(Path(tmp_path).rglob("*"))
    check(tmp_path / "pills")
    assert sorted(Path(tmp_path).rglob("*")) == before
