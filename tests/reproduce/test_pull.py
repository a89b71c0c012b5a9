"""What `make pull` says where DVC can tell nothing of a stage; what it takes for recorded."""

import json
import shutil
from pathlib import Path

import pytest
from dvc.repo import Repo

from pillsnap.reproduce.pull import _raw, environment_of_record, main
from pillsnap.workflow.provenance import write_record
from tests.support.repositories import project_in, run
from tests.support.workflow import PROJECT

STAGES = "stages:\n  index: {cmd: 'true'}\n  stage:\n    foreach: [stage1]\n    do: {cmd: 'true'}\n"
UNREADABLE = {
    "no such stage": (STAGES, "", "stage9", "'stage@stage9' not found"),
    "a merge's marks": (STAGES, "<<<<<<< HEAD\nstages: {\n", "stage1", "unable to read: 'dvc.lock'"),
    "a damaged dvc.yaml": (STAGES + "  x: [", "", "stage1", "unable to read: 'dvc.yaml'"),
}


@pytest.mark.parametrize(("stages", "lock", "stage", "says"), UNREADABLE.values(), ids=UNREADABLE)
def test_what_dvc_cannot_read_is_told_with_a_cure(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    stages: str,
    lock: str,
    stage: str,
    says: str,
) -> None:
    project = project_in(tmp_path, "project")
    (project / "dvc.yaml").write_text(stages)
    if lock:
        (project / "dvc.lock").write_text(lock)
    monkeypatch.chdir(project)
    assert main(stage) == 1
    said = capsys.readouterr().err
    assert said.startswith("Nothing is marked as done.\n") and says in said and "git checkout COMMIT" in said


def test_outside_a_repository_it_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main("stage4") == 1
    assert "not inside of a DVC repository" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("recorded", "now", "kept"),
    [([], "a", False), ([], "", True), (["a"], "a", True), (["a"], "b", False), (["a"], "", False)],
)
def test_real_photographs_that_no_record_names_are_new_to_snakemake(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, recorded: list[str], now: str, kept: bool
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copy2(PROJECT / "config.yaml", tmp_path)
    for name in ("a", "b"):
        (tmp_path / name / "set").mkdir(parents=True)
        (tmp_path / name / "set/photo.jpg").write_text(name)
    write_record(
        Path("results/stage1/provenance/evaluate_away.json"),
        rule="evaluate_away", inputs={"models": "config.yaml", "photos": [Path(name, "set") for name in recorded]},
        outputs={}, code=[], settings={}, seconds=1.0,
    )  # fmt: skip
    monkeypatch.setenv("PILLSNAP_REAL_DATA", now)
    assert ("PILLSNAP_REAL_DATA" in environment_of_record("stage1")) is kept


def test_a_stage_without_such_a_record_keeps_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PILLSNAP_REAL_DATA", "a")
    assert environment_of_record("stage1")["PILLSNAP_REAL_DATA"] == "a"


def test_what_a_stage_names_beside_its_sources_is_brought_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project = project_in(tmp_path, "project")
    for name in ("pills", "grounds"):
        (project / "data" / name).mkdir(parents=True)
        (project / "data" / name / "photo.jpg").write_text(name)
    run("dvc", "add", "--quiet", "data/pills", "data/grounds", folder=project)
    index = {"cmd": "true", "deps": ["data/pills"], "outs": ["index"]}
    stage = {"cmd": "true", "deps": ["index", "data/grounds"]}
    (project / "dvc.yaml").write_text(
        json.dumps({"stages": {"index": index, "stage": {"foreach": ["stage1"], "do": stage}}})
    )
    monkeypatch.chdir(project)
    with Repo() as repo:
        assert set(_raw(repo, "stage1")) == {"data/pills.dvc", "data/grounds.dvc"}
