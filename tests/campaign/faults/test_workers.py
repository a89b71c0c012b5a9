"""Workers that die: one of several processes that train together, and one that decodes crops for a GPU.

The process that loads the detector's data dies in test_kills.py.
"""

import os
import random
import signal
import subprocess
import sys
import threading
import time
from multiprocessing import active_children
from pathlib import Path
from typing import Any

import psutil
import pytest

from pillsnap.classifier.batches import _decoded_by_processes
from pillsnap.config.training import Trainings
from pillsnap.crops.dataset import CropDataset
from pillsnap.files import sha256_of
from tests.support.faults.ledger import Ledger
from tests.support.models import classifier_job, recipe, tiny_stage, without_seconds, write_crops
from tests.support.workflow import PROJECT

SETTINGS = {"model": "test_vit", "image_size": 64, "epochs": 12, "horizon": 12, "patience": 20}
OUTPUTS = ("best", "history", "events", "resources", "work")


def start(job: dict[str, Any], folder: Path) -> subprocess.Popen:
    """The training by two processes, as Snakemake starts it."""
    paths = {name: str(job[name]) for name in ("crops", "classes")} | {n: str(folder / job[n].name) for n in OUTPUTS}
    words = [word for name, path in paths.items() for word in (f"--{name}", path)]
    words += [f"--{n}={job[n].model_dump_json()}" for n in ("settings", "steering", "training")]
    words += ["--seed", str(job["seed"]), "--device", "cpu", "--threads", "1"]
    words += ["--record", f"{folder}/record.json", "--log", f"{folder}/job.log"]
    torchrun = [sys.executable, "-m", "torch.distributed.run", *job["training"].launcher.split()[1:]]
    command = [*torchrun, str(PROJECT / "scripts/train_classifier.py"), *words]
    environment = os.environ | {"PYTHONPATH": str(PROJECT)}
    return subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


def finish(training: subprocess.Popen) -> None:
    said = training.communicate(timeout=300)[1]
    assert training.returncode == 0, said[-3000:]


def kill_one(training: subprocess.Popen, draw: random.Random, when: Path) -> None:
    """Kill one of the two processes some time after `when` is there."""
    deadline = time.monotonic() + 120
    while not when.exists():
        assert training.poll() is None and time.monotonic() < deadline, "the training was not seen to begin"
        time.sleep(0.01)
    time.sleep(draw.uniform(0, 0.5))
    workers = [
        one for one in psutil.Process(training.pid).children() if "train_classifier.py" in " ".join(one.cmdline())
    ]
    draw.choice(workers).send_signal(signal.SIGKILL)


def test_one_of_two_processes_dies(tmp_path: Path, base: Path, ledger: Ledger, seed: int) -> None:
    """torchrun says so and starts both again from the last checkpoint: they end with the undisturbed weights."""
    write_crops(tmp_path / "crops", pills=64)
    job = classifier_job(tiny_stage(base), tmp_path / "one", settings=recipe(**SETTINGS))
    job |= {"crops": tmp_path / "crops", "training": Trainings(processes=2)}
    undisturbed, killed = tmp_path / "undisturbed", tmp_path / "killed"
    finish(start(job, undisturbed))
    training = start(job, killed)
    kill_one(training, random.Random(seed), killed / "work/last.pt")
    said = training.communicate(timeout=300)[1]
    ledger.fault("kill of worker", "torchrun's child")
    assert training.returncode == 0, said[-3000:]
    assert "-9" in said, said
    assert "resuming after epoch" in (killed / "job.log").read_text()
    differ = sha256_of(killed / "best.safetensors") != sha256_of(undisturbed / "best.safetensors")
    differ |= without_seconds(killed / "history.csv") != without_seconds(undisturbed / "history.csv")
    ledger.losses(["weights of two processes differ"] if differ else [])


def test_a_decoding_process_dies(tmp_path: Path, ledger: Ledger, seed: int) -> None:
    """The training ends at once with an error that names it, and does not wait for ever."""
    write_crops(tmp_path / "crops", pills=64)
    data = CropDataset(tmp_path / "crops", "train")
    order = [[(pill, 0.0)] for pill in range(len(data))] * 50
    draw = random.Random(seed)

    others = active_children()

    def kill() -> None:
        time.sleep(draw.uniform(0, 0.3))
        draw.choice([child for child in active_children() if child not in others]).kill()

    with pytest.raises(RuntimeError, match=r"DataLoader worker .*(killed by signal: Killed|exited unexpectedly)"):
        for number, _ in enumerate(_decoded_by_processes(data, order, 2)):
            if number == 1:
                threading.Thread(target=kill).start()
            time.sleep(0.01)
    ledger.fault("kill of worker", "crop decoder")
