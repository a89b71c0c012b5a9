"""What a check says: a verdict, what was found, and the cure."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

GIB = 2**30


class Verdict(StrEnum):
    """How a finding ends."""

    ok = "ok"
    warning = "warning"
    refused = "refused"


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at; a warning and a refusal come with their cure."""

    verdict: Verdict
    what: str
    found: str
    cure: str = ""


def finding(what: str, found: str, *, refused: bool = False, warning: bool = False, cure: str = "") -> Finding:
    """A finding whose verdict is the graver of the two that hold; a good one has no cure."""
    verdict = Verdict.refused if refused else Verdict.warning if warning else Verdict.ok
    return Finding(verdict, what, found, cure if verdict is not Verdict.ok else "")


def of_verdict(findings: Iterable[Finding], verdict: Verdict) -> list[Finding]:
    """The findings that end so, in their order."""
    return [one for one in findings if one.verdict is verdict]


def gib(size: float) -> str:
    """Bytes as `3.2 GiB`, or as `37 MiB` below a tenth of a GiB."""
    return f"{size / GIB:,.1f} GiB" if size >= GIB / 10 else f"{size / 2**20:.0f} MiB"


def share(part: float, whole: float) -> float:
    """`part` of `whole`; 0 of nothing."""
    return part / whole if whole else 0.0
