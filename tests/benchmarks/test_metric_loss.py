"""benchmarks/metric_loss.py at a tiny size."""

import shutil
import sys
from pathlib import Path

import metric_loss
import numpy as np
import pytest
from known_outputs import Outputs, Stage

from pillsnap.files import read_json
from tests.support.models import tiny_stage


@pytest.mark.campaign
def test_every_loss_is_trained_and_told(
    tmp_path: Path, base: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    stage, tiny = tmp_path / "stage", tiny_stage(base)
    shutil.copytree(tiny.classes.parent, stage)
    (stage / "manifest").mkdir(exist_ok=True)
    shutil.copy(tiny.classes, stage / "manifest/classes.json")
    words = ["metric_loss.py", "--stages", str(stage), "--epochs", "1", "--out", str(tmp_path / "found")]
    monkeypatch.setattr(sys, "argv", words)
    metric_loss.main()
    result, page = read_json(tmp_path / "found.json"), (tmp_path / "found.md").read_text(encoding="utf-8")
    assert capsys.readouterr().out.strip() == page.strip() and "synthetic" in page
    assert list(result["losses"]) == list(metric_loss.LOSSES)
    for name, (found,) in result["losses"].items():
        assert 0 <= found["auroc_unseen"] <= 1 and f"{found['auroc_unseen']:.3f}" in page, name


def test_features_far_apart_tell_drugs_apart() -> None:
    random = np.random.default_rng(0)
    middles = 20 * random.normal(0, 1, (8, 16))

    def pills(drugs: np.ndarray, known: int) -> Outputs:
        features = (middles[drugs] + random.normal(0, 1, (len(drugs), 16))).astype(np.float32)
        return Outputs((features @ middles[:known].T).astype(np.float32), features, features, np.minimum(drugs, known))

    trained, new = np.repeat(np.arange(6), 20), np.repeat([6, 7], 12)
    parts = {"train": pills(trained, 6), "val": pills(trained, 6), "unseen_val": pills(new, 6)}
    stage = Stage(parts, middles[:6].astype(np.float32), np.zeros(6, np.float32))
    found = metric_loss.figures(stage, new.astype(str))
    assert found["auroc_unseen"] > 0.99 and found["auroc_left_out"] > 0.99 and found["enrolled"] > 0.99
    shuffled = metric_loss.figures(stage, random.permutation(new).astype(str))
    assert shuffled["enrolled"] < 0.8, "crops that are not of the drug enrol it badly"
