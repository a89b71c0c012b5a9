"""The workflow of the detector and the reader that come with the project, at a small size."""

import subprocess
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from pillsnap.detector.weights import load_detector
from pillsnap.detector.yolo_shards import unpack_shards
from pillsnap.files import read_json, sha256_of
from pillsnap.reader.model import load_reader
from tests.support.workflow import PROJECT

pytestmark = pytest.mark.campaign

SMALL = """\
drugs: 6
views: 2
validation_scenes: 4
rounds:
  first: {scenes: {photos: 12}, detector: {image_size: 96, epochs: 1, batch: 4, precision: fp32}}
  second: {scenes: {photos: 4}, grounds: 0, detector: {image_size: 64, epochs: 1, batch: 4, precision: fp32}}
  third: {scenes: {photos: 4}, grounds: 0, detector: {image_size: 64, epochs: 1, batch: 4, precision: fp32}}
  fourth:
    threads: 1
    scenes: {photos: 4}
    grounds: 0
    detector: {image_size: 64, epochs: 1, horizon: 1, batch: 4, precision: fp32}
  fifth:
    threads: 1
    scenes: {photos: 8}
    grounds: 4
    detector: {image_size: 64, epochs: 1, horizon: 1, batch: 4, precision: fp32}
reader_crops: {photos: 4, photos_per_shard: 2, validation_photos: 1}
reader: {image_size: 64, epochs: 2, batch: 4, precision: fp32}
reader_threads: 1
"""


def snakemake(folder: Path, *words: str) -> str:
    command = [
        "snakemake", "--snakefile", PROJECT / "weights/Snakefile", "--directory", folder, "--cores", "1",
        "--configfile", PROJECT / "weights/config.yaml", folder / "small.yaml", *words,
    ]  # fmt: skip
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, (done.stdout + done.stderr)[-8000:]
    return done.stdout + done.stderr


def test_made_of_drawn_pills_alone_and_described(tmp_path: Path) -> None:
    (tmp_path / "small.yaml").write_text(SMALL)
    snakemake(tmp_path)
    first, before, last = (tmp_path / "results/weights" / name for name in ("first", "fourth", "fifth"))
    packed, trained = (last / name for name in ("pill-detector", "detector/best"))
    halves, whole = (load_file(path.with_suffix(".safetensors")) for path in (packed, trained))
    assert all(torch.equal(halves[name], value.half()) for name, value in whole.items() if value.is_floating_point())
    assert load_detector(packed.with_suffix(".safetensors")).names == {0: "pill"}
    told = read_json(packed.with_suffix(".json"))
    assert told["sha256"] == sha256_of(packed.with_suffix(".safetensors"))
    assert told["settings"]["drugs"] == 6
    assert [each["detector"]["image_size"] for each in told["settings"]["rounds"].values()] == [96, 64, 64, 64, 64]
    assert told["starting_sha256"] == sha256_of(before / "pill-detector.safetensors")
    unpack_shards(tmp_path / "work/weights/fifth/yolo", tmp_path / "unpacked")
    names = [path.name for path in (tmp_path / "unpacked/images/train").iterdir()]
    assert (len(names), sum(name.startswith("ground.") for name in names)) == (12, 4)
    for label in (tmp_path / "unpacked/labels/train").glob("ground.*"):
        assert label.read_text() == "", "a ground has no pill"
    begun = read_json(first / "pill-detector.json")
    assert begun["starting_sha256"] is None and list(begun["settings"]["rounds"]) == ["first"]
    for rule in (
        "first/provenance/draw_cut_outs",
        "fifth/provenance/draw_cut_outs",
        "provenance/draw_reader_crops/train.0001",
        "provenance/draw_reader_crops/val.0000",
    ):
        inputs = read_json(tmp_path / f"results/weights/{rule}.json")["inputs"]
        assert inputs == {}, "no photograph is read"
    reader = read_json(tmp_path / "results/weights/pill-reader.json")
    assert reader["sha256"] == sha256_of(tmp_path / "results/weights/pill-reader.safetensors")
    assert (reader["validation_on_drawn_crops"]["epoch"], reader["settings"]["reader_crops"]["photos"]) == (2, 4)
    assert load_reader(tmp_path / "results/weights/pill-reader.safetensors").image_size == 64
    assert "reader" not in told["settings"] and "detector" not in reader["settings"]
    assert "Nothing to be done" in snakemake(tmp_path)
