"""What the workflow of the weights plans: read from Snakemake."""

import os
import re
from pathlib import Path

import yaml

from tests.support.preloaded import run_preloaded
from tests.support.workflow import PROJECT

SMALL = """\
validation_scenes: 4
rounds:
  first: {scenes: {photos: 12}}
  second: {scenes: {photos: 12}, grounds: 6}
  third: {scenes: {photos: 12}, grounds: 0}
  fourth: {scenes: {photos: 12}, grounds: 0}
  fifth: {scenes: {photos: 12}, grounds: 0}
reader_crops: {photos: 6, photos_per_shard: 2, validation_photos: 1}
"""


def test_detector_and_reader_are_made_of_nothing(tmp_path: Path) -> None:
    (tmp_path / "small.yaml").write_text(SMALL)
    words = ["snakemake", "--snakefile", f"{PROJECT}/weights/Snakefile", "--dry-run"]
    words += ["--configfile", f"{PROJECT}/weights/config.yaml", "small.yaml"]
    status, told = run_preloaded(words, folder=tmp_path, environment=os.environ | {"PYTHONPATH": str(PROJECT)})
    assert status == 0, told
    counts = dict(re.findall(r"^(\w+) +(\d+)$", told, re.MULTILINE))
    assert counts == {
        "all": "1",
        "draw_cut_outs": "5",
        "compose_scenes": "7",
        "build_scene_dataset": "5",
        "train_detector": "5",
        "pack_pill_detector": "5",
        "draw_reader_crops": "4",
        "train_reader": "1",
        "pack_pill_reader": "1",
        "total": "34",
    }
    for module in ("reader/model.py", "classifier/transforms.py", "pretraining/draw_reader_crops.py"):
        assert f"pillsnap/{module}" in told, "an edit of what makes the crops or the reader makes them again"


def test_make_weights_copies_what_the_last_round_made() -> None:
    *_, last = yaml.safe_load((PROJECT / "weights/config.yaml").read_text())["rounds"]
    (copied,) = re.findall(r"^\tcp (.*)", (PROJECT / "Makefile").read_text(), re.MULTILINE)
    assert copied == f"results/weights/{last}/pill-detector.* results/weights/pill-reader.* weights/"


def test_the_overlay_for_a_larger_detector_states_every_round_and_its_size() -> None:
    ours, larger = (
        yaml.safe_load((PROJECT / "weights" / name).read_text())["rounds"]
        for name in ("config.yaml", "production.yaml")
    )
    assert list(larger) == list(ours)
    assert {each["detector"]["image_size"] for each in larger.values()} == {640}
