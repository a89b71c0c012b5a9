"""benchmarks/phone_photos.py: its page follows from its figures, what it measures is told, at a tiny size."""

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import phone_photos
import pytest
from PIL import Image

from pillsnap.files import read_json
from pillsnap.pictures.decode import decode_photo, encode_jpeg
from tests.support.models import draw_photo, onnx_models, tiny_stage, trained_classifier, untrained_checkpoint
from tests.support.workflow import PROJECT


def test_page_follows_from_its_figures() -> None:
    result = read_json(PROJECT / "benchmarks/phone_photos.json")
    assert (PROJECT / "benchmarks/phone_photos.md").read_text(encoding="utf-8") == phone_photos.page(result)


def test_a_phone_shows_the_same_photograph(tmp_path: Path) -> None:
    picture = draw_photo([0, 1, 2], seed=5, width=300, height=400)[0]
    file = tmp_path / "phone.jpg"
    file.write_bytes(phone_photos.phone_photo(encode_jpeg(picture, 95)))
    with Image.open(file) as image:
        assert (image.size, image.getexif()[0x0112]) == ((4032, 3024), 6)
    upright = decode_photo(file.read_bytes())
    assert upright.shape == (4032, 3024, 3)
    assert np.abs(upright[5::13, 5::13].mean((0, 1)) - picture.mean((0, 1))).max() < 3


def test_spread_of_a_ratio() -> None:
    first = np.array([10.0, 20, 30, 40, 50])
    assert phone_photos.percentile(2 * first, first, 50) == {"ms": 60, "times": 2, "low": 2, "high": 2}
    found = phone_photos.percentile(first[::-1] + 5, first, 50)
    assert found["times"] == pytest.approx(35 / 30) and found["low"] < found["times"] < found["high"]


@pytest.mark.campaign
def test_ways_are_measured_and_told(tmp_path: Path, base: Path) -> None:
    stage, tiny = tmp_path / "stage", tiny_stage(base)
    shutil.copytree(tiny.classes.parent, stage)
    shutil.copytree(onnx_models(base), stage / "onnx")
    for source, place in (
        (untrained_checkpoint(base), "detector/best.pt"),
        (trained_classifier(base)["best"], "classifier/best.safetensors"),
    ):
        (stage / place).parent.mkdir()
        shutil.copy(source, stage / place)
    words = {"stage": stage, "photos": 2, "times": 2, "threads": 1, "out": tmp_path / "out"}
    command = [sys.executable, "benchmarks/phone_photos.py", *(f"--{name}={value}" for name, value in words.items())]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    result, page = read_json(tmp_path / "out.json"), (tmp_path / "out.md").read_text(encoding="utf-8")
    assert result["photos"] == 2 and result["pixels"] == 3024 * 4032
    assert result["times"]["single"]["reduced"]["n"] == 2
    assert f"| top1 | {result['reduced']['top1']:.4f} | {result['whole']['top1']:.4f} |" in page
