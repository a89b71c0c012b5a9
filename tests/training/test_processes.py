"""More than one process: who they are, and two of them on the CPU against one."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest
import torch

from pillsnap.classifier.train_classifier import train_classifier
from pillsnap.config.training import Trainings
from pillsnap.files import read_json
from pillsnap.training.history import read_history
from pillsnap.training.processes import Processes, ProcessesError, process_group
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
