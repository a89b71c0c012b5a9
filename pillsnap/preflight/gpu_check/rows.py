"""Rows of the check: what was measured, what is needed, the verdict and the cure."""

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

EXTRAS = {"onnxruntime": "gpu", "typer": "", "rich": ""}
"""Extra of the package that brings a module; all else comes with `pipeline`."""


class Verdict(StrEnum):
    """Verdict of a check. What could not be checked is never `ok`."""

    ok = "ok"
    failed = "failed"
    not_checked = "not checked"


@dataclass(frozen=True)
class Row:
    """One check.

    Attributes:
        check: its name.
        measured, needed: in words; empty where there is nothing to say.
        verdict: of the two.
        cure: what to do about a failure, or why it was not checked.
        figures: numbers for programs.
    """

    check: str
    measured: str
    needed: str
    verdict: Verdict
    cure: str = ""
    figures: Mapping[str, Any] = field(default_factory=dict)


class NotCheckedError(Exception):
    """A check that cannot be made on this machine; the message says why."""


def run_checks(checks: Mapping[str, Callable[[], Iterable[Row]]], *, seconds: float) -> list[Row]:
    """Run checks one after the other, and give their rows. No failure of one keeps the others from running.

    Args:
        checks: by name.
        seconds: after which no further check is begun, and what is left of one is not made.
    """
    end, rows = time.monotonic() + seconds, []
    over = f"the {seconds:.0f} s of the whole check are over"
    for name, check in checks.items():
        try:
            _in_time(end, over)
            for row in check():  # rows that came before a failure stay
                rows.append(row)
                _in_time(end, over)
        except NotCheckedError as error:
            rows.append(Row(name, "", "", Verdict.not_checked, str(error)))
        except ImportError as error:
            rows.append(Row(name, "", "", Verdict.not_checked, _missing(error)))
        except Exception as error:  # whatever breaks here breaks a stage
            first = next(iter(str(error).splitlines()), "")
            rows.append(Row(name, f"{type(error).__name__}: {first}", "no error", Verdict.failed, "see the log"))
    return rows


def _in_time(end: float, over: str) -> None:
    if time.monotonic() > end:
        raise NotCheckedError(over)


def _missing(error: ImportError) -> str:
    module = (error.name or str(error)).partition(".")[0]
    extra = EXTRAS.get(module, "pipeline")
    return f"there is no module {module}: install pillsnap" + (f"[{extra}]" if extra else "")
