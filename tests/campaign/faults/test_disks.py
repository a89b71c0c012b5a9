"""A disk that is full, and results that are read-only, in every rule that writes."""

import random
import re
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.support.faults.disks import Disk, below, disk, read_only
from tests.support.faults.ledger import Ledger
from tests.support.faults.runs import Job, Run, Unbroken
from tests.support.workflow import Workflow

QUICK = 9.0
"""Seconds: rules that take longer are not stopped a second time, by a read-only folder."""
FULL, READ_ONLY = "full disk", "read-only results"
SAID = {
    FULL: r"cannot be written, the disk is full .* Make room, or choose another|MiB free, stage4 needs",
    READ_ONLY: r"cannot be written \(.*Read-only file system.*\)\. Allow writing there",
}


@dataclass
class Trouble:
    """The faults that are left for each rule, and the one that is on."""

    small: Disk
    folder: Path
    left: dict[str, list[tuple[str, int]]]
    seen: dict[int, tuple[Job, str]] = field(default_factory=dict)
    met: list[tuple[str, str]] = field(default_factory=list)

    def begin(self, job: Job) -> None:
        """A job has started: bring its next fault on."""
        if job.process.pid in self.seen or not self.left.get(job.rule):
            return
        kind, leave = self.left[job.rule].pop(0)
        self.seen[job.process.pid] = job, kind
        self.small.fill(leave) if kind == FULL else read_only(self.folder / "results", on=True)
        self.met.append((job.rule, kind))

    def end(self, at_work: set[int]) -> None:
        """Take the faults of jobs away that have ended."""
        for pid in [pid for pid in self.seen if pid not in at_work]:
            self.small.empty()
            if self.seen.pop(pid)[1] == READ_ONLY:
                read_only(self.folder / "results", on=False)


def attempts(output: str) -> list[tuple[str, str]]:
    """Rule and words of each job that failed, one after the other, where one runs at a time."""
    failed, begin = [], 0
    for match in re.finditer(r"^Error in rule (\w+):\n", output, re.MULTILINE):
        failed.append((match[1], output[begin : match.start()]))
        begin = match.end()
    return failed


@pytest.fixture
def small_project(unbroken: Unbroken, tmp_path: Path):
    """A project in which nothing was made, and the disk on which all will lie that it makes."""
    workflow = unbroken.workflow.clone(tmp_path / "project")
    with disk(tmp_path / "disk", 700) as small, below(workflow.folder, small):
        yield workflow, small


def test_no_rule_can_write(small_project: tuple[Workflow, Disk], unbroken: Unbroken, ledger: Ledger, seed: int) -> None:
    """Each rule first meets a full disk and then, if it is quick, a read-only folder; Snakemake tries it once more."""
    workflow, small = small_project
    draw, known = random.Random(seed), {}
    trouble = Trouble(small, workflow.folder, faults_of(unbroken, draw))
    told: list[tuple[str, str]] = []
    while True:
        with Run(workflow, ("--retries", "4"), cores=1) as run:
            for jobs in run.watch():
                before = len(trouble.seen)
                trouble.end({job.process.pid for job in jobs})
                if len(trouble.seen) < before:
                    ledger.losses(unbroken.differences(workflow.folder, whole=False, known=known))
                for job in jobs:
                    trouble.begin(job)
        trouble.end(set())
        told += attempts(run.output)
        if run.process.returncode == 0:
            break
        # Snakemake itself ends where it cannot tidy up after the job, and then does not tell the job's end
        assert trouble.met[-1][1] == READ_ONLY and "Read-only file system" in run.output, run.output[-4000:]
        if len(told) < len(trouble.met):
            told.append((trouble.met[-1][0], run.output.rpartition("Select jobs to execute")[2]))
        workflow.snakemake("--unlock")
    assert [rule for rule, _ in told] == [rule for rule, _ in trouble.met], "every fault stops its job"
    for (rule, words), (_, kind) in zip(told, trouble.met, strict=True):
        assert re.search(SAID[kind], words), (rule, kind, words[-3000:])
        ledger.fault(kind, rule)
    assert {rule for rule, kind in trouble.met if kind == FULL} == set(unbroken.outputs)
    ledger.losses(unbroken.differences(workflow.folder, whole=True))
    assert not list(workflow.folder.rglob("*.part"))


def faults_of(unbroken: Unbroken, draw: random.Random) -> dict[str, list[tuple[str, int]]]:
    """What each rule meets: a disk with room for up to half of its smallest job's output, then a read-only folder."""
    found = {}
    for rule, jobs in unbroken.outputs.items():
        size = min(sum(size_of(unbroken.workflow.folder / name) for name in made) for made in jobs)
        found[rule] = [(FULL, int(draw.choice([0.0, draw.uniform(0, 0.5)]) * size))]
        if unbroken.seconds[rule] < QUICK:
            found[rule].append((READ_ONLY, 0))
    return found


def size_of(path: Path) -> int:
    return sum(file.stat().st_size for file in path.rglob("*")) if path.is_dir() else path.stat().st_size


@pytest.mark.parametrize("when", ["before", "meanwhile"])
def test_snakemake_cannot_write_either(unbroken: Unbroken, ledger: Ledger, tmp_path: Path, when: str) -> None:
    """Its own notes lie on the full disk too: the next run, with room, ends well."""
    target = "results/index/VS_1_combo.parquet"
    with disk(tmp_path / "disk", 300) as small:
        workflow = unbroken.workflow.clone(small.place / "project")
        workflow.snakemake(target="archives")
        if when == "before":
            small.fill()
        with Run(workflow, cores=1, target=target, output_to=tmp_path / "output.txt") as run:
            for jobs in run.watch():
                if when == "meanwhile" and jobs:
                    small.fill()
        assert run.process.returncode != 0
        assert re.search("No space left on device|the disk is full", run.output), run.output[-2000:]
        ledger.fault("full disk", f"Snakemake, {when}")
        ledger.losses(unbroken.differences(workflow.folder, whole=False))
        small.empty()
        if "LockException" in workflow.snakemake(target=target, check=False):
            workflow.snakemake("--unlock", target=target)
        workflow.snakemake(target=target)
        ledger.losses(unbroken.differences(workflow.folder, whole=False))
        assert (workflow.folder / target).is_file()
