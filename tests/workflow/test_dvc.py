"""DVC records what Snakemake made, repeats it, and brings it back elsewhere, from a folder or over SSH."""

import filecmp
import json
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.support.sshd import sshd
from tests.support.workflow import AFTER_BENCHMARK, AFTER_CROPS, AFTER_DETECTOR, AFTER_MANIFEST, Workflow

PULLED = ("stage@stage4", "index", "raw")


def make_pull(workflow: Workflow, *, check: bool = True) -> str:
    """`make pull` with the environment of the tests; must fail where `check` is off."""
    words = ["make", "--old-file=.venv/installed", "--old-file=env", "pull", "STAGE=stage4"]
    if check:
        return workflow.run(*words)
    said = workflow.run("bash", "-c", f'{" ".join(words)}; echo "ended with $?"', check=False)
    assert said.endswith("ended with 2\n"), said
    return said


def first_json(said: str) -> dict:
    """DVC warns beside its JSON that the other stages are not made."""
    return json.JSONDecoder().raw_decode(said[said.index('{"') :])[0]


def push_and_pull(workflow: Workflow, folder: Path, address: str, settings: dict[str, str]) -> None:
    """Push to a remote, pull from there into a clone in `folder`, and compare every file."""
    clone = workflow.clone(folder)
    for one in (workflow, clone):
        one.run_quickly("dvc", "remote", "add", "--local", "far", address)
        for key, value in settings.items():
            one.run_quickly("dvc", "remote", "modify", "--local", "far", key, value)
    workflow.run_quickly("dvc", "push", "--remote", "far", *PULLED)
    workflow.run_quickly("dvc", "remote", "remove", "--local", "far")
    clone.run_quickly("dvc", "remote", "default", "--local", "far")
    make_pull(clone)
    assert_nothing_to_do(clone)
    for place in ("data/raw", "results/index", "results/stage4"):
        pulled = [file for file in (clone.folder / place).rglob("*") if file.is_file()]
        assert pulled
        for file in pulled:
            assert filecmp.cmp(file, workflow.folder / file.relative_to(folder), shallow=False), file


def assert_nothing_to_do(workflow: Workflow) -> None:
    assert "Data and pipelines are up to date" in workflow.run_quickly("dvc", "status", *PULLED)
    assert workflow.planned() == set()


@pytest.fixture(scope="module")
def recorded(made: Workflow, tmp_path_factory) -> Workflow:
    """A copy of what `dvc repro` made of stage4, committed and pushed to a remote in a folder."""
    folder = tmp_path_factory.mktemp("recorded")
    workflow = made.copy(folder / "project")
    workflow.run_quickly("dvc", "remote", "add", "--default", "store", str(folder / "store"))
    workflow.run_quickly("dvc", "push", *PULLED)
    workflow.commit("Stage 4")
    workflow.run("git", "branch", "first")
    return workflow


@pytest.fixture(scope="module")
def clone(recorded, tmp_path_factory) -> Workflow:
    """Another clone, after `make pull`; tests leave it as they found it."""
    workflow = recorded.clone(tmp_path_factory.mktemp("clone") / "project")
    make_pull(workflow)
    return workflow


def test_repro_again_does_nothing(recorded) -> None:
    assert "up to date" in recorded.run_quickly("dvc", "repro", "stage@stage4")
    assert recorded.planned() == set()


def test_every_stage_is_a_dvc_stage_of_its_own_target(recorded) -> None:
    listed = recorded.run_quickly("dvc", "stage", "list", "--name-only").split()
    assert listed == ["raw", "index", *(f"stage@stage{number}" for number in range(1, 5))]
    said = recorded.run_quickly("dvc", "repro", "--dry")
    for number in range(1, 4):
        assert f"snakemake --cores all -- results/stage{number}/report.html" in said
    assert "Stage 'stage@stage4' didn't change, skipping" in said


def test_the_record_holds_checkpoints(recorded) -> None:
    lock = yaml.safe_load((recorded.folder / "dvc.lock").read_text())["stages"]["stage@stage4"]
    hashes = {out["path"]: out["md5"] for out in lock["outs"]}
    cache = recorded.folder / ".dvc/cache/files/md5"
    for name, weights in (("detector", {"best.safetensors", "best.pt"}), ("classifier", {"best.safetensors"})):
        tree = hashes[f"results/stage4/{name}"]
        listed = json.loads((cache / tree[:2] / tree[2:]).read_text())
        assert weights <= {file["relpath"] for file in listed}
        assert all((cache / file["md5"][:2] / file["md5"][2:]).is_file() for file in listed)


def test_metrics_are_shown(recorded) -> None:
    shown = first_json(recorded.run_quickly("dvc", "metrics", "show", "--json"))
    metrics = shown[""]["data"]["results/stage4/metrics.json"]["data"]
    assert 0 <= metrics["classifier"]["top1"] <= 1


def test_plots_are_written(recorded) -> None:
    recorded.run_quickly("dvc", "plots", "show")
    page = (recorded.folder / "dvc_plots" / "index.html").read_text(encoding="utf-8")
    assert "Detector" in page and "Classifier" in page


def test_pull_into_a_fresh_clone_leaves_nothing_to_do(clone) -> None:
    assert_nothing_to_do(clone)


def test_raw_archives_take_their_space_once_and_results_can_be_changed_without_harm(clone, tmp_path) -> None:
    (tmp_path / "file").touch()
    words = ["cp", "--reflink=always", tmp_path / "file", tmp_path / "other"]
    if subprocess.run(words, capture_output=True).returncode == 0:
        pytest.skip("this file system has reflinks, which are neither copies nor hard links")
    folders = ("data/raw", "results/stage4", "results/index")
    files = {name: [file for file in (clone.folder / name).rglob("*") if file.is_file()] for name in folders}
    links = {name: {file.stat().st_nlink for file in files[name]} for name in folders}
    assert min(links["data/raw"]) >= 2
    assert links["results/stage4"] == links["results/index"] == {1}


@pytest.mark.parametrize(
    ("change", "rules"),
    [
        ("prepare.photo_quality=80", {"prepare_archive", "build_manifest"} | AFTER_MANIFEST),
        ("detector.epochs=2", AFTER_DETECTOR),
        ("classifier.label_smoothing=0.06", AFTER_CROPS),
        ("stages.stage4.targets.top1=0.5", AFTER_BENCHMARK),
    ],
)
def test_after_a_pull_a_changed_value_reruns_just_what_depends_on_it(clone, change, rules) -> None:
    config = clone.folder / "config.yaml"
    before = config.read_bytes()
    clone.change(change)
    try:
        assert clone.planned() == rules
    finally:
        config.write_bytes(before)


def test_an_unrecorded_configuration_is_refused(recorded, tmp_path) -> None:
    other = recorded.clone(tmp_path / "project")
    other.change("classifier.label_smoothing=0.06")
    said = make_pull(other, check=False)
    assert "Nothing is marked as done." in said
    assert "stage@stage4: changed deps: config.yaml: classifier: modified" in said
    assert "'modified': revert the change, or make the stage again and record it" in said
    assert not (other.folder / ".snakemake/metadata").exists()


@pytest.mark.campaign
def test_a_hand_edited_output_is_refused_and_kept(clone) -> None:
    edited, report = (clone.folder / "results/stage4" / name for name in ("manifest/train.csv", "report.html"))
    content, marked = edited.read_bytes(), report.stat().st_mtime_ns
    edited.write_bytes(content + b"one,more,row\n")
    try:
        said = make_pull(clone, check=False)
        assert "Can't remove the following unsaved files" in said and "results/stage4/manifest/train.csv" in said
        assert "stage@stage4: changed outs: results/stage4/manifest: modified" in said
        assert edited.read_bytes() != content and report.stat().st_mtime_ns == marked
    finally:
        edited.unlink()
    make_pull(clone)
    assert edited.read_bytes() == content
    assert_nothing_to_do(clone)


@pytest.mark.campaign
def test_a_missing_remote_and_a_missing_object_are_refused(recorded, tmp_path) -> None:
    other = recorded.clone(tmp_path / "project")
    other.run_quickly("dvc", "remote", "remove", "store")
    said = make_pull(other, check=False)
    assert "Nothing is marked as done.\n  There is no remote: dvc remote add --default NAME PLACE" in said
    other.run_quickly("dvc", "config", "core.remote", "elsewhere")
    said = make_pull(other, check=False)
    assert "Nothing is marked as done." in said and "'elsewhere'" in said and "Traceback" not in said
    store = shutil.copytree(recorded.folder.parent / "store", tmp_path / "store")
    other.run_quickly("dvc", "remote", "add", "--default", "--force", "store", str(store))
    lock = yaml.safe_load((recorded.folder / "dvc.lock").read_text())["stages"]["stage@stage4"]
    page = next(out["md5"] for out in lock["outs"] if out["path"].endswith("report.html"))
    (store / "files/md5" / page[:2] / page[2:]).unlink()
    said = make_pull(other, check=False)
    assert "Nothing is marked as done." in said
    assert "stage@stage4: changed outs: results/stage4/report.html: not in cache" in said
    assert f"'not in cache': the remote store ({store}) lacks it (`dvc push` where the results are)" in said
    assert not (other.folder / ".snakemake/metadata").exists()


@pytest.mark.campaign
def test_pull_over_ssh(recorded, tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))  # neither keys nor settings of whoever runs this
    with sshd(tmp_path) as server:
        push_and_pull(recorded, tmp_path / "project", f"{server.address}{tmp_path}/far", {"keyfile": str(server.key)})
        assert "Accepted publickey" in (tmp_path / "log").read_text()


@pytest.mark.campaign
def test_other_branch_made_by_snakemake_is_recorded_only_and_switched_to_and_back(recorded, clone) -> None:
    recorded.run("git", "switch", "--quiet", "--create", "second")
    recorded.change("audit.pictures=1")
    recorded.snakemake()
    said = recorded.run_quickly("dvc", "repro", "stage@stage4")
    assert "Nothing to be done" in said and "Updating lock file" in said
    recorded.run_quickly("dvc", "push", *PULLED)
    recorded.commit("Fewer pictures")
    clone.run("git", "fetch", "--quiet")
    for branch in ("second", "first"):
        clone.run("git", "switch", "--quiet", branch)
        make_pull(clone)
        assert_nothing_to_do(clone)


@pytest.mark.campaign
def test_experiment_makes_what_a_changed_value_needs_and_is_compared(clone) -> None:
    said = clone.run_quickly("dvc", "exp", "run", "--set-param", "config.yaml:classifier.epochs=3", "stage@stage4")
    assert "rule train_classifier:" in said and "rule train_detector:" not in said
    assert_nothing_to_do(clone)
    rows = first_json(clone.run_quickly("dvc", "metrics", "diff", "--all", "--json"))["results/stage4/metrics.json"]
    assert rows["detector.map50"]["old"] == rows["detector.map50"]["new"]
    assert rows["classifier.top1"].keys() >= {"old", "new"}
    clone.run_quickly("dvc", "plots", "diff")
    page = (clone.folder / "dvc_plots" / "index.html").read_text(encoding="utf-8")
    assert "HEAD" in page and "workspace" in page
    assert "classifier.epochs" in clone.run_quickly("dvc", "exp", "show", "--csv")
