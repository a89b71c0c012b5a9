"""Results of photographs measured by several threads, and in batches on a GPU: those of one after the other."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from pillsnap.answers.accuracy import PhotoResult
from pillsnap.answers.answer import Answer
from pillsnap.benchmark.photo_results import (
    Labels,
    StoredPhoto,
    answer_of,
    for_each_batch,
    for_each_photo,
    measure_all,
    measure_backgrounds,
    measure_photo,
)
from pillsnap.manifest.stored_photos import stored_photos
from pillsnap.predict.unfused import SeparateSteps
from pillsnap.tables.files import read_table
from pillsnap.tables.schemas import MANIFEST
from tests.support.models import onnx_models, tiny_stage
from tests.support.played_card import PlayedCard


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
    monkeypatch.setattr("pillsnap.benchmark.photo_results.usable_threads", lambda threads: threads)

    def measure(data: bytes, rows: pd.DataFrame) -> PhotoResult:
        return measure_photo(steps, data, rows)

    single, several = (for_each_photo(measure, **source, threads=threads, title="test") for threads in (1, 3))
    assert [result.image_id for result in several] == sorted(set(source["pills"]["image_id"]))
    for one, other in zip(single, several, strict=True):
        assert one.answered > 0
        for name in ("found_boxes", "found_scores", "label_guesses", "answer_logits", "answer_distances"):
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
    assert len(result.label_guesses) == len(result.targets) == len(rows)


@pytest.mark.parametrize("most_pictures", [1024, 3])
def test_on_a_gpu_photographs_are_computed_in_batches_that_fit_into_its_memory(
    base: Path,
    steps: SeparateSteps,
    source: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
    most_pictures: int,
) -> None:
    monkeypatch.setattr("pillsnap.benchmark.photo_results.usable_threads", lambda threads: threads)
    card = PlayedCard(most_pictures).plug_in(monkeypatch, "pillsnap.predict.unfused")
    on_card = SeparateSteps.load(onnx_models(base), threads=1, device="cuda")

    def measure(photos: Sequence[StoredPhoto]) -> list[PhotoResult]:
        return measure_all(on_card, [data for data, _ in photos], [Labels.of_rows(rows) for _, rows in photos])

    found = for_each_batch(measure, **source, size=4, threads=3, title="test")
    expected = for_each_photo(lambda *photo: measure_photo(steps, *photo), **source, threads=1, title="test")
    assert sorted(card.batches["detector.onnx"]) == ([2, 4] if most_pictures > 4 else [2, 2, 2])
    assert max(card.batches["classifier.onnx"]) > 4 or most_pictures == 3
    for ours, theirs in zip(found, expected, strict=True):
        assert (ours.image_id, ours.domain, ours.answered) == (theirs.image_id, theirs.domain, theirs.answered)
        assert len(ours.targets) == len(ours.label_guesses)
        for name in ("found_boxes", "found_scores", "label_guesses", "answer_logits", "answer_distances"):
            np.testing.assert_allclose(getattr(ours, name), getattr(theirs, name), rtol=1e-3, atol=1e-3)


def test_what_one_photograph_lacks_is_not_taken_from_another(steps: SeparateSteps, source: dict[str, Any]) -> None:
    """Photographs without a pill, without a class and with both, in one batch."""
    photos = list(stored_photos(**source))[:3]
    labels = [Labels.of_rows(rows) for _, rows in photos]
    empty, unnamed = np.zeros((0, 4)), np.full(len(labels[1].targets), -1)
    labels[0] = Labels(labels[0].mode, labels[0].image_id, True, empty, np.zeros(0, int))
    labels[1] = Labels(labels[1].mode, labels[1].image_id, True, labels[1].boxes, unnamed)
    together = measure_all(steps, [data for data, _ in photos], labels)
    alone = [measure_all(steps, [data], [one])[0] for (data, _), one in zip(photos, labels, strict=True)]
    assert [len(one.label_guesses) for one in together] == [0, len(unnamed), len(labels[2].boxes)]
    assert not together[1].label_guesses.any() and together[2].label_guesses.any()
    for ours, theirs in zip(together, alone, strict=True):
        np.testing.assert_allclose(ours.label_guesses, theirs.label_guesses, rtol=1e-3, atol=1e-3)
        np.testing.assert_allclose(ours.answer_logits, theirs.answer_logits, rtol=1e-3, atol=1e-3)
    detected = measure_backgrounds(steps, photos)
    for background, one in zip(detected, together, strict=True):
        assert background.image_id == one.image_id and not len(background.boxes)
        np.testing.assert_allclose(background.found_scores, one.found_scores, rtol=1e-3, atol=1e-3)
