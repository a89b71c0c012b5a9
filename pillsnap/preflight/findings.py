"""Findings of checks: verdict, what was found, and the cure."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

GIB = 2**30


class Verdict(StrEnum):
    """Verdict of a finding."""

    ok = "ok"
    warning = "warning"
    refused = "refused"


@dataclass(frozen=True)
class Finding:
    """One check's result; a warning and a refusal come with their cure."""

    verdict: Verdict
    what: str
    found: str
    cure: str = ""


def finding(what: str, found: str, *, refused: bool = False, warning: bool = False, cure: str = "") -> Finding:
    """Make a finding with the more severe verdict of the two; `ok` has no cure."""
    verdict = Verdict.refused if refused else Verdict.warning if warning else Verdict.ok
    return Finding(verdict, what, found, cure if verdict is not Verdict.ok else "")


def of_verdict(findings: Iterable[Finding], verdict: Verdict) -> list[Finding]:
    """Return the findings with that verdict, in order."""
    return [one for one in findings if one.verdict is verdict]


def gib(size: float) -> str:
    """Format bytes as `3.2 GiB`, or as `37 MiB` below a tenth of a GiB; humanize would be one more dependency."""
    return f"{size / GIB:,.1f} GiB" if size >= GIB / 10 else f"{size / 2**20:.0f} MiB"


def share(part: float, whole: float) -> float:
    """Return `part` divided by `whole`; 0 where `whole` is 0."""
    return part / whole if whole else 0.0
