"""A run that is killed in the middle of a long job ends well when the same command is given again."""

import os
import shutil
import signal
import subprocess
import time
from base64 import urlsafe_b64encode
from pathlib import Path

import pytest

from pillsnap.files import sha256_of
from tests.support.workflow import Workflow

TARGET = "results/stage4/classifier/best.safetensors"


@pytest.fixture(scope="module")
def workflow(tmp_path_factory) -> Workflow:
    """A copy with everything before the trainings made."""
    made = Workflow.copy_to(tmp_path_factory.mktemp("killed") / "project")
    config = made.folder / "config.yaml"
    config.write_text(config.read_text().replace("epochs: 1\n", "epochs: 3\n").replace("epochs: 2\n", "epochs: 12\n"))
    made.snakemake(target="results/stage4/yolo")
    return made


def start_and_kill_when(workflow: Workflow, seen, *, whole_group: bool, target: str = TARGET) -> None:
    """Start Snakemake, wait until `seen()`, and kill it: with all its children, or alone."""
    words = ["snakemake", "--cores", "2", "--", target]
    run = subprocess.Popen(
        words, cwd=workflow.folder, env=workflow.environment, start_new_session=True, stderr=subprocess.DEVNULL
    )
    try:
        deadline = time.monotonic() + 240
        while not seen():
            assert run.poll() is None and time.monotonic() < deadline, "the job was not seen to begin"
            time.sleep(0.01)
    finally:
        (os.killpg if whole_group else os.kill)(run.pid, signal.SIGKILL)
        run.wait()


def test_killed_while_preparing(workflow) -> None:
    """Half an archive is never taken for a whole one, and the same command ends with the same bytes."""
    results, target = workflow.folder / "results/stage4", "results/stage4/manifest/train.csv"
    shutil.rmtree(results / "prepared/composed")  # scenes are no part of the target
    made = {name: sha256_of(results / name) for name in ("prepared", "manifest")}
    shutil.rmtree(results / "prepared")
    shutil.rmtree(results / "manifest")
    half = (results / "prepared").glob
    start_and_kill_when(
        workflow,
        lambda: any(shard.stat().st_size > 0 for shard in half(".*.part/photos.bin")),
        whole_group=True,
        target=target,
    )
    assert list(half(".*.part")), "killed in the middle of an archive"
    assert not (results / "manifest").exists()
    assert "LockException" in workflow.snakemake(target=target, check=False)
    workflow.snakemake("--unlock", target=target)
    workflow.snakemake(target=target)
    assert {name: sha256_of(results / name) for name in made} == made
    assert not list(workflow.folder.rglob("*.part"))
    workflow.snakemake(target="results/stage4/yolo")


def test_killed_while_checking_the_machine(workflow) -> None:
    """Snakemake's note that the check has begun hides no other job: one run makes everything that is missing."""
    target = "results/stage4/manifest/train.csv"
    shutil.rmtree(workflow.folder / "results/stage4/manifest")
    shutil.rmtree(workflow.folder / "results/stage4/prepared")
    note = workflow.folder / ".snakemake/incomplete" / urlsafe_b64encode(b"results/stage4/preflight.json").decode()
    note.write_text("{}")
    assert workflow.planned(target=target) == {"check_machine", "prepare_archive", "build_manifest"}
    workflow.snakemake(target=target)
    assert (workflow.folder / target).is_file()
    assert workflow.planned(target=target) == set()
    workflow.snakemake(target="results/stage4/yolo")


@pytest.mark.parametrize(("model", "whole_group"), [("detector", True), ("classifier", True), ("classifier", False)])
def test_killed_training(workflow, model, whole_group) -> None:
    work, results = (workflow.folder / part / "stage4" for part in ("work", "results"))
    state = work / f"train_{model}"
    subprocess.run(["rm", "-rf", str(results / model), str(state)], check=True)
    start_and_kill_when(workflow, (state / "last.pt").is_file, whole_group=whole_group)
    assert not (results / model).exists() or not list((results / model).glob("best.*"))
    assert "LockException" in workflow.snakemake(target=TARGET, check=False)
    workflow.snakemake("--unlock", target=TARGET)
    workflow.snakemake(target=TARGET)
    log = _text(workflow.folder / "logs" / "stage4" / f"train_{model}.log")
    if whole_group:
        assert "resuming after epoch" in log
    assert (workflow.folder / TARGET).is_file()
    assert workflow.planned(target=TARGET) == set()
    assert not list(workflow.folder.rglob("*.part"))


def _text(path: Path) -> str:
    return path.read_text() if path.is_file() else ""
