"""Markdown page of benchmarks/serve.py, all computed from `serve.json`."""

from typing import Any

from page_origin import origin

_PAGE = """# Answers over HTTP: measured

Made by `{command}`; the first lines of [serve.py](serve.py) tell the method, and every figure is computed from
[serve.json](serve.json). **The photographs are synthetic.**

- {date}, {device}; {workers} workers; commit `{commit}`{dirty}; load average
  before the start {load_before}
- {versions}
- {photos} combo photographs, {pills_per_photo} labelled pills and {kilobytes} kB each on average

## A place for every client

| clients | answers a second | p50 ms | p95 ms | p99 ms | requests | lost |
|---|---|---|---|---|---|---|
{rows}

From a request's first byte to the whole answer, as the client sees it. Clients and service share the cores.

## Overload

{clients} clients before {workers} workers and {queue} places in the queue; who is refused (429) waits the second of
Retry-After.

| requests | answered | refused | other | lost | answers a second |
|---|---|---|---|---|---|
| {requests} | {answered} | {refused} ({share:.1%}) | {other} | {lost} | {rate} |

| | p50 ms | p95 ms | p99 ms |
|---|---|---|---|
{waits}

In all, {all_requests} requests were sent and {all_lost} were lost.
"""


def page(result: dict[str, Any]) -> str:
    """The page as Markdown."""
    over = result["overload"]
    answered, refused = (over["statuses"].get(status, 0) for status in ("200", "429"))
    sums = {f"all_{name}": over[name] + sum(run[name] for run in result["runs"]) for name in ("requests", "lost")}
    return _PAGE.format(
        **{name: result[name] for name in ("command", "workers", "queue", "load_before", "photos")},
        **sums,
        pills_per_photo=result["pills_per_photo"],
        kilobytes=round(result["mean_bytes"] / 1000),
        **origin(result),
        rows="\n".join(_row(run) for run in result["runs"]),
        clients=over["clients"],
        requests=over["requests"],
        answered=answered,
        refused=refused,
        share=refused / over["requests"],
        other=sum(over["statuses"].values()) - answered - refused,
        lost=over["lost"],
        rate=over["answers_per_second"],
        waits="\n".join(_waits(name, over[f"{name}_ms"]) for name in ("answered", "refused") if over[f"{name}_ms"]),
    )


def _row(run: dict[str, Any]) -> str:
    times = run["answered_ms"]
    return (
        f"| {run['clients']} | {run['answers_per_second']} | {times['p50']} | {times['p95']} | {times['p99']} "
        f"| {run['requests']} | {run['lost']} |"
    )


def _waits(name: str, times: dict[str, float]) -> str:
    return f"| {name} | {times['p50']} | {times['p95']} | {times['p99']} |"
