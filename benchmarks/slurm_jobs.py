"""Jobs of a run through Slurm, by Slurm's own records: what each requested, where and how long it ran.

    python -m tests.support.local_slurm bash -c \
        'snakemake --workflow-profile profiles/slurm -- results/stage4/report.html; python benchmarks/slurm_jobs.py'

Claim: every job went through Slurm; trainings had the GPU, and no two jobs had it at one time.

Run while the controller still remembers the jobs (MinJobAge), in the folder of the run. Peak memory is Snakemake's
measurement of the rule's own process and its children, the largest of the rule's jobs.
"""

import argparse
import datetime
import re
import subprocess
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from rule_costs import rule_costs

from pillsnap.files import write_json
from pillsnap.workflow.provenance import describe_device, git_commit, package_versions

FOLDER = Path(__file__).parent
_COMMENT = re.compile(r"rule_(?P<rule>\w+?)(?:_wildcards_(?P<wildcards>.*))?$")
_UNITS = {"M": 1, "G": 1024, "T": 1024**2}


@dataclass(frozen=True)
class SlurmJob:
    """One job as `scontrol show job` tells it.

    Attributes:
        number: Slurm's.
        rule, wildcards: Snakemake's, from the job's comment.
        state: COMPLETED, FAILED, CANCELLED, OUT_OF_MEMORY, …
        node: where it ran.
        cores, memory_mb, gpus, minutes: requested.
        started, ended: seconds since 1970; 0 of a job that never ran.
    """

    number: int
    rule: str
    wildcards: str
    state: str
    node: str
    cores: int
    memory_mb: int
    gpus: int
    minutes: int
    started: float
    ended: float

    @property
    def seconds(self) -> float:
        """How long it ran."""
        return self.ended - self.started


def read_jobs() -> list[SlurmJob]:
    """Every job that the controller remembers, in the order of submission."""
    told = subprocess.run(["scontrol", "--oneliner", "show", "job"], check=True, capture_output=True, text=True).stdout
    return sorted(map(parse_job, told.splitlines()), key=lambda job: job.number) if "JobId=" in told else []


def parse_job(line: str) -> SlurmJob:
    """A job of one line of `scontrol --oneliner show job`."""
    facts = {key: value.strip() for key, value in re.findall(r"(?:^| )([A-Z][\w/:]*)=(.*?)(?= [A-Z][\w/:]*=|$)", line)}
    comment = _COMMENT.match(facts.get("Comment", ""))
    gpus = re.search(r"gpu(?::[a-z]\w*)?[:=](\d+)", facts.get("TresPerNode", ""))
    return SlurmJob(
        number=int(facts["JobId"]),
        rule=comment["rule"] if comment else "",
        wildcards=(comment["wildcards"] or "") if comment else "",
        state=facts["JobState"],
        node=facts["NodeList"],
        cores=int(facts["NumCPUs"]),
        memory_mb=_megabytes(facts["MinMemoryNode"]) if "MinMemoryNode" in facts else 0,
        gpus=int(gpus[1]) if gpus else 0,
        minutes=_minutes(facts["TimeLimit"]),
        started=_time(facts["StartTime"]),
        ended=_time(facts["EndTime"]),
    )


def _megabytes(text: str) -> int:
    return int(float(text[:-1]) * _UNITS[text[-1]]) if text[-1] in _UNITS else int(text)


def _minutes(text: str) -> int:
    """Of `[days-]hours:minutes:seconds`; 0 where there is no limit."""
    if not (found := re.fullmatch(r"(?:(\d+)-)?(\d+):(\d+):(\d+)", text)):
        return 0
    days, hours, minutes, _ = (int(part or 0) for part in found.groups())
    return (days * 24 + hours) * 60 + minutes


def _time(text: str) -> float:
    return 0.0 if text in ("Unknown", "None") else datetime.datetime.fromisoformat(text).timestamp()


def overlaps(jobs: list[SlurmJob]) -> list[tuple[SlurmJob, SlurmJob]]:
    """Pairs of jobs that had a GPU at one time, of a cluster that has one."""
    holding = sorted((job for job in jobs if job.gpus and job.started), key=lambda job: job.started)
    return [(first, second) for first, second in pairwise(holding) if second.started < first.ended]


def describe_jobs(jobs: list[SlurmJob], run: Path, stage: str) -> dict[str, Any]:
    """What docs/cluster.md shows: the jobs, and by rule what Snakemake measured."""
    return {
        "date": datetime.date.today().isoformat(),
        "device": describe_device("cpu"),
        "commit": git_commit(),
        "versions": package_versions(),
        "slurm": subprocess.run(["sinfo", "--version"], capture_output=True, text=True).stdout.strip(),
        "seconds": max(job.ended for job in jobs) - min(job.started for job in jobs if job.started),
        "rules": rule_costs(run, stage)["rules"],
        "jobs": [asdict(job) for job in jobs],
    }


COLUMNS = (
    "job", "rule", "of", "node", "cores", "GPUs", "memory asked", "state", "seconds", "seconds of the rule",
    "peak of the rule",
)  # fmt: skip


def job_table(result: dict[str, Any]) -> str:
    """The jobs as a Markdown table."""
    rows = [COLUMNS, ("---",) * len(COLUMNS), *(_row(SlurmJob(**facts), result) for facts in result["jobs"])]
    return "\n".join(f"| {' | '.join(map(str, row))} |" for row in rows)


def _row(job: SlurmJob, result: dict[str, Any]) -> tuple[object, ...]:
    cost = result["rules"].get(job.rule)
    measured = (cost["longest_seconds"], f"{cost['peak_mb']:,} MB") if cost else ("–", "–")
    asked = (job.cores, job.gpus or "–", f"{job.memory_mb:,} MB")
    return (job.number, job.rule, job.wildcards, job.node, *asked, job.state, round(job.seconds), *measured)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("--stage", default="stage4")
    parser.add_argument("--out", type=Path, default=FOLDER / "slurm_jobs.json")
    options = parser.parse_args()
    result = describe_jobs(read_jobs(), Path(), options.stage)
    write_json(options.out, result)
    print(job_table(result))


if __name__ == "__main__":
    main()
