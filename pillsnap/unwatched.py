"""What rule `check_machine` needs so that a new check decodes nothing again.

A job with an `ancient` input has a trap in Snakemake 9.27 (its issue 4166): where the job that makes this input has a
reason of its own to run, no other reason of the jobs behind it is looked at in that run, be it a changed setting or a
newer plan. So `check_machine` has no such reason: neither settings nor code are compared, and where its plan is newer
than its result the input is not ancient.
"""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Unwatched:
    """A parameter that Snakemake hands on and does not compare: it compares plain values only."""

    text: str

    def __str__(self) -> str:
        return self.text


def is_checked(results: str, stage: str) -> bool:
    """Whether the stage's `preflight.json` is there and no older than its plan."""
    preflight, plan = (Path(results) / stage / name for name in ("preflight.json", "plan.parquet"))
    return preflight.is_file() and plan.is_file() and preflight.stat().st_mtime_ns >= plan.stat().st_mtime_ns
