"""SIGKILL at random moments of every rule: to Snakemake, to a job, to a worker of a job, and to all of them at once.

PILLSNAP_FAULTS_KILLS sets how many kills each rule gets (2; two more where it has several jobs), PILLSNAP_FAULTS_SEED
sets the moments.
"""

import os
import random
import shutil
import signal
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from tests.support.faults.ledger import Ledger
from tests.support.faults.runs import Job, Run, Unbroken, finished, started
from tests.support.workflow import Workflow

KILLS_A_RULE = int(os.environ.get("PILLSNAP_FAULTS_KILLS", "2"))
LONGEST_WAIT = 8.0
SHARE_OF_JOB = 0.85
"""Moments lie in this share of a job's known duration: later ones would come too late."""


@dataclass(frozen=True)
class Kill:
    """Whom to kill, and when: at a share of the job's duration, or so many seconds after its first byte was written."""

    victim: str
    share: float
    after_first_byte: float | None


@dataclass
class Campaign:
    """The kills that are left for each rule, and what was seen so far."""

    workflow: Workflow
    unbroken: Unbroken
    ledger: Ledger
    draw: random.Random
    left: dict[str, list[Kill]] = field(default_factory=dict)
    hits: Counter[str] = field(default_factory=Counter)
    shrink: dict[str, float] = field(default_factory=dict)
    done: set[tuple[str, ...]] = field(default_factory=set)
    taken: set[tuple[str, ...]] = field(default_factory=set)
    known: dict[str, tuple] = field(default_factory=dict)
    jobs: list[Job] = field(default_factory=list)
    orphans: list[psutil.Process] = field(default_factory=list)

    def plan(self, kills: int) -> None:
        """Draw the kills: a data loader's worker first, then one of Snakemake or of the whole group, and jobs."""
        for number, rule in enumerate(sorted(self.unbroken.outputs)):
            turns = range(kills + (2 if len(self.unbroken.outputs[rule]) > 1 else 0))
            first = [("snakemake", "group")[(number + turn // 3) % 2] for turn in turns]
            victims = [first[turn] if turn % 3 == 0 else "job" for turn in turns]
            if rule == "train_detector" and loads_in_a_process():
                victims = ["worker", *victims]  # first: later ones find a training that has no epoch left
            self.left[rule] = [self._drawn(victim) for victim in victims]

    def _drawn(self, victim: str) -> Kill:
        moment = self.draw.uniform(0, 0.05) if self.draw.random() < 0.35 else None
        return Kill(victim, self.draw.uniform(0.05, SHARE_OF_JOB), moment)

    def go_on(self) -> bool:
        """Give the command once; returns whether it came to its end, and did not die on the way."""
        with Run(self.workflow, ("--retries", "20")) as run:
            ended = self._attend(run)
        again = [f"{made[0]} was made again" for _, made in started(run.output).values() if made in self.done]
        self.done |= finished(run.output) - self.taken
        self.taken.clear()
        if not ended:
            self.workflow.snakemake("--unlock")
        else:
            assert run.process.returncode == 0, run.output[-4000:]
        self.ledger.losses(again)
        return ended

    def _attend(self, run: Run) -> bool:
        armed: dict[int, tuple[Job, Kill, float]] = {}
        for jobs in run.watch():
            self.jobs = jobs
            for job in jobs:
                if job.process.pid not in armed and self.left.get(job.rule):
                    armed[job.process.pid] = job, self.left[job.rule].pop(0), time.monotonic()
            for pid, (job, kill, since) in list(armed.items()):
                if not alive(job.process):
                    del armed[pid]
                    if self._missed(job.rule, run):
                        return self._died(armed)
                elif self._due(job, kill, since):
                    del armed[pid]
                    if self._strike(run, job, kill):
                        return self._died(armed)
        return True

    def _due(self, job: Job, kill: Kill, since: float) -> bool:
        waited = time.monotonic() - since
        seconds = min(LONGEST_WAIT, kill.share * self.unbroken.seconds[job.rule] * self.shrink.get(job.rule, 1))
        if kill.victim == "worker":
            return bool(job.workers()) and self.draw.random() < 0.2
        if kill.after_first_byte is not None and job.writes(self.workflow.folder):
            time.sleep(kill.after_first_byte)
            return True
        if kill.after_first_byte is not None:
            seconds = max(seconds, 0.8 * self.unbroken.seconds[job.rule])
        return waited > seconds

    def _strike(self, run: Run, job: Job, kill: Kill) -> bool:
        """Kill, and look at what is there; returns whether Snakemake is dead."""
        try:
            if kill.victim in ("snakemake", "group"):
                run.kill(whole_group=kill.victim == "group")
            else:
                victim = job.process if kill.victim == "job" else self.draw.choice(job.workers())
                victim.send_signal(signal.SIGKILL)
        except (psutil.NoSuchProcess, IndexError):
            self.left[job.rule].insert(0, kill)
            return False
        self.hits[job.rule] += 1
        self.ledger.fault(f"kill of {kill.victim}", job.rule)
        self.ledger.losses(self.unbroken.differences(self.workflow.folder, whole=False, known=self.known))
        return kill.victim in ("snakemake", "group")

    def _missed(self, rule: str, run: Run) -> bool:
        """A job was faster than its kill: where its rule had too few, take its outputs away and let it come again."""
        outputs = self.unbroken.outputs[rule]
        there = [made for made in outputs if (self.workflow.folder / made[0]).exists()]
        more_to_come = self.left[rule] and len(there) < len(outputs)
        if self.hits[rule] >= KILLS_A_RULE or more_to_come:
            return False
        if not there:  # it ended without them, and comes again by itself
            self.left[rule] = self._lacking(rule)
            return False
        run.kill(whole_group=True)
        made = there[0]
        for name in made:
            remove(self.workflow.folder / name)
        self.done.discard(made)
        self.taken.add(made)
        self.shrink[rule] = 0.6 * self.shrink.get(rule, 1)
        self.left[rule] = self._lacking(rule)
        self.ledger.fault("kill of group between jobs", rule)
        return True

    def _lacking(self, rule: str) -> list[Kill]:
        return [self._drawn("job") for _ in range(KILLS_A_RULE - self.hits[rule])]

    def _died(self, armed: dict[int, tuple[Job, Kill, float]]) -> bool:
        """Snakemake is dead: other jobs keep their kills for the next one, and may still be at work."""
        for job, kill, _ in armed.values():
            self.left[job.rule].insert(0, kill)
        self.orphans += [job.process for job in self.jobs]
        return False


def alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def remove(path: Path) -> None:
    shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)


def loads_in_a_process() -> bool:
    """Whether there is a core for a process that loads the detector's data."""
    return len(os.sched_getaffinity(0)) > 1


def test_killed_at_any_moment(unbroken: Unbroken, ledger: Ledger, seed: int, tmp_path: Path) -> None:
    """However often it is killed, the same command ends with the unbroken run's bytes, and nothing is done twice."""
    campaign = Campaign(unbroken.workflow.clone(tmp_path / "project"), unbroken, ledger, random.Random(seed))
    campaign.plan(KILLS_A_RULE)
    starts = 1
    while not campaign.go_on():
        starts += 1
    psutil.wait_procs(campaign.orphans, timeout=60)
    folder = campaign.workflow.folder
    ledger.losses(unbroken.differences(folder, whole=True))
    ledger.losses([f"{path} was left behind" for path in folder.rglob("*.part")])
    assert campaign.workflow.planned() == set(), "nothing is left to do"
    assert all(campaign.hits[rule] >= KILLS_A_RULE for rule in unbroken.outputs), campaign.hits
    print(f"{campaign.hits.total()} kills, {starts} starts of Snakemake, seed {seed}")
