"""More than one process: who they are, and two of them on the CPU against one."""

import contextlib
import os
import subprocess
import sys
import textwrap
import time
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from pillsnap.classifier.train_classifier import train_classifier
from pillsnap.config.training import Trainings
from pillsnap.files import read_json
from pillsnap.hardware import HardwareError
from pillsnap.training import processes as processes_module
from pillsnap.training.history import read_history
from pillsnap.training.processes import Processes, ProcessesError, joined, process_group
from tests.support.models import classifier_job, recipe, tiny_stage, without_seconds, write_crops
from tests.support.workflow import PROJECT

SETTINGS = {"model": "test_vit", "image_size": 64, "epochs": 2, "horizon": 3, "patience": 9, "label_smoothing": 0.1}
"""A model without batch norm, whose statistics two processes on the CPU would not share."""


def test_alone() -> None:
    with process_group(1, "cpu") as processes:
        assert processes.is_main
        assert (processes.all_reduce([1, 2.5]), list(range(4))[processes.shard]) == ([1, 2.5], [0, 1, 2, 3])
        assert (processes.device("cpu"), processes.device("cuda")) == ("cpu", "cuda")
        processes.barrier()
        model = torch.nn.Linear(1, 1)
        assert processes.wrap(model, "cpu") is model


def test_each_picture_is_one_processes() -> None:
    shares = [list(range(7))[Processes(rank, 3).shard] for rank in range(3)]
    assert shares == [[0, 3, 6], [1, 4], [2, 5]]
    assert [Processes(rank, 2).device("cuda") for rank in range(2)] == ["cuda:0", "cuda:1"]


def test_another_number_of_processes_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ProcessesError, match=r"training\.processes = 2: .*WORLD_SIZE = 1\..*--nproc-per-node 2"):
        process_group(2, "cpu").__enter__()
    monkeypatch.setenv("WORLD_SIZE", "3")
    with pytest.raises(ProcessesError, match="WORLD_SIZE = 3"):
        process_group(1, "cpu").__enter__()


@pytest.fixture(scope="module")
def stage_job(base: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """A training of 32 pills: whole batches of 8."""
    folder = tmp_path_factory.mktemp("processes")
    write_crops(folder / "crops", pills=32)
    job = classifier_job(tiny_stage(base), folder / "one", settings=recipe(**SETTINGS))
    return job | {"crops": folder / "crops"}


def launch(job: dict[str, Any], folder: Path, script: Path) -> subprocess.CompletedProcess:
    """The training by two processes of `script`."""
    outputs = ("best", "history", "events", "resources", "work")
    paths = {name: str(job[name]) for name in ("crops", "classes")} | {n: str(folder / job[n].name) for n in outputs}
    words = [word for name, path in paths.items() for word in (f"--{name}", path)]
    sections = [f"--{n}={job[n].model_dump_json()}" for n in ("settings", "steering", "training")]
    rest = ["--seed", str(job["seed"]), "--device", "cpu", "--threads", "1"]
    rest += ["--record", f"{folder}/record.json", "--log", f"{folder}/job.log"]
    torchrun = [sys.executable, "-m", "torch.distributed.run", *job["training"].launcher.split()[1:]]
    command = [*torchrun, str(script), *words, *sections, *rest]
    environment = os.environ | {"PYTHONPATH": str(PROJECT)}
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment)


@pytest.mark.campaign
def test_two_processes_learn_as_one(stage_job: dict[str, Any], tmp_path: Path) -> None:
    """The same loss curve with the same batches; then on to more epochs, and a finished training taken over."""
    train_classifier(**stage_job)
    two = stage_job | {"training": Trainings(processes=2)}
    done = launch(two, tmp_path, PROJECT / "scripts/train_classifier.py")
    assert done.returncode == 0, done.stderr
    ours, theirs = read_history(tmp_path / "history.csv"), read_history(stage_job["history"])
    for column in ("loss", "learning_rate", "train_top1", "val_top1"):
        assert [row[column] for row in ours] == pytest.approx([row[column] for row in theirs], rel=2e-3, abs=1e-3)
    log = (tmp_path / "job.log").read_text()
    assert log.count("epoch 1/2  Loss: ") == 1
    assert (tmp_path / "job.log.1").read_text() == ""
    more = two | {"settings": recipe(**SETTINGS | {"epochs": 3})}
    assert launch(more, tmp_path, PROJECT / "scripts/train_classifier.py").returncode == 0
    longer = read_history(tmp_path / "history.csv")
    assert longer[:2] == ours
    assert len(longer) == 3
    for name in ("best.safetensors", "history.csv"):
        (tmp_path / name).unlink()
    assert launch(more, tmp_path, PROJECT / "scripts/train_classifier.py").returncode == 0
    assert read_history(tmp_path / "history.csv") == longer


@pytest.mark.campaign
def test_out_of_memory_in_one_process_starts_all_again(stage_job: dict[str, Any], tmp_path: Path) -> None:
    """The second process runs out of memory with more than two pictures at once, in the second epoch."""
    script = tmp_path / "train.py"
    script.write_text(
        textwrap.dedent(f"""
        import os, runpy
        import torch
        from torch.nn import functional
        from pillsnap.classifier import trainer
        original, calls = functional.cross_entropy, []
        def loss(logits, *words, **named):
            calls.append(None)
            if os.environ["RANK"] == "1" and len(logits) > 2 and len(calls) > 4:
                raise torch.OutOfMemoryError("CUDA out of memory")
            return original(logits, *words, **named)
        trainer.functional.cross_entropy = loss
        runpy.run_path({str(PROJECT / "scripts/train_classifier.py")!r}, run_name="__main__")
        """)
    )
    two = stage_job | {"training": Trainings(processes=2)}
    done = launch(two, tmp_path, script)
    assert done.returncode == 0, done.stderr
    assert read_json(tmp_path / "work/recovery.json")["accumulation_steps"] == 2
    told = [event for event in read_json(tmp_path / "events.json") if event["kind"] == "out_of_memory"]
    assert [(event["epoch"], event["changes"]) for event in told] == [(1, {"pictures_at_once": 2})]
    undisturbed = tmp_path / "undisturbed"
    assert launch(two, undisturbed, PROJECT / "scripts/train_classifier.py").returncode == 0
    ours, theirs = without_seconds(tmp_path / "history.csv"), without_seconds(undisturbed / "history.csv")
    assert ours[0] == theirs[0]
    assert ours[1]["loss"] == pytest.approx(theirs[1]["loss"], rel=1e-3)
    assert (tmp_path / "job.log").read_text().count("epoch 1/2") == 1, "the log goes on after the new start"


FAILING = """
import os, signal, sys, time
from datetime import timedelta
import torch
from torch import distributed
from pillsnap.training import processes
from pillsnap.training.processes import process_group

def destroy():
    time.sleep(10**6)  # as NCCL's does while the others wait

processes.distributed.destroy_process_group = destroy
processes.SECONDS_TO_END = 3
way = sys.argv[1]
if way == "hangs":
    processes._abort = lambda: time.sleep(10**6)
with process_group(2, "cpu") as these:
    these.barrier()
    if these.rank == 1 and way == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    if these.rank == 1:
        raise RuntimeError("planted")
    these.all_reduce([1.0])
    time.sleep(10**6)  # as a process that waits for the other's part of a step
"""


@pytest.mark.parametrize(
    "way",
    ["hangs", pytest.param("raises", marks=pytest.mark.campaign), pytest.param("killed", marks=pytest.mark.campaign)],
)
def test_a_process_that_fails_ends_the_others(tmp_path: Path, way: str) -> None:
    """Two real processes with gloo: one fails in the middle of a step, or is killed, or hangs while it ends."""
    (tmp_path / "train.py").write_text(FAILING)
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    start = time.monotonic()
    done = subprocess.run(
        [*torchrun, str(tmp_path / "train.py"), way],
        capture_output=True, text=True, check=False, timeout=60, env=os.environ | {"PYTHONPATH": str(PROJECT)},
    )  # fmt: skip
    assert done.returncode != 0
    assert time.monotonic() - start < 60
    assert way == "killed" or "RuntimeError: planted" in done.stderr or "Timeout (0:00:03)!" in done.stderr


@pytest.mark.parametrize("fails", [False, True])
def test_the_group_is_destroyed_after_success_only(monkeypatch: pytest.MonkeyPatch, fails: bool) -> None:
    calls = []
    for name in ("init_process_group", "_abort"):
        monkeypatch.setattr(processes_module, name, lambda *_, name=name, **__: calls.append(name))
    monkeypatch.setattr("torch.distributed.destroy_process_group", lambda: calls.append("destroy"))
    monkeypatch.setattr("faulthandler.dump_traceback_later", lambda *_, **__: calls.append("end"))
    with contextlib.suppress(RuntimeError), joined("gloo", timeout=timedelta(seconds=9)):
        if fails:
            raise RuntimeError("planted")
    assert calls == ["init_process_group", *(["end", "_abort"] if fails else ["destroy"])]


def test_what_runs_on_the_gpu_is_aborted(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    group = SimpleNamespace(WORLD=SimpleNamespace(abort=lambda: calls.append("abort")))
    monkeypatch.setattr("torch.distributed.group", group)
    processes_module._abort()
    assert calls == []
    monkeypatch.setattr("torch.cuda.is_initialized", lambda: True)
    processes_module._abort()
    assert calls == ["abort"]


def test_more_processes_than_gpus_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "4")
    monkeypatch.setenv("RANK", "3")
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    with pytest.raises(HardwareError, match=r"training\.processes = 4: there are 2 GPUs .* Set it to their number"):
        process_group(4, "cuda").__enter__()
