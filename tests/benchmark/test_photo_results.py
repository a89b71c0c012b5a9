"""Results of photographs measured by several threads: those of one after the other."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from pillsnap.answers.accuracy import PhotoResult
from pillsnap.answers.answer import Answer
from pillsnap.benchmark.photo_results import answer_of, for_each_photo, measure_photo
from pillsnap.manifest.stored_photos import stored_photos
from pillsnap.predict.unfused import SeparateSteps
from pillsnap.tables.files import read_table
from pillsnap.tables.schemas import MANIFEST
from tests.support.models import onnx_models, tiny_stage


@pytest.fixture(scope="module")
def steps(base: Path) -> SeparateSteps:
    return SeparateSteps.load(onnx_models(base), threads=1, device="cpu")


@pytest.fixture(scope="module")
def source(base: Path) -> dict[str, Any]:
    stage = tiny_stage(base)
    return {"pills": read_table(stage.manifest["test"], MANIFEST), "prepared": [stage.prepared]}


def test_threads_change_neither_order_nor_results(
    steps: SeparateSteps, source: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pillsnap.benchmark.photo_results.CHUNK", 4)
    monkeypatch.setattr("pillsnap.benchmark.photo_results.usable_threads", lambda threads: threads)

    def measure(data: bytes, rows: pd.DataFrame) -> PhotoResult:
        return measure_photo(steps, data, rows)

    single, several = (for_each_photo(measure, **source, threads=threads, title="test") for threads in (1, 3))
    assert [result.image_id for result in several] == sorted(set(source["pills"]["image_id"]))
    for one, other in zip(single, several, strict=True):
        assert one.answered > 0
        for name in ("found_boxes", "found_scores", "label_logits", "answer_logits", "answer_distances"):
            assert np.array_equal(getattr(one, name), getattr(other, name))


def test_answer_of_a_result_is_that_of_the_steps(steps: SeparateSteps, source: dict[str, Any]) -> None:
    def both(data: bytes, rows: pd.DataFrame) -> tuple[Answer, Answer]:
        result = measure_photo(steps, data, rows)
        return answer_of(result, steps), steps.identify(data, result.domain)

    answers = for_each_photo(both, **source, threads=1, title="test")
    assert len(answers) == 6
    for ours, theirs in answers:
        assert ours == theirs and ours.pills


def test_labelled_boxes_are_those_of_the_manifest(steps: SeparateSteps, source: dict[str, Any]) -> None:
    data, rows = next(stored_photos(**source))
    result = measure_photo(steps, data, rows)
    assert np.array_equal(result.boxes, rows[["x", "y", "w", "h"]])
    assert len(result.label_logits) == len(result.targets) == len(rows)
