"""Photographs of folders, which have no boxes: whole, or found by a detector; what is found is said everywhere."""

from pathlib import Path

import numpy as np
import pytest

from pillsnap.detector.find_box import surest_box
from pillsnap.pages.box_sources import box_sources
from pillsnap.pictures.box_finder import BoxFinder
from pillsnap.sources.labels import LabelError
from pillsnap.sources.settings import Source
from tests.support.archives import DataRun, photo_png, prepare_source

ONE, SAME, OTHER = [10, 10, 20, 20], [12, 10, 20, 20], [60, 60, 20, 20]


def folders(root: Path) -> Source:
    """Two classes of photographs of 97 x 128 pixels."""
    for number in range(24):
        photo = root / f"{'ab'[number % 2]}/{number}.png"
        photo.parent.mkdir(parents=True, exist_ok=True)
        photo.write_bytes(photo_png(1, seed=number))
    return Source(kind="folders", root=str(root), box="whole")


def prepared(folder: Path, finder: BoxFinder) -> DataRun:
    run = prepare_source(folders(folder / "raw"), folder / "results", box_finder=finder)
    run.build_manifest()
    return run


def test_whole_photographs(tmp_path) -> None:
    run = prepared(tmp_path, BoxFinder())
    pills = run.pills()
    assert len(pills) == 24 and set(pills["k_code"]) == {"a", "b"}
    assert (pills[["x", "y", "w", "h"]].to_numpy() == [0, 0, 97, 128]).all()
    assert run.summary()["boxes"] == {"photos": {"from": "whole", "pills": 24}}
    (words,) = box_sources(run.summary())
    assert words.startswith("The boxes of 24 pills are whole photographs: no label says where the pills are.")


def test_boxes_that_are_found(tmp_path) -> None:
    """A detector that sees the one pill, but in the darkest photograph nothing."""

    def find(picture: np.ndarray) -> tuple[float, float, float, float]:
        if picture[0, 0, 0] == 40:
            raise LabelError("pill_not_found", "no detection")
        return 8.0, 12.0, 31.0, 24.0

    facts = {"from": "detector", "weights": "best.pt", "sha256": "ab" * 32, "min_score": 0.25}
    run = prepared(tmp_path, BoxFinder(find, facts))
    pills = run.pills()
    assert len(pills) == 23 and (pills[["x", "y", "w", "h"]].to_numpy() == [8, 12, 31, 24]).all()
    assert run.summary()["photos"]["quarantined"] == {"photo_without_usable_label": 1}
    assert run.summary()["labels"]["quarantined"] == {"pill_not_found": 1}
    (words,) = box_sources(run.summary())
    assert words.startswith(f"The boxes of 23 pills were found by a detector (best.pt, SHA-256 {'ab' * 32}, score 0.25")


@pytest.mark.parametrize(
    ("found", "outcome"),
    [
        ([[*ONE, 0.9]], ONE),
        ([[*OTHER, 0.3], [*ONE, 0.9]], ONE),
        ([[*ONE, 0.9], [*SAME, 0.8]], ONE),
        ([[*ONE, 0.9], [*OTHER, 0.6]], "several_pills_found"),
        ([[*ONE, 0.2]], "pill_not_found"),
        ([], "pill_not_found"),
        ([[10, 10, 20, 2, 0.9]], "bbox_too_small"),
    ],
)
def test_the_surest_box_counts_where_it_is_clearly_so(found, outcome) -> None:
    if isinstance(outcome, list):
        assert list(surest_box(found)) == outcome
    else:
        with pytest.raises(LabelError, match=outcome):
            surest_box(found)
