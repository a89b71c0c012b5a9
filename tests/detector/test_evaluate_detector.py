"""The detector measured alone: precision and recall at a score that validation chose, and what the pictures show."""

from pathlib import Path

import numpy as np
import pytest

from pillsnap.answers.accuracy import DetectorResult
from pillsnap.answers.outcome_captions import outcome_captions
from pillsnap.detector.evaluate_detector import evaluate_detector
from pillsnap.detector.operating_point import best_score, matched_at, operating_point
from pillsnap.files import read_json, write_json
from pillsnap.pictures.draw import PLAIN, RIGHT, WRONG
from pillsnap.tables.files import make_table, write_table
from pillsnap.tables.schemas import MANIFEST_BACKGROUNDS
from tests.support.detectors import write_untrained_detector
from tests.support.models import PHOTOS_OF, tiny_stage

ONE, TWO, BESIDE = (10.0, 10.0, 20.0, 20.0), (50.0, 50.0, 20.0, 20.0), (70.0, 10.0, 20.0, 20.0)


def result(labelled: list, found: dict, *, fully_labelled: bool = True) -> DetectorResult:
    """A photograph with its labels, and detections by score, best first."""
    boxes, scores = np.array(list(found.values()), float).reshape(-1, 4), np.array(list(found), float)
    return DetectorResult("a", fully_labelled, 100, 100, np.array(labelled, float).reshape(-1, 4), boxes, scores)


@pytest.mark.parametrize(
    ("results", "score", "expected"),
    [
        ([result([ONE, TWO], {0.9: ONE, 0.4: TWO})], 0.5, (1.0, 0.5, 2 / 3, 0.0)),
        ([result([ONE, TWO], {0.9: ONE, 0.4: TWO})], 0.4, (1.0, 1.0, 1.0, 0.0)),
        ([result([ONE], {0.9: ONE, 0.8: BESIDE})], 0.5, (0.5, 1.0, 2 / 3, 1.0)),
        ([result([ONE], {0.9: ONE, 0.8: ONE})], 0.5, (0.5, 1.0, 2 / 3, 1.0)),
        ([result([ONE], {0.9: ONE}), result([], {0.7: TWO})], 0.5, (0.5, 1.0, 2 / 3, 0.5)),
        ([result([ONE], {}, fully_labelled=False)], 0.5, (None, None, 0.0, None)),
        ([result([ONE], {})], 0.5, (None, 0.0, 0.0, 0.0)),
    ],
)
def test_operating_point(results, score, expected) -> None:
    found = operating_point(results, score, min_iou=0.5)
    values = (found["precision"], found["recall"], found["f1"], found["extra_per_photo"])
    assert values == pytest.approx(expected)


def test_the_score_is_that_of_the_best_f1_and_backgrounds_count() -> None:
    photo = result([ONE, TWO], {0.93: ONE, 0.42: TWO})
    assert best_score([photo], [], min_iou=0.5) == 0.05
    empty = [result([], {0.31: BESIDE}), result([], {0.31: BESIDE})]
    assert best_score([photo], empty, min_iou=0.5) == 0.35
    assert best_score([photo], [result([], {0.6: BESIDE})] * 3, min_iou=0.5) == 0.65


def test_captions() -> None:
    photo = result([ONE, TWO], {0.9: ONE, 0.8: BESIDE, 0.2: TWO})
    captions = outcome_captions(photo, 2, dict(matched_at(photo, 0.5, min_iou=0.5)))
    told = [(one.text, one.colour, tuple(one.box)) for one in captions]
    assert told == [("0.90", RIGHT, ONE), ("0.80", WRONG, BESIDE), ("", PLAIN, TWO)]


def test_both_parts_are_measured(base: Path, tmp_path: Path) -> None:
    """Random weights: every figure is there, and the pictures are."""
    stage = tiny_stage(base)
    write_untrained_detector(tmp_path / "best.safetensors", tmp_path / "work")
    write_table(make_table([], MANIFEST_BACKGROUNDS), tmp_path / "backgrounds.csv", MANIFEST_BACKGROUNDS)
    write_json(tmp_path / "summary.json", {})
    words = {"image_size": 64, "lowest_score": 0.001, "nms_iou": 0.5, "min_iou": 0.5, "device": "cpu", "threads": 1}
    evaluate_detector(
        manifest={split: stage.manifest[split] for split in ("val", "test")},
        backgrounds=tmp_path / "backgrounds.csv",
        summary=tmp_path / "summary.json",
        prepared=[stage.prepared],
        detector=tmp_path / "best.safetensors",
        evaluation=tmp_path / "evaluation",
        work=tmp_path / "work",
        **words,
    )
    found = read_json(tmp_path / "evaluation/evaluation.json")
    assert {part: one["photos"] for part, one in found["parts"].items()} == {
        part: PHOTOS_OF[part] for part in ("val", "test")
    }
    assert all(0 <= one["map50"] < 0.5 and one["recall"] is not None for one in found["parts"].values())
    assert [one["file"] for one in found["samples"]] == [f"samples/{n:02d}.jpg" for n in range(PHOTOS_OF["test"])]
    assert all((tmp_path / "evaluation" / one["file"]).stat().st_size > 500 for one in found["samples"])
    assert found["resources"]["model_bytes"] == {"best.safetensors": (tmp_path / "best.safetensors").stat().st_size}
