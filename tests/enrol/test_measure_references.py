"""What enrolled drugs are worth is measured on pills that share nothing with their references."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pillsnap.answers.answer import Candidate, Pill
from pillsnap.answers.calibration import Calibration
from pillsnap.enrol.measure_references import DRAWS, Found, measure_enrolled, measure_references
from pillsnap.files import read_json, sha256_of
from pillsnap.tables.files import read_table, write_table
from pillsnap.tables.schemas import MANIFEST
from tests.support.models import UNSEEN_OF, onnx_models, tiny_stage

CALIBRATION = Calibration(1.0, 0.9, 5.0, 10.0, {"0.95": 0.1}, 0.99, 0.95, 0.95)
TRAINED = Candidate("K-000001", (), "a", 0.95)


def pills(k_code: str, at: tuple[float, float], verdict: str, distance: float, *, groups: str = "abc") -> list[Found]:
    """A pill in each group, all at one place and at one distance of the only trained drug."""
    pill = Pill((0, 0, 1, 1), 0.9, verdict, (TRAINED,), () if verdict == "unknown" else (TRAINED,))
    outputs = {"features": np.array(at, np.float32), "distances": np.float32(distance)}
    return [Found(k_code, f"{k_code}{group}", outputs, pill) for group in groups]


ONE, TWO = pills("K-000101", (40.0, 0.0), "unknown", 40.0), pills("K-000102", (0.0, 40.0), "unknown", 40.0)
OWN = pills("K-000001", (0.0, 0.0), "known", 1.0)


def test_drugs_that_lie_apart_are_named_and_cost_nothing() -> None:
    found = measure_enrolled([*ONE, *TWO], OWN, CALIBRATION, 2, seed=1)
    assert (found["references"], found["drugs"], found["pills"]) == (2, 2, 2 * DRAWS)
    assert [found[name] for name in ("top1", "least", "most", "spread", "in_set", "right")] == [1, 1, 1, 0, 1, 1]
    assert [found[name] for name in ("unknown", "known", "mistaken")] == [0, 0, 0]
    assert found["trained"] == {"pills": 3 * DRAWS, "top1": 1, "known": 1, "known_right": 1}


def test_drugs_that_lie_on_others_are_told() -> None:
    """One where another new drug lies, one where the trained drug lies."""
    twin = pills("K-000103", (40.0, 0.0), "unknown", 40.0)
    found = measure_enrolled([*ONE, *twin], OWN, CALIBRATION, 1, seed=1)
    assert (found["top1"], found["least"], found["most"], found["spread"]) == (0.5, 0, 1, 0.5)
    assert (found["right"], found["in_set"], found["mistaken"]) == (0.5, 1, 1)
    like = pills("K-000104", (0.0, 0.0), "known", 1.0)
    found = measure_enrolled(like, OWN, CALIBRATION, 1, seed=1)
    assert (found["top1"], found["known"], found["mistaken"]) == (1, 0, None)
    assert found["trained"] == {"pills": 3 * DRAWS, "top1": 0, "known": 0, "known_right": None}


def test_no_pill_is_answered_that_shares_a_group_with_a_reference() -> None:
    same = pills("K-000101", (40.0, 0.0), "unknown", 40.0, groups="aaab")
    found = measure_enrolled(same, [], CALIBRATION, 1, seed=1)
    # the reference is one of three of a group, and the fourth is asked; or the fourth, and the three are asked
    assert found["pills"] in {count + 3 * (DRAWS - count) for count in range(DRAWS + 1)}
    few = measure_enrolled(same, OWN, CALIBRATION, 4, seed=1)
    assert few["drugs"] == few["pills"] == 0 and few["top1"] is few["least"] is few["mistaken"] is None


def job(base: Path, references: Path, **changes: Any) -> dict[str, Any]:
    stage = tiny_stage(base)
    return {
        "models": onnx_models(base),
        "manifest": stage.manifest["test"],
        "unseen": stage.manifest["unseen"],
        "prepared": [stage.prepared],
        "references": references,
        "min_iou": 1e-3,  # the tiny detector is untrained
        "seed": 3,
        "device": "cpu",
        "threads": 1,
    } | changes


def test_held_out_drugs_of_the_test_half_are_measured(base: Path, tmp_path: Path) -> None:
    measure_references(**job(base, tmp_path / "one.json"))
    measure_references(**job(base, tmp_path / "two.json", threads=2))
    assert sha256_of(tmp_path / "one.json") == sha256_of(tmp_path / "two.json")
    found = read_json(tmp_path / "one.json")
    _, photos = UNSEEN_OF["unseen_test"]
    assert (found["drugs"], found["draws"]) == (1, DRAWS) and 0 < found["pills"] <= photos
    assert found["trained"]["pills"] > 0
    for one in found["numbers"]:
        assert one["pills"] == DRAWS * (found["pills"] - one["references"])
        assert one["trained"]["pills"] == DRAWS * found["trained"]["pills"]
    assert [one["references"] for one in found["numbers"]] == [n for n in (1, 2) if n < found["pills"]]


@pytest.mark.parametrize("split", ["unseen_val", "none"])
def test_nothing_held_out_measures_nothing(base: Path, tmp_path: Path, split: str) -> None:
    held_out = read_table(tiny_stage(base).manifest["unseen"], MANIFEST)
    write_table(held_out[held_out["split"] == split].reset_index(drop=True), tmp_path / "unseen.csv", MANIFEST)
    measure_references(**job(base, tmp_path / "found.json", unseen=tmp_path / "unseen.csv"))
    found = read_json(tmp_path / "found.json")
    assert (found["drugs"], found["pills"], found["numbers"]) == (0, 0, [])
