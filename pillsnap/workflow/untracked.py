"""Settings and the time stamp of rule `check_machine`, kept from Snakemake so that a new check decodes nothing again.

A job with an `ancient` input has a trap in Snakemake 9.27 (its issue 4166): where the job that makes this input has a
reason of its own to run, no other reason of the jobs behind it is looked at in that run, be it a changed setting or a
newer plan. So `check_machine` has no such reason: neither settings nor code are compared, and where its plan is newer
than its result the input is not ancient. A Snakemake that was killed before it noted that the result is whole makes it
again, which is such a reason too: the input is not ancient then either.
"""

from base64 import urlsafe_b64encode
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class UntrackedParam:
    """Parameter that Snakemake passes to the job and does not track: it compares plain values only."""

    text: str

    def __str__(self) -> str:
        return self.text


def is_checked(results: str, stage: str) -> bool:
    """Tell whether the stage's `preflight.json` is there, complete to Snakemake, and no older than its plan."""
    preflight, plan = (Path(results) / stage / name for name in ("preflight.json", "plan.parquet"))
    if not (preflight.is_file() and plan.is_file()) or _is_incomplete(f"{results}/{stage}/preflight.json"):
        return False
    return preflight.stat().st_mtime_ns >= plan.stat().st_mtime_ns


def _is_incomplete(output: str) -> bool:
    """Tell whether Snakemake's mark of an incomplete `output` lies in the working folder."""
    notes = Path(".snakemake/incomplete")
    names = (note.relative_to(notes).parts for note in notes.rglob("*") if note.is_file())
    return urlsafe_b64encode(output.encode()).decode() in (
        "".join(part.lstrip("@") for part in parts) for parts in names
    )
