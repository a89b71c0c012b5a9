"""The tiny workflow through a real Slurm, from raw archives to the report: jobs are killed, and nodes are lost."""

import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest
import yaml
from slurm_jobs import SlurmJob, describe_jobs, job_table, overlaps, parse_job, read_jobs

from pillsnap.files import write_json
from tests.support import local_slurm
from tests.support.debian import need_slurm
from tests.support.local_slurm import Cluster
from tests.support.local_slurm import local_slurm as slurm
from tests.support.lost_nodes import NODES, PATIENCE, Training, ended, job, lose, until
from tests.support.workflow import SCENE_RULES, Workflow

GPU_RULES = {
    "train_detector", "detect_pills", "train_classifier", "calibrate_answers", "evaluate_away", "measure_references",
    "export_onnx", "run_benchmark",
}  # fmt: skip
DATA_RULES = {"index_archive", "prepare_archive"}
LOCAL = ".snakemake_timestamp"
LONGEST = 1500.0


@dataclass(frozen=True)
class Run:
    """What a run through Slurm left: its folder, Slurm's records, and the log of the node's daemon."""

    workflow: Workflow
    jobs: list[SlurmJob]
    node_log: str

    def of(self, rule: str) -> list[SlurmJob]:
        return [job for job in self.jobs if job.rule == rule]


class Trouble:
    """Kills a training, cancels a data job, and asks for the GPU while a training holds it; each once."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.done: set[str] = set()

    def make(self, jobs: list[SlurmJob]) -> None:
        """Do what has its time now, with the jobs as Slurm tells them."""
        running = {job.rule: job for job in jobs if job.state == "RUNNING"}
        if "prepare_archive" in running:
            self._once("cancelled", lambda: self._run("scancel", str(running["prepare_archive"].number)))
        if "train_detector" in running:
            competitor = ["sbatch", "--gres=gpu:1", "--mem=10", "--comment=rule_competitor", "--output=/dev/null"]
            self._once("competitor", lambda: self._run(*competitor, "--wrap=true"))
        if "train_classifier" in running and list((self.folder / "work/stage4/train_classifier").glob("*")):
            self._once("killed", self._kill_training)

    def _once(self, name: str, act) -> None:
        if name not in self.done and act() is not False:
            self.done.add(name)

    def _run(self, *words: str) -> None:
        subprocess.run(words, cwd=self.folder, check=True, capture_output=True)

    def _kill_training(self) -> bool:
        """Whether a process was there to be killed."""
        found = [
            process
            for process in psutil.process_iter(["cmdline", "cwd"])
            if (process.info["cmdline"] or [""])[0].endswith("python")
            and "scripts/train_classifier.py" in process.info["cmdline"]
            and process.info["cwd"] == str(self.folder)
        ]
        for process in found:
            process.kill()
        return bool(found)


def _starve(workflow: Workflow, rule: str) -> None:
    """Let a rule of the profile ask for too little memory at its first attempt."""
    path = workflow.folder / "profiles" / "slurm" / "config.yaml"
    profile = yaml.safe_load(path.read_text(encoding="utf-8"))
    profile["set-resources"][rule]["mem_mb"] = "400 if attempt == 1 else 4000"
    path.write_text(yaml.safe_dump(profile), encoding="utf-8")


def _run_through_slurm(workflow: Workflow, cluster: Cluster) -> Run:
    """The profile as it is, but for shorter waits."""
    command = [
        "snakemake", "--workflow-profile", "profiles/slurm", "--slurm-init-seconds-before-status-checks", "4",
        "--", "results/stage4/report.html",
    ]  # fmt: skip
    trouble, deadline = Trouble(workflow.folder), time.monotonic() + LONGEST
    said = workflow.folder / "said.txt"
    with said.open("w") as out:
        process = subprocess.Popen(
            command, cwd=workflow.folder, env=workflow.environment, stdout=out, stderr=subprocess.STDOUT
        )
        while process.poll() is None and time.monotonic() < deadline:
            trouble.make(read_jobs())
            time.sleep(0.3)
        process.terminate()
        process.wait()
    assert process.returncode == 0, said.read_text()[-5000:]
    assert trouble.done == {"cancelled", "competitor", "killed"}
    return Run(workflow, read_jobs(), (cluster.folder / "node1.log").read_text(errors="replace"))


@pytest.fixture(scope="module")
def ran(made: Workflow, tmp_path_factory) -> Run:
    """The workflow through Slurm, from the raw archives on. The node has cores to spare, so that only the GPU can make
    a GPU job wait."""
    need_slurm()
    workflow = made.clone(tmp_path_factory.mktemp("slurm") / "project")
    for drawn in ("data", "results/provenance/make_synthetic_archive"):
        shutil.copytree(made.folder / drawn, workflow.folder / drawn, copy_function=shutil.copy)
    _starve(workflow, "calibrate_answers")
    with slurm(cpus=6, memory_mb=100_000) as cluster:
        run = _run_through_slurm(workflow, cluster)
        result = describe_jobs(run.jobs, workflow.folder, "stage4")
    write_json(workflow.folder / "slurm_jobs.json", result)
    print(job_table(result))
    return run


def test_every_job_went_through_slurm_to_the_report(ran: Run) -> None:
    logs = {path.stem for path in (ran.workflow.folder / "logs" / "stage4").glob("*.tsv")}
    assert {job.rule for job in ran.jobs} - {"competitor"} == logs | DATA_RULES | SCENE_RULES
    assert "synthetic" in (ran.workflow.folder / "results/stage4/report.html").read_text(encoding="utf-8").lower()
    assert all(len([job for job in ran.of(rule) if job.state == "COMPLETED"]) == 4 for rule in DATA_RULES)


def test_data_jobs_ran_side_by_side_and_gpu_jobs_never(ran: Run) -> None:
    data = ran.of("index_archive")
    assert max(job.started for job in data) < min(job.ended for job in data)
    assert {job.rule for job in ran.jobs if job.gpus} == GPU_RULES | {"competitor"}
    assert all(job.gpus == 1 for job in ran.jobs if job.gpus)
    assert overlaps(ran.jobs) == []
    # the competitor had cores and memory, but not the GPU
    (competitor,), training = ran.of("competitor"), ran.of("train_detector")[-1]
    assert competitor.started >= training.ended


def test_killed_jobs_come_back_and_ask_for_more_memory(ran: Run) -> None:
    killed, again = ran.of("train_classifier")
    assert (killed.state, again.state) == ("FAILED", "COMPLETED")
    assert again.memory_mb == 2 * killed.memory_mb
    assert sorted(job.state for job in ran.of("prepare_archive")) == ["CANCELLED"] + 4 * ["COMPLETED"]
    starved, fed = ran.of("calibrate_answers")
    assert (starved.memory_mb, starved.state) == (400, "FAILED") and (fed.memory_mb, fed.state) == (4000, "COMPLETED")
    assert f"StepId={starved.number}.0 exceeded memory limit" in ran.node_log


def test_results_are_those_of_a_local_run_without_trouble(ran: Run, made: Workflow) -> None:
    places = [
        "plan.parquet",
        "manifest",
        "yolo",
        "detector/best.safetensors",
        "crops",
        "classifier/best.safetensors",
    ]
    compared = 0
    for place in places:
        here, there = (run.folder / "results/stage4" / place for run in (ran.workflow, made))
        for path in [there] if there.is_file() else sorted(there.rglob("*")):
            other = here / path.relative_to(there)
            if path.is_file() and not path.name.endswith(LOCAL):
                assert other.read_bytes() == path.read_bytes(), path
                compared += 1
    assert compared > 15


def test_nothing_of_the_cluster_stays(tmp_path) -> None:
    need_slurm()
    alive = local_slurm.living()
    before = {path.name: path.stat().st_ino for path in local_slurm.SETTINGS.parent.glob("slurm*")}
    with pytest.raises(RuntimeError), slurm(cpus=1, memory_mb=1000):
        subprocess.run(["sbatch", "--output=/dev/null", "--wrap=sleep 600"], check=True, capture_output=True)
        assert (local_slurm.SETTINGS / "slurm.conf").is_file()
        raise RuntimeError
    assert {path.name: path.stat().st_ino for path in local_slurm.SETTINGS.parent.glob("slurm*")} == before
    daemons = {"slurmctld", "slurmd", "slurmstepd", "munged"}
    assert local_slurm.living() & daemons <= alive


def test_a_cluster_that_was_killed_leaves_no_daemon_and_gives_the_settings_back(tmp_path) -> None:
    need_slurm()
    settings = local_slurm.SETTINGS
    had = sorted(path.name for path in settings.iterdir()) if settings.exists() else None
    process = subprocess.Popen([sys.executable, local_slurm.__file__, "sh", "-c", f"touch {tmp_path}/up; sleep 60"])
    while not (tmp_path / "up").exists():
        assert process.poll() is None
        time.sleep(0.1)
    process.kill()
    process.wait()
    deadline = time.monotonic() + 30
    while local_slurm.missing() and time.monotonic() < deadline:
        time.sleep(0.2)
    assert local_slurm.missing() == ""
    with slurm(cpus=1, memory_mb=1000):
        pass
    assert (sorted(path.name for path in settings.iterdir()) if settings.exists() else None) == had


def test_where_a_node_is_lost_one_training_goes_on_on_the_other(made: Workflow, tmp_path: Path) -> None:
    """Twice: once the training ends with the node, once it stays alive there, cut off."""
    need_slurm()
    workflow = made.copy(tmp_path / "project")
    weights = Path("results/stage4/classifier/best.safetensors")
    shutil.rmtree((workflow.folder / weights).parent)
    training = Training(workflow.folder)
    shutil.rmtree(training.work)
    words = ["--workflow-profile", "profiles/slurm", "--slurm-init-seconds-before-status-checks", "2"]
    with slurm(cpus=6, memory_mb=100_000, nodes=NODES) as cluster, (tmp_path / "said.txt").open("w") as said:
        snakemake = subprocess.Popen(
            ["snakemake", *words, "--", str(weights)],
            cwd=workflow.folder, env=workflow.environment, stdout=said, stderr=subprocess.STDOUT,
        )  # fmt: skip
        try:
            first = until(training.stopped, "a training")
            node = job().node
            lose(cluster, node, with_steps=True)
            assert ended(first)
            second = until(lambda: training.stopped(first), "a second training")
            assert job().node != node
            cluster.start_node(node)
            lose(cluster, job().node, with_steps=False)
            assert job().node == node
            until(lambda: training.waits_for(second), "a third training")
            assert second.status() == psutil.STATUS_STOPPED
            cluster.start_node(*set(NODES) - {node})  # which ends what should not run there
            until(lambda: ended(second), "the end of the second training")
            assert snakemake.wait(PATIENCE) == 0, Path(said.name).read_text()[-5000:]
            # where Slurm ended the third training's job, too, Snakemake sent it once more, and that one went on
            assert [one.state for one in read_jobs()].count("COMPLETED") == 1
        finally:
            snakemake.kill()
            snakemake.wait()
    assert (workflow.folder / weights).read_bytes() == (made.folder / weights).read_bytes()


LINE = (
    "JobId=7 JobName=a-b Priority=1 JobState=COMPLETED Reason=None TimeLimit=2-01:30:00 StartTime=2026-11-24T17:00:00 "
    "EndTime=2026-11-24T17:00:09 NodeList=node1 NumCPUs=2 NumTasks=1 TRES=cpu=2,mem=3500M,node=1 MinMemoryNode=3500M "
    "Command=(null) Comment=rule_prepare_archive_wildcards_stage4_TS 1_단일 StdErr=/a/b TresPerNode=gres:gpu:1 "
)


@pytest.mark.parametrize(
    ("change", "field", "value"),
    [
        ("", "wildcards", "stage4_TS 1_단일"),
        ("", "rule", "prepare_archive"),
        ("", "seconds", 9.0),
        ("", "minutes", 49 * 60 + 30),
        ("", "memory_mb", 3500),
        ("MinMemoryNode=3.50G", "memory_mb", 3584),
        ("", "gpus", 1),
        ("TresPerNode=gres/gpu:tesla:2", "gpus", 2),
        ("TresPerNode=gres:craynetwork:1", "gpus", 0),
        ("StartTime=Unknown", "started", 0.0),
        ("Comment=", "rule", ""),
    ],
)
def test_a_record_of_slurm_is_read(change: str, field: str, value: object) -> None:
    key = change.partition("=")[0]
    line = " ".join(change if key and word.startswith(f"{key}=") else word for word in LINE.split(" "))
    assert getattr(parse_job(line), field) == value
