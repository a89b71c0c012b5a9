"""A photograph of mode `single` that shows more than one pill: the best box is answered, and the rest is told."""

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from pillsnap.cli import app
from pillsnap.pictures.scaled_photo import ScaledPhoto
from pillsnap.predict import model
from pillsnap.predict.formats import MORE
from pillsnap.predict.model import PillSnap
from tests.support.enrolled import edited, photos

PHOTO = photos(1, drug=0)[0].data


@pytest.fixture
def models(base: Path, tmp_path: Path) -> Callable[[float], Path]:
    """Makes models whose boxes count in combinations from a score on; in a `single`, any box does."""

    def make(min_score: float) -> Path:
        def edit(_: Any, facts: dict[str, Any]) -> None:
            facts.update(min_score=min_score, min_score_single=0.0)

        return edited(base, tmp_path / f"onnx{min_score}", edit)

    return make


def test_the_answer_is_the_same_whether_or_not_there_are_more(models: Callable[[float], Path]) -> None:
    one, several = (PillSnap.load(models(score), threads=1, device="cpu") for score in (1.1, 0.0))
    alone, first, all_pills = one.identify(PHOTO), several.identify(PHOTO), several.identify(PHOTO, "combo")
    assert len(alone.pills) == len(first.pills) == 1 < len(all_pills.pills)
    assert alone.pills == first.pills
    assert (alone.more_pills, first.more_pills, all_pills.more_pills) == (False, True, False)


def test_the_photograph_has_the_pixels_that_the_answered_pill_needs(
    models: Callable[[float], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A small box besides decides nothing."""
    asked = []

    def fitting(photo: ScaledPhoto, boxes: np.ndarray, facts: dict[str, Any]) -> ScaledPhoto:
        asked.append(len(boxes))
        return photo

    monkeypatch.setattr(model, "fitting", fitting)
    assert PillSnap.load(models(0.0), threads=1, device="cpu").identify(PHOTO).more_pills
    assert asked == [1]


@pytest.mark.parametrize(
    ("min_score", "mode", "more"), [(0.0, "single", True), (1.1, "single", False), (0.0, "combo", False)]
)
def test_every_format_tells(
    models: Callable[[float], Path], tmp_path: Path, min_score: float, mode: str, more: bool
) -> None:
    (tmp_path / "12.jpg").write_bytes(PHOTO)
    words = ["predict", str(tmp_path / "12.jpg"), "--models", str(models(min_score)), "--mode", mode]
    done = {
        form: CliRunner().invoke(app, [*words, "--format", form], env={"COLUMNS": "200"})
        for form in ("table", "json", "jsonl", "csv", "submission")
    }
    said = {form: one.stdout for form, one in done.items()}
    assert ("12.jpg: shows more pills" in done["submission"].stderr) is more
    assert (MORE in said["table"]) is more
    assert [json.loads(said[form])["more_pills"] for form in ("json", "jsonl")] == [more, more]
    cells = {row["more_pills"] for row in csv.DictReader(io.StringIO(said["csv"].removeprefix("\ufeff")))}
    assert cells == {str(more).lower()}
