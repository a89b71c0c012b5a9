"""Markdown page of benchmarks/soak.py, all computed from `soak.json`."""

from typing import Any

_PAGE = """# The service under good, odd and hostile requests

Made by `{command}`; the first lines of [soak.py](soak.py) tell the method, and every figure is computed from
[soak.json](soak.json). {length}

- {date}, {device}; {workers} workers, {queue} places in the queue, {clients} clients; commit `{commit}`; load average
  before the start {load_before}

| requests | answered | refused as busy | refused for a fault | wrong status | lost |
|---|---|---|---|---|---|
| {requests} | {answered} | {busy} | {faults} | {wrong} | {lost} |

- Answered photographs, as the client sees it: p50 {p50} ms, p95 {p95} ms, p99 {p99} ms.
- Memory of the service: {second} MB at most in the second third of the time, {third} MB in the last ({growth:+.1%}).
- After SIGTERM it ended within {stop_seconds} s, with status {status}.
"""
_SHORT = "**This is a short run of {seconds:g} s beside other work, no measurement of an hour.**"
_HOUR = 3600


def page(result: dict[str, Any]) -> str:
    """The page as Markdown."""
    statuses = {int(status): count for status, count in result["statuses"].items()}
    busy = sum(statuses.get(status, 0) for status in (429, 503, 504))
    answered = statuses.get(200, 0)
    same = ("command", "date", "device", "workers", "queue", "clients", "load_before", "requests", "lost")
    return _PAGE.format(
        **{name: result[name] for name in (*same, "stop_seconds", "status")},
        length=_SHORT.format(seconds=result["seconds"]) if result["seconds"] < _HOUR else "",
        commit=result["commit"]["hash"][:10],
        answered=answered,
        busy=busy,
        faults=sum(statuses.values()) - busy - answered,
        wrong=sum(result["wrong"].values()),
        second=result["memory_mb"][0],
        third=result["memory_mb"][1],
        growth=result["memory_growth"],
        **result["accepted_ms"],
    )
