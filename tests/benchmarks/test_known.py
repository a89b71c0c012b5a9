"""benchmarks/known.py at a tiny size: its scores, and that its page tells them."""

import shutil
import sys
from pathlib import Path

import known
import known_outputs
import known_scores
import numpy as np
import pytest

from pillsnap.answers.calibrate_answers import fit_drug_space
from pillsnap.files import read_json
from tests.support.models import onnx_models, tiny_stage, trained_classifier


@pytest.mark.campaign
def test_scores_are_measured_and_told(
    tmp_path: Path, base: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    stage, tiny = tmp_path / "stage", tiny_stage(base)
    shutil.copytree(tiny.classes.parent, stage)
    shutil.copytree(onnx_models(base), stage / "onnx")
    shutil.copy(tiny.classes, stage / "manifest/classes.json")
    (stage / "classifier").mkdir()
    shutil.copy(trained_classifier(base)["best"], stage / "classifier/best.safetensors")
    monkeypatch.setattr(sys, "argv", ["known.py", "--stages", str(stage), "--out", str(tmp_path / "known")])
    known.main()
    result, page = read_json(tmp_path / "known.json"), (tmp_path / "known.md").read_text(encoding="utf-8")
    assert capsys.readouterr().out.strip() == page.strip() and "synthetic" in page
    assert {"train": 12, "val": 6, "unseen_val": 6}.items() <= result["pills"][0].items()
    for name, (found,) in result["scores"].items():
        assert 0 <= found["val"]["auroc_unseen_val"] <= 1 and f"{found['val']['auroc_unseen_val']:.3f}" in page, name
        assert (found["val"]["known"], found["test"]["right"]) == (0, None), "six validation pills promise nothing"


def test_the_chosen_score_is_the_one_that_models_compute() -> None:
    random = np.random.default_rng(0)
    targets = np.repeat(np.arange(6), 40)
    directions = random.normal(0, 1, (6, 8)).astype(np.float32)

    def pills(classes: np.ndarray) -> known_outputs.Outputs:
        features = (5 + 3 * directions[classes] + random.normal(0, 1, (len(classes), 8))).astype(np.float32)
        return known_outputs.Outputs(features @ directions.T, features, features[:, :4], classes)

    parts = {part: pills(targets) for part in ("train", "val", "unseen_val", "test", "unseen_test")}
    found = known_scores.scores(known_outputs.Stage(parts, directions, np.zeros(6, np.float32)))
    space = fit_drug_space(parts["train"].features, targets, 6)
    features = parts["test"].features
    assert found[known_scores.CHOSEN]["test"] == pytest.approx(space.relative_distances(features), abs=0.02)
    assert found[known_scores.NOW]["test"] == pytest.approx(space.distances(features), abs=0.02)
    for name, score in found.items():
        assert set(score) == set(known_scores.PARTS) and np.isfinite(np.concatenate(list(score.values()))).all(), name
        # a softmax can be as sure of another drug where its own is not among them
        assert score["left_out"].mean() > score["val"].mean() or name == "1 - probability", name
