"""Accuracy on the test photographs of each source."""

import numpy as np
import pandas as pd
import pytest

from pillsnap.answers.accuracy import PhotoResult, likeliest
from pillsnap.benchmark.by_source import metrics_by_source

BOXES = np.array([[10.0, 10, 20, 20], [50.0, 50, 20, 20]])


def photo(image_id: str, targets: list[int], named: list[int], *, found: int, labelled: bool = True) -> PhotoResult:
    """A photograph of some pills, of which the first ones are found; `named` are the classes of the labelled boxes."""
    logits = np.eye(3)[named]
    return PhotoResult(
        image_id=image_id,
        fully_labelled=labelled,
        width=100,
        height=100,
        boxes=BOXES[: len(targets)],
        found_boxes=BOXES[:found],
        found_scores=np.linspace(0.9, 0.8, found),
        domain="combo",
        targets=np.array(targets),
        label_guesses=likeliest(logits),
        answered=found,
        answer_logits=logits[:found],
        answer_distances=np.zeros(found),
    )


def test_each_source_has_its_own_figures() -> None:
    results = [
        photo("hub-A.1", [0, 1], [0, 2], found=2),
        photo("hub-A.2", [0], [0], found=1),
        photo("own-B.1", [2], [1], found=0),
        photo("boxes-C.1", [-1], [0], found=1, labelled=False),
        photo("whole-D.1", [0], [0], found=1),
    ]
    rows = [("hub-A.1", 0), ("hub-A.1", 1), ("hub-A.2", 0), ("own-B.1", 2), ("boxes-C.1", 7), ("whole-D.1", 0)]
    pills = pd.DataFrame(
        {
            "image_id": [image_id for image_id, _ in rows],
            "archive": [image_id.partition(".")[0] for image_id, _ in rows],
            "k_code": [f"K-{drug:06d}" for _, drug in rows],
        }
    )
    source_of = {"hub-A": "hub", "own-B": "own", "boxes-C": "boxes", "whole-D": "whole", "rest-E": "rest"}
    labelled = set(pills["image_id"]) - {"whole-D.1"}
    assert metrics_by_source(results, pills, labelled, source_of, 0.5) == {
        "hub": {
            "photos": 2,
            "drugs": 2,
            "pills": 3,
            "top1": pytest.approx(2 / 3),
            "map50": pytest.approx(1),
            "found": 1,
        },
        "own": {"photos": 1, "drugs": 1, "pills": 1, "top1": 0, "map50": 0, "found": 0},
        "boxes": {"photos": 1, "drugs": 1, "pills": 1, "top1": None, "map50": None, "found": 1},
        "whole": {"photos": 1, "drugs": 1, "pills": 1, "top1": 1, "map50": None, "found": None},
    }
