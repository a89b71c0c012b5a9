"""A Snakemake that runs while a test watches its jobs; what it made, against what an unbroken run makes."""

import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from pillsnap.files import sha256_of
from pillsnap.training.history import read_history
from tests.support.workflow import Workflow

TARGET = "results/stage4/report.html"
PATIENCE = 1500
_JOB = re.compile(r"^(?:scripts/|.*/\.snakemake/scripts/tmp\w+\.)(\w+)\.py$")
_STARTED = re.compile(r"^(?:local)?rule (\w+):\n(.*?)^ +jobid: (\d+)$", re.MULTILINE | re.DOTALL)
_OUTPUTS = re.compile(r"^    output: (.*)$", re.MULTILINE)
_FINISHED = re.compile(r"^Finished jobid: (\d+) ", re.MULTILINE)
MEASURED = {
    "model_card.md", "metrics.json", "report.html", "preflight.json", "resources.json", "latency.json",
    "durations.svg", "side_by_side.svg", "latency.svg", ".snakemake_timestamp",
}  # fmt: skip
"""Files that hold what was measured of the machine or tell of it (docs/reproduce.md): they differ from run to run."""


@dataclass(frozen=True)
class Job:
    """A process of Snakemake's that does a rule's work."""

    rule: str
    process: psutil.Process

    def workers(self) -> list[psutil.Process]:
        """Processes that it started by forking itself, such as those that load data."""
        try:
            own = self.process.cmdline()
            return [child for child in self.process.children(recursive=True) if child.cmdline() == own]
        except psutil.Error:
            return []

    def writes(self, folder: Path) -> bool:
        """Whether it has begun an output."""
        return any((folder / "results").rglob(f".*.{self.process.pid}.part"))


@dataclass
class Run:
    """One Snakemake, started in a process group of its own, with what it writes in `output`."""

    workflow: Workflow
    options: tuple[str, ...] = ()
    target: str = TARGET
    cores: int = 2
    output_to: Path | None = None
    _rules: dict[int, str | None] = field(default_factory=dict)

    def __enter__(self) -> "Run":
        self._file = self.output_to or self.workflow.folder / ".snakemake-output.txt"
        with self._file.open("w") as stream:
            self.process = subprocess.Popen(
                ["snakemake", "--cores", str(self.cores), *self.options, "--", self.target],
                cwd=self.workflow.folder, env=self.workflow.environment, start_new_session=True,
                stdout=stream, stderr=subprocess.STDOUT,
            )  # fmt: skip
        self.deadline = time.monotonic() + PATIENCE
        return self

    def __exit__(self, *_: object) -> None:
        self.process.poll()
        if self.process.returncode is None:
            self.kill(whole_group=True)

    @property
    def output(self) -> str:
        """What Snakemake and its jobs wrote so far."""
        return self._file.read_text(encoding="utf-8", errors="replace")

    def kill(self, *, whole_group: bool) -> None:
        """SIGKILL to Snakemake alone, or to all its processes."""
        (os.killpg if whole_group else os.kill)(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def watch(self, seconds: float = 0.03) -> Iterator[list[Job]]:
        """The jobs at work, again and again until Snakemake ends."""
        while self.process.poll() is None:
            assert time.monotonic() < self.deadline, f"Snakemake hangs:\n{self.output[-3000:]}"
            yield self._jobs()
            time.sleep(seconds)

    def _jobs(self) -> list[Job]:
        try:
            children = psutil.Process(self.process.pid).children(recursive=True)
        except psutil.Error:
            return []
        for child in children:
            if self._rules.get(child.pid) is None:
                self._rules[child.pid] = _rule_of(child)
        found = {child.pid: Job(self._rules[child.pid], child) for child in children if self._rules[child.pid]}
        return [job for job in found.values() if _parent(job.process) not in found]


def _rule_of(process: psutil.Process) -> str | None:
    try:
        words = process.cmdline()
    except psutil.Error:
        return None
    found = _JOB.match(words[1]) if len(words) > 1 and "python" in words[0] else None
    return found[1] if found else None


def _parent(process: psutil.Process) -> int:
    try:
        return process.ppid()
    except psutil.Error:
        return 0


@dataclass(frozen=True)
class Unbroken:
    """A run that nothing disturbed: what it made, how long its jobs took, and which outputs they have."""

    workflow: Workflow
    artifacts: dict[str, str]
    seconds: dict[str, float]
    outputs: dict[str, list[tuple[str, ...]]]

    @classmethod
    def of(cls, workflow: Workflow) -> "Unbroken":
        """What Snakemake's own logs and the jobs' tell of a workflow that was made."""
        outputs: dict[str, list[tuple[str, ...]]] = {}
        for told in sorted((workflow.folder / ".snakemake/log").glob("*.log")):
            for rule, made in started(told.read_text(encoding="utf-8")).values():
                outputs.setdefault(rule, []).append(made)
        seconds: dict[str, float] = {}
        for path in (workflow.folder / "logs").rglob("*.tsv"):
            rule = next(rule for rule in outputs if rule in path.relative_to(workflow.folder).as_posix())
            took = float(path.read_text().splitlines()[1].split("\t")[0])
            seconds[rule] = min(took, seconds.get(rule, took))
        return cls(workflow, artifacts(workflow.folder), seconds, outputs)

    def differences(self, folder: Path, *, whole: bool, known: dict[str, tuple] | None = None) -> list[str]:
        """Artifacts of `folder` that are not the unbroken run's; with `whole` those that are missing as well."""
        found = artifacts(folder, known)
        wrong = [f"{name} differs" for name in found if found[name] != self.artifacts.get(name)]
        return wrong + [f"{name} is missing" for name in self.artifacts if whole and name not in found]


def started(output: str) -> dict[str, tuple[str, tuple[str, ...]]]:
    """Rule and outputs of each job that Snakemake's output tells the start of, by its number."""
    found = {}
    for rule, block, number in _STARTED.findall(output):
        if rule not in ("all", "archives", "index") and (made := _OUTPUTS.search(block)):
            found[number] = rule, tuple(re.sub(r" \(.*?\)", "", made[1]).split(", "))
    return found


def finished(output: str) -> set[tuple[str, ...]]:
    """Outputs of the jobs that Snakemake's output tells the end of."""
    jobs = started(output)
    return {jobs[number][1] for number in _FINISHED.findall(output) if number in jobs}


def artifacts(folder: Path, known: dict[str, tuple] | None = None) -> dict[str, str]:
    """SHA-256 by name of all that has the same bytes whenever it is made; temporary files do not count.

    `known` keeps hashes of files that have not changed from one call to the next.
    """
    found, known = {}, {} if known is None else known
    for part in ("data", "results"):
        for path in sorted((folder / part).rglob("*")):
            name = path.relative_to(folder).as_posix()
            if ".part" in name or path.name in MEASURED or "/provenance/" in name:
                continue
            try:
                if path.is_file():
                    stat = path.stat()
                    state = stat.st_ino, stat.st_mtime_ns, stat.st_size
                    if known.get(name, [None])[0] != state:
                        known[name] = state, _hash_of(path)
                    found[name] = known[name][1]
            except FileNotFoundError:  # a job that still runs has replaced it
                continue
    return found


def _hash_of(path: Path) -> str:
    if path.name == "history.csv":
        rows = read_history(path)
        return repr([{name: value for name, value in row.items() if name != "seconds"} for row in rows])
    return sha256_of(path)
