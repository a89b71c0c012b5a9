"""DVC records what Snakemake made, repeats it, and brings it back in another clone."""

import json

import pytest
from workflow import Workflow

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def recorded(tmp_path_factory) -> Workflow:
    """A copy in which `dvc repro` made stage4, committed and pushed to a remote in a folder."""
    folder = tmp_path_factory.mktemp("recorded")
    workflow = Workflow.copy_to(folder / "project")
    workflow.run("dvc", "repro", "stage@stage4")
    workflow.run("dvc", "remote", "add", "--default", "store", str(folder / "store"))
    workflow.run("dvc", "push", "stage@stage4", "index", "raw")
    workflow.run("git", "add", "--all")
    workflow.run("git", "-c", "user.name=t", "-c", "user.email=t@example.org", "commit", "--quiet", "-m", "Stage 4")
    return workflow


def test_repro_again_does_nothing(recorded) -> None:
    assert "up to date" in recorded.run("dvc", "repro", "stage@stage4")
    assert recorded.planned() == set()


def test_metrics_are_shown(recorded) -> None:
    said = recorded.run("dvc", "metrics", "show", "--json")
    # beside the JSON it warns that the other stages are not made
    shown, _ = json.JSONDecoder().raw_decode(said[said.index('{"') :])
    metrics = shown[""]["data"]["results/stage4/metrics.json"]["data"]
    assert 0 <= metrics["classifier"]["top1"] <= 1


def test_plots_are_written(recorded) -> None:
    recorded.run("dvc", "plots", "show")
    page = (recorded.folder / "dvc_plots" / "index.html").read_text(encoding="utf-8")
    assert "Detector" in page and "Classifier" in page


def test_pull_into_a_fresh_clone_leaves_nothing_to_do(recorded, tmp_path) -> None:
    recorded.run("git", "clone", "--quiet", str(recorded.folder), str(tmp_path / "clone"))
    clone = Workflow(tmp_path / "clone")
    clone.run("make", "--old-file=.venv/installed", "--old-file=env", "pull", "STAGE=stage4")
    assert clone.planned() == set()
    config = clone.folder / "config.yaml"
    before = config.read_text()
    config.write_text(before.replace("label_smoothing: 0.0\n", "label_smoothing: 0.06\n"))
    assert config.read_text() != before
    assert clone.planned() == {
        "train_classifier", "calibrate_answers", "export_onnx", "run_benchmark", "write_model_card", "write_report",
    }  # fmt: skip
