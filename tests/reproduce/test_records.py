"""What is said of two runs and of two files, and the way back from a file; with records made by hand."""

import dataclasses
import io
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from onnx import TensorProto, helper
from rich.console import Console
from safetensors.numpy import save
from typer.testing import CliRunner

from pillsnap.cli import app
from pillsnap.reproduce.diff import Run, compare
from pillsnap.reproduce.first_difference import first_difference
from pillsnap.reproduce.measured import is_measured, is_trained, measured_parts
from pillsnap.reproduce.records import Record, RecordError, read_records, recorded_outputs
from pillsnap.reproduce.trace import trace
from pillsnap.reproduce.verify import changed_data, changed_inputs, devices_of
from pillsnap.workflow.provenance import write_record
from tests.support.aihub_files import write_zip
from tests.support.repositories import commit, project_in
from tests.support.repositories import run as run_program


def parquet(**columns: list[Any]) -> bytes:
    stream = io.BytesIO()
    pd.DataFrame(columns).to_parquet(stream)
    return stream.getvalue()


TENSORS = {"a": np.zeros(3, np.float32), "b": np.ones((2, 2), np.float32)}
DIFFERENCES = [
    ("t.csv", b"k,x\n1,2\n3,4\n", b"k,x\n1,2\n3,5\n", "row 2, x: 4 / 5"),
    ("t.csv", b"k,x\n1,2\n", b"k,x\n1,2\n3,4\n", 'row 2: none / {"k": "3", "x": "4"}'),
    ("t.csv", b"k,x\n", b"k,y\n", 'columns: ["k", "x"] / ["k", "y"]'),
    ("t.csv", b"k\n1\n", b"k,x\n1,\n", 'columns: ["k"] / ["k", "x"]'),
    ("t.csv", b"k,x\n1,2\n", b"\xef\xbb\xbfk,x\r\n1,2\r\n", "the same content, stored differently"),
    ("t.json", b'{"a": 1, "b": 2}', b'{"b": 2, "a": 1}', "the same content, stored differently"),
    ("t.json", b'{"a": {"b": [1, 2]}}', b'{"a": {"b": [1, 3]}}', "a.b.1: 2 / 3"),
    ("t.json", b'{"a": 1}', b'{"a": 1, "b": 2}', "b: null / 2"),
    ("t.json", b'{"a": 1}', b"no json!", "byte 0"),
    ("t.parquet", parquet(x=[1, 2]), parquet(x=[1, 3]), "row 2, x: 2 / 3"),
    ("t.parquet", parquet(x=[1]), parquet(y=[1]), 'columns: ["x"] / ["y"]'),
    ("t.safetensors", save(TENSORS), save(TENSORS | {"a": np.array([0, 0.5, 0], np.float32)}),
     "tensor a: 1 of 3 values, by 0.5 at most"),
    ("t.safetensors", save(TENSORS), save({"a": TENSORS["a"]}), "tensor b: only in the first"),
    ("t.safetensors", save(TENSORS), save(TENSORS, {"seed": "1"}), "the same tensors, other metadata"),
    ("t.md", "one\n둘\n".encode(), "one\n셋\n".encode(), "line 2: 둘 / 셋"),
    ("t.bin", b"abc", b"abd", "byte 2"),
    ("t.jpg", b"abc", b"ab", "3 / 2 bytes"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "before", "after", "said"), DIFFERENCES)
def test_first_difference_is_told_in_the_files_own_terms(name: str, before: bytes, after: bytes, said: str) -> None:
    assert first_difference(name, before, after) == said
    assert first_difference(name, before, before) is None


def test_what_is_measured_does_not_count() -> None:
    history = [b"epoch,seconds,loss\n1,%d,0.5\n" % seconds for seconds in (7, 9)]
    assert first_difference("history.csv", *history, without=measured_parts("detector/history.csv")) is None
    assert first_difference("history.csv", *history) == "row 1, seconds: 7 / 9"
    metrics = [json.dumps({"latency": {"p50": ms}, "top1": 0.5}).encode() for ms in (1, 2)]
    assert first_difference("metrics.json", *metrics, without=measured_parts("metrics.json")) is None


def model(commit: str, **metadata: str) -> bytes:
    node = helper.make_node("Identity", ["x"], ["y"], name="copy")
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in "xy"]
    made = helper.make_model(helper.make_graph([node], "g", ends[:1], ends[1:]))
    helper.set_model_props(made, {"commit": commit, **metadata})
    return made.SerializeToString()


def test_an_onnx_file_of_another_commit_is_the_same_model() -> None:
    without = measured_parts("onnx/pipeline.onnx")
    assert first_difference("pipeline.onnx", model("a"), model("b"), without=without) is None
    assert first_difference("pipeline.onnx", model("a"), model("b")) == "metadata.commit: a / b"
    other = first_difference("pipeline.onnx", model("a", stage="stage4"), model("b", stage="stage3"), without=without)
    assert other == "metadata.stage: stage4 / stage3"


def test_a_record_of_another_machine_is_the_same_where_nothing_else_differs() -> None:
    records = [json.dumps({"rule": "plan_stage", "device": f"CPU: {name}", "seed": 576}).encode() for name in "ab"]
    for path in ("provenance/plan_stage.json", "provenance/index_archive/TS_1.json"):
        assert first_difference(path, *records, without=measured_parts(path)) is None


def test_another_number_of_cores_is_no_other_device() -> None:
    record = run().records["train_classifier"]
    cores = [dataclasses.replace(record, device=f"CPU: A (family 6, model 1), {number} cores") for number in (2, 16)]
    assert devices_of(cores) == {"CPU: A (family 6, model 1)"}
    assert devices_of([dataclasses.replace(record, device="NVIDIA H200")]) == {"NVIDIA H200"}


def test_only_the_documented_files_are_measured() -> None:
    assert is_measured("preflight.json") and is_measured("detector/resources.json") and is_measured("report.html")
    exact = ("manifest/train.csv", "plan.parquet", "crops/train.bin", "onnx/parity.json", "benchmark/accuracy.json")
    assert not any(is_measured(path) or measured_parts(path) for path in exact)
    assert is_trained("onnx/pipeline.onnx") and not is_trained("manifest/train.csv")


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a raw archive, its index and a manifest, and the records of both jobs."""
    monkeypatch.chdir(tmp_path)
    write_zip(Path("data/raw/TS_1.zip"), {"K-1/a.png": b"one"})
    for path, text in (("results/index/TS_1.parquet", "index"), ("results/stage1/manifest/train.csv", "manifest")):
        Path(path).parent.mkdir(parents=True)
        Path(path).write_text(text)
    facts: dict[str, Any] = {"code": [], "settings": {"seed": 576}, "seconds": 1.0}
    write_record(
        Path("results/provenance/index_archive/TS_1.json"),
        rule="index_archive", inputs={"photos": "data/raw/TS_1.zip"},
        outputs={"pills": "results/index/TS_1.parquet"}, **facts,
    )  # fmt: skip
    write_record(
        Path("results/stage1/provenance/build_manifest.json"),
        rule="build_manifest", inputs={"index": ["results/index/TS_1.parquet"]},
        outputs={"manifest": "results/stage1/manifest"}, **facts,
    )  # fmt: skip
    return tmp_path


def drawn(found: Any) -> str:
    stream = io.StringIO()
    Console(file=stream, width=500, highlight=False).print(found.tree)
    return stream.getvalue()


def test_trace_leads_to_the_raw_archive(project: Path) -> None:
    found = trace(Path("results/stage1/manifest/train.csv"), Path("results"), check=True)
    lines = drawn(found).splitlines()
    assert [line.strip("│├└─ ").split("  ")[0] for line in lines] == [
        "results/stage1/manifest/train.csv",
        "build_manifest → results/stage1/manifest",
        "index_archive/TS_1 → results/index/TS_1.parquet",
        "raw data/raw/TS_1.zip",
    ]
    assert "seed 576" in lines[1]
    assert found.problems == []


def test_trace_says_where_a_shallow_clone_may_lack_the_commit(project: Path) -> None:
    file = project / "results/stage1/provenance/build_manifest.json"
    record = json.loads(file.read_text()) | {"commit": {"hash": "c" * 40, "dirty": True, "shallow": True}}
    file.write_text(json.dumps(record))
    assert "cccccccccccc or earlier + local changes, " in drawn(trace(Path("results/stage1/manifest"), Path("results")))


def test_trace_tells_what_was_changed_lost_or_made_anew(project: Path) -> None:
    target, index = Path("results/stage1/manifest/train.csv"), Path("results/index/TS_1.parquet")
    target.write_text("edited")
    assert trace(target, Path("results")).problems == [
        "results/stage1/manifest has changed since build_manifest made it"
    ]
    target.write_text("manifest")
    index.unlink()
    assert trace(target, Path("results")).problems == []
    assert trace(target, Path("results"), check=True).problems == ["results/index/TS_1.parquet is missing"]
    record = json.loads(Path("results/provenance/index_archive/TS_1.json").read_text())
    record["outputs"] = {index.as_posix(): "0" * 64}
    Path("results/provenance/index_archive/TS_1.json").write_text(json.dumps(record))
    told = trace(target, Path("results")).problems
    assert told == [f"build_manifest read another {index} than index_archive/TS_1 has recorded since"]


def test_trace_looks_at_raw_data_too_where_all_files_are_to_be_compared(project: Path) -> None:
    target, raw = Path("results/stage1/manifest/train.csv"), Path("data/raw/TS_1.zip")
    write_zip(raw, {"K-1/a.png": b"two"})
    assert trace(target, Path("results")).problems == []
    assert trace(target, Path("results"), check=True).problems == [f"{raw} has changed since index_archive read it"]
    raw.unlink()
    assert trace(target, Path("results"), check=True).problems == [f"{raw} is missing"]


@pytest.mark.parametrize("check", [False, True])
@pytest.mark.parametrize(
    ("file", "made", "told"),
    [
        ("manifest/none.csv", None, ["{file} is missing"]),
        ("manifest/train.csv/none", None, ["{file} is missing"]),
        ("manifest/more.csv", "more", ["results/stage1/manifest has changed since build_manifest made it"]),
        ("manifest/../manifest/train.csv", None, []),
        ("manifest", None, []),
    ],
)
def test_trace_looks_at_the_file_that_is_named(
    project: Path, file: str, made: str | None, told: list[str], check: bool
) -> None:
    target = Path("results/stage1") / file
    if made:
        target.write_text(made)
    problems = trace(target, Path("results"), check=check).problems
    assert list(dict.fromkeys(problems)) == [one.format(file=target) for one in told]


@pytest.mark.parametrize(
    "file", ["data/raw/TS_1.zip", "results/stage1/manifest/../none.csv", "results/stage1/manifest/.snakemake_timestamp"]
)
def test_trace_of_what_no_job_made_is_refused(project: Path, file: str) -> None:
    with pytest.raises(RecordError, match=r"no job below results recorded .* folder in which the run was made"):
        trace(Path(file), Path("results"))
    with pytest.raises(RecordError, match="no records"):
        trace(Path("results/index/TS_1.parquet"), Path("elsewhere"))


DAMAGED = {
    "cut off": ('{"rule": "oth', "other.json: is damaged"),
    "empty": ("", "other.json: is damaged"),
    "CP949": ('{"rule": "규칙"}', "other.json: is damaged"),
    "a list": ("[]", "other.json: not a job's record"),
    "another object": ('{"rule": "other"}', "other.json: not a job's record"),
}


@pytest.mark.parametrize(("text", "says"), DAMAGED.values(), ids=DAMAGED)
def test_a_file_that_is_no_record_is_told(project: Path, text: str, says: str) -> None:
    Path("results/stage1/provenance/other.json").write_text(text, encoding="cp949")
    with pytest.raises(RecordError, match=says):
        read_records(Path("results"))
    for words in (["trace", "results/stage1/manifest"], ["diff", "workspace", "--stage", "stage1"]):
        done = CliRunner().invoke(app, words)
        assert (done.exit_code, done.stdout) == (2, "") and says in done.stderr


@pytest.mark.parametrize("name", ["HEAD", "nosuch"])
def test_a_commit_without_a_dvc_lock_is_told_how_a_stage_is_recorded(project: Path, name: str) -> None:
    Path("a.txt").write_text("a")
    run_program("git", "init", "--quiet", folder=project)
    commit(project)
    with pytest.raises(
        RecordError, match=rf"{name}: .* A stage is recorded by dvc repro stage@stage4; commit dvc\.lock"
    ):
        recorded_outputs(name, "stage4")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "HEAD: its dvc.lock records no stage1. Run dvc repro"),
        ("stages:\n", "HEAD: its dvc.lock records no stage1. Run dvc repro"),
        ("<<<<<<< HEAD\nstages: {\n", "HEAD: its dvc.lock is damaged"),
        ("- stages\n", "HEAD: its dvc.lock is damaged"),
        ("stages: {stage@stage1: {outs: [{}]}}\n", "HEAD: its dvc.lock is damaged"),
    ],
)
def test_a_dvc_lock_that_records_nothing_is_told(project: Path, text: str, says: str) -> None:
    Path("dvc.lock").write_text(text)
    run_program("git", "init", "--quiet", folder=project)
    commit(project)
    for words in (["diff", "HEAD"], ["verify", "HEAD"]):
        done = CliRunner().invoke(app, [*words, "--stage", "stage1"])
        assert (done.exit_code, done.stdout) == (2, "") and says in done.stderr


FETCHED_NOWHERE = {"path": "results/stage1/provenance", "hash": "md5", "md5": "0" * 32 + ".dir", "size": 1, "nfiles": 1}
STAGE_OF_ONE = {"foreach": ["stage1"], "do": {"cmd": "true", "outs": [FETCHED_NOWHERE["path"]]}}


def test_a_folder_that_neither_cache_nor_remote_has_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project = project_in(tmp_path, "project")
    lock = {"stages": {"stage@stage1": {"cmd": "true", "outs": [FETCHED_NOWHERE]}}}
    (project / "dvc.yaml").write_text(json.dumps({"stages": {"stage": STAGE_OF_ONE}}))
    (project / "dvc.lock").write_text(json.dumps({"schema": "2.0", **lock}))
    commit(tmp_path)
    monkeypatch.chdir(project)
    for command in ("diff", "verify"):
        done = CliRunner().invoke(app, [command, "HEAD", "--stage", "stage1"])
        assert (done.exit_code, done.stdout) == (2, "")
        assert "results/stage1/provenance of HEAD: DVC cannot read it" in done.stderr
        assert "dvc fetch --all-commits" in done.stderr


def run(**changes: Any) -> Run:
    """A run of two jobs; `changes` are of the second one."""
    facts: dict[str, Any] = {
        "seed": 576, "device": "CPU", "commit": {"hash": "a" * 40, "dirty": False}, "versions": {"torch": "2.14.1"},
        "ended": "2026-11-24T00:00:00+00:00", "seconds": 1.0,
    }  # fmt: skip
    first = Record(
        "index_archive/TS_1", "index_archive", outputs={"index": "1"}, inputs={"TS_1.zip": "zip-directory:11"},
        settings={}, code={"pillsnap/sources/labels.py": "1"}, **facts,
    )  # fmt: skip
    second = Record(
        "train_classifier", "train_classifier", outputs={"best": "2"}, inputs={"index": "1"},
        settings={"settings": {"epochs": 2}, "seed": 576}, code={"pillsnap/pictures/boxes.py": "1"}, **facts,
    )  # fmt: skip
    records = {first.name: first, second.name: dataclasses.replace(second, **changes)}
    return Run(records, {"classifier": {"top1": 0.5}}, {"torch": "2.14.1"}, {"Snakefile": "1"})


CAUSES = [
    ({"settings": {"settings": {"epochs": 3}, "seed": 576}}, "config", ("epochs", "2", "3")),
    ({"code": {"pillsnap/pictures/boxes.py": "2"}}, "code", ("pillsnap/pictures/boxes.py", "1", "2")),
    ({"versions": {"torch": "2.15.0"}}, "environment", ("torch", "2.14.1", "2.15.0")),
    ({"device": "NVIDIA H200"}, "environment", ("device", "CPU", "NVIDIA H200")),
    ({"seed": 7, "settings": {"settings": {"epochs": 2}, "seed": 7}}, "seed", ("seed", "576", "7")),
    ({"inputs": {"index": "1", "raw.zip": "listing:22"}}, "data", ("raw.zip", "none", "22")),
]


@pytest.mark.parametrize(("changes", "cause", "told"), CAUSES)
def test_a_cause_is_told_by_its_name_and_alone(changes: dict[str, Any], cause: str, told: tuple[str, ...]) -> None:
    found = compare(run(), run(**changes))
    assert [name for name, differences in found.causes.items() if differences] == [cause]
    (difference,) = found.causes[cause]
    assert (difference.what, difference.before, difference.after) == told
    assert found.outputs == [] and found.metrics == []


def test_two_settings_of_one_name_that_changed_alike_are_both_told() -> None:
    def of(precision: str) -> Run:
        one = run().records["train_classifier"]
        config = {
            "detector": {"precision": precision}, "classifier": {"precision": precision},
            "stages": {"stage4": {"targets": {"kept": precision}}},
        }  # fmt: skip
        settings: dict[str, Any] = {
            "train_detector": {"settings": config["detector"]},
            "train_classifier": {"settings": config["classifier"]},
            "write_model_card": {"config": {"classifier": config["classifier"]}},
            "write_report": {"config": config, "targets": {"kept": precision}},
        }
        records = {rule: dataclasses.replace(one, rule=rule, settings=value) for rule, value in settings.items()}
        return dataclasses.replace(run(), records=records)

    told = {one.what: one.rules for one in compare(of("fp32"), of("bf16")).causes["config"]}
    assert told == {
        "detector.precision": ("train_detector", "train_classifier", "write_report"),
        "classifier.precision": ("train_detector", "train_classifier", "write_model_card", "write_report"),
        "stages.stage4.targets.kept": ("write_report",),
    }


def test_other_outputs_and_figures_are_consequences() -> None:
    after = run(outputs={"best": "3"})
    found = compare(run(), dataclasses.replace(after, metrics={"classifier": {"top1": 0.75}}))
    assert not any(found.causes.values())
    assert found.outputs == ["train_classifier"]
    assert found.metrics == [("classifier.top1", 0.5, 0.75)]


def test_an_archive_more_is_other_data() -> None:
    after = run()
    more = dataclasses.replace(after.records["index_archive/TS_1"], name="index_archive/TS_2")
    found = compare(run(), dataclasses.replace(after, records={**after.records, more.name: more}))
    assert [(one.what, one.before, one.after) for one in found.causes["data"]] == [
        ("index_archive/TS_2", "missing", "present")
    ]


def test_another_pin_of_the_lock_is_another_environment() -> None:
    found = compare(run(), dataclasses.replace(run(), pins={"torch": "2.15.0"}))
    assert [one.what for one in found.causes["environment"]] == ["torch (requirements.lock)"]


RECORDED = ("results/provenance", "results/stage1/provenance", "results/stage1/metrics.json")
RAW = ("data/pills", "data/names.csv")


@pytest.fixture
def recorded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project whose commit records a stage of one job, with the files of a workflow."""
    project = project_in(tmp_path, "project")
    for path, text in (("Snakefile", "a"), ("rules/one.smk", "b"), ("rules/notes.md", "c"), ("requirements.lock", "")):
        (project / path).parent.mkdir(exist_ok=True)
        (project / path).write_text(text)
    job = dataclasses.asdict(run().records["train_classifier"])
    job.pop("name")
    for path, value in (
        ("results/provenance/index_archive/TS_1.json", job),
        ("results/stage1/provenance/train_classifier.json", job),
        ("results/stage1/metrics.json", {}),
    ):
        (project / path).parent.mkdir(parents=True, exist_ok=True)
        (project / path).write_text(json.dumps(value))
    (project / "data/pills").mkdir(parents=True)
    (project / "data/pills/a.txt").write_text("1")
    (project / "data/names.csv").write_text("1")
    run_program("dvc", "add", "--quiet", "data/pills", folder=project)
    (project / "data/.gitignore").write_text("/pills\n/names.csv\n")
    stage = {"foreach": ["stage1"], "do": {"cmd": "true", "deps": ["Snakefile", *RAW], "outs": list(RECORDED[1:])}}
    index = {"cmd": "true", "deps": ["rules", *RAW], "outs": [RECORDED[0]]}
    (project / "dvc.yaml").write_text(json.dumps({"stages": {"index": index, "stage": stage}}))
    run_program("dvc", "commit", "--force", "index", "stage@stage1", folder=project)
    commit(tmp_path)
    monkeypatch.chdir(project)
    return project


def told_by_diff(*runs: str) -> tuple[int, list[str]]:
    done = CliRunner().invoke(app, ["diff", *runs, "--stage", "stage1"])
    return done.exit_code, [line.strip() for line in done.stdout.splitlines()]


def test_edits_of_the_workflow_are_told(recorded: Path) -> None:
    """No record names these files: git is asked."""
    for before, after in (("HEAD", "HEAD"), ("HEAD", "workspace")):
        same = "Different: nothing. The same: data, config, code, environment, seed."
        assert told_by_diff(before, after) == (0, [same])
    for path in ("Snakefile", "rules/one.smk", "rules/notes.md"):
        (recorded / path).write_text("edited")
    (recorded / "rules/two.smk").write_text("new")
    commit(recorded.parent)
    (recorded / "rules/one.smk").unlink()
    status, lines = told_by_diff("HEAD~1", "HEAD")
    assert status == 1
    assert lines[0] == "Different: code. The same: data, config, environment, seed."
    edited = "deb1bc2c60dc"
    assert lines[2:] == [
        "code",
        f"Snakefile: 2e65efe2a145 -> {edited}",
        f"rules/one.smk: 63d8dbd40c23 -> {edited}",
        "rules/two.smk: none -> 3e5126c4e761",
    ]
    assert told_by_diff("HEAD")[1][3:] == [f"rules/one.smk: {edited} -> none"]


def edit(path: Path) -> None:
    path.write_text("2")


def lose(path: Path) -> None:
    path.unlink()


@pytest.mark.parametrize(
    ("file", "change", "named"),
    [
        ("data/pills/a.txt", edit, ["data/pills"]),
        ("data/pills/b.txt", edit, ["data/pills"]),
        ("data/pills/a.txt", lose, ["data/pills"]),
        ("data/names.csv", edit, ["data/names.csv"]),
        ("data/names.csv", lose, ["data/names.csv"]),
        ("rules/one.smk", edit, []),
    ],
)
def test_raw_data_that_have_changed_are_named(recorded: Path, file: str, change: Any, named: list[str]) -> None:
    """Of files in git the commit's are rebuilt. An edit that keeps a file's size counts, which no record shows."""
    assert changed_data("HEAD", "stage1") == []
    change(recorded / file)
    assert changed_data("HEAD", "stage1") == named
    run_program("git", "commit", "--quiet", "--allow-empty", "-m", "later", folder=recorded)
    (recorded / "dvc.yaml").write_text("stages: {}")
    assert changed_data("HEAD~1", "stage1") == []


@pytest.mark.parametrize("damaged", [False, True], ids=["rebuilt", "no rebuild"])
def test_verify_names_changed_raw_data_as_the_cause(
    recorded: Path, monkeypatch: pytest.MonkeyPatch, damaged: bool
) -> None:
    def rebuild(*_: Any, **__: Any) -> Path:
        if damaged:
            raise RecordError("snakemake failed; its output is above.")
        shutil.copytree(recorded / "results", recorded / "made/results")
        (recorded / "made/results/stage1/metrics.json").write_text('{"top1": 0.5}')
        file = recorded / "made/results/stage1/provenance/train_classifier.json"
        record = json.loads(file.read_text())
        record["inputs"] |= {"index": "2", "data/pills/a.txt": "2", "grounds": "2"}
        file.write_text(json.dumps(record | {"outputs": {"best": "3"}}))
        return recorded / "made"

    monkeypatch.setattr("pillsnap.reproduce.rebuild.rebuild", rebuild)
    edit(recorded / "data/pills/a.txt")
    done = CliRunner().invoke(app, ["verify", "--stage", "stage1", "--folder", "made"])
    first, *more = done.stderr.splitlines()
    assert first == "data/pills is not as HEAD recorded it: what is made of it will differ."
    assert done.exit_code == (2 if damaged else 1)
    assert damaged or more[0].startswith(
        "The cause may be data that have changed since HEAD was recorded: data/pills, grounds, index. Bring back"
    )


def test_jobs_that_read_other_raw_data() -> None:
    before, after = run(inputs={"index": "1", "a.zip": "1"}), run(inputs={"index": "2", "a.zip": "2"})
    records = [list(one.records.values()) for one in (before, after)]
    assert changed_inputs(*records) == ["a.zip"]
    assert changed_inputs(records[0], records[0]) == []
    archive = dataclasses.replace(records[1][0], name="index_archive/TS_2", inputs={"b.zip": "1"}, outputs={})
    assert changed_inputs(records[0], [*records[0], archive]) == ["b.zip"]
