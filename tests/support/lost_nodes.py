"""A training whose node is lost, in a Slurm of two."""

import contextlib
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import psutil
from slurm_jobs import SlurmJob, read_jobs

from tests.support.local_slurm import Cluster

NODES = ("node1", "node2")
PATIENCE = 90.0
"""Seconds for each step."""
RULE = "train_classifier"
Found = TypeVar("Found")


def until(find: Callable[[], Found], what: str) -> Found:
    """What `find` finds, once that is something."""
    deadline = time.monotonic() + PATIENCE
    while not (found := find()):
        assert time.monotonic() < deadline, f"{what} did not come"
        time.sleep(0.02)
    return found


class Training:
    """The training in a project's folder, of which at most one process holds the lock."""

    def __init__(self, folder: Path) -> None:
        self.work = folder / "work/stage4" / RULE
        self.log = folder / "logs/stage4" / f"{RULE}.log"

    def stopped(self, before: psutil.Process | None = None) -> psutil.Process | None:
        """The process that holds the lock, after `before` did, stopped in the middle of the training."""
        holder = self.work.with_name(f"{RULE}.pid")
        if not (self.work / "last.pt").exists() or (before and int(holder.read_text()) == before.pid):
            return None
        process = psutil.Process(int(holder.read_text()))
        process.suspend()
        assert not (self.work / "finished.json").exists()
        return process

    def waits_for(self, holder: psutil.Process) -> bool:
        """Whether a further process says that it waits for the one that holds the lock."""
        return self.log.exists() and f"is locked by process {holder.pid}: waiting" in self.log.read_text()


def job() -> SlurmJob:
    """The job that Slurm itself sends to another node: the first one."""
    return read_jobs()[0]


def lose(cluster: Cluster, name: str, *, with_steps: bool) -> None:
    """Take a node down, without a word to what runs there; its job waits for nothing else, and gets the other node.

    Args:
        cluster: of which one node runs something.
        name: of that node.
        with_steps: whether what runs there ends with it.
    """
    cluster.nodes[name].kill()
    cluster.nodes[name].wait()
    if with_steps:
        end_steps()
    subprocess.run(["scontrol", "update", f"NodeName={name}", "State=DOWN", "Reason=lost"], check=True)
    number = until(lambda: job().state == "PENDING" and job().number, "a job that waits")
    subprocess.run(["scontrol", "update", f"JobId={number}", "StartTime=now"], check=True)
    until(lambda: job().state == "RUNNING", "a job that runs")


def ended(process: psutil.Process) -> bool:
    """Whether a process has ended, waited for or not."""
    try:
        return process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def end_steps() -> None:
    """Kill what runs on the nodes, all at once: whoever lives longer tells Slurm that the others have ended."""
    steps = [step for step in psutil.process_iter(["name"]) if step.info["name"] == "slurmstepd"]
    for step in steps:
        step.suspend()
    running = [*steps, *(process for step in steps for process in step.children(recursive=True))]
    for end in (psutil.Process.suspend, psutil.Process.kill):
        for process in running:
            with contextlib.suppress(psutil.NoSuchProcess):
                end(process)
