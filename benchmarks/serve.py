"""Measure `pillsnap serve` under load: photographs a second, time that each client waits, and lost requests.

    python benchmarks/serve.py                                               # the figures of benchmarks/serve.md
    python benchmarks/serve.py --requests 40 --clients 1 4 --out /tmp/serve  # half a minute, to try it

Claim: under any load each request is answered or refused; what is answered is answered within a bounded time.

Method: the real command is started on a free port of loopback and receives requests over real sockets. Photographs are
the combos of a stage's test part, as stored: JPEGs at native size. Each client is a thread with a connection of its own
that stays open, and sends the next photograph when it has the answer to the last. A request without an HTTP response
counts as lost. The clients' threads run on the same cores as the service, so the service alone would do a little
better.

For each number of clients the queue has a place for every one, and a fixed number of requests is sent. Then the
service is overloaded: as many clients as `--overload` says, before a queue of `--queue`; a client that is refused waits
the seconds of Retry-After and then sends its next photograph.
"""

import argparse
import contextlib
import datetime
import http.client
import json
import os
import shlex
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import serve_page

from pillsnap.files import write_json, write_text
from pillsnap.hardware import cores
from pillsnap.manifest.stored_photos import stored_photos
from pillsnap.tables.files import read_table
from pillsnap.tables.schemas import MANIFEST
from pillsnap.workflow.provenance import describe_device, git_commit, package_versions

PROJECT = Path(__file__).parents[1]
BOUNDARY = "photo"
WARM_UP = 10


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument(
        "--stage", type=Path, default=Path("results/stage4"), help="its manifest and stored photographs"
    )
    parser.add_argument("--models", type=Path, help="default: onnx in the stage's folder")
    parser.add_argument("--requests", type=int, default=600, help="for each number of clients")
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 2, 4, 8, 16])
    parser.add_argument("--overload", type=int, default=32, help="clients that are too many")
    parser.add_argument("--queue", type=int, default=4, help="places in the queue that is too short for them")
    parser.add_argument("--workers", type=int, default=cores())
    parser.add_argument("--out", type=Path, default=PROJECT / "benchmarks/serve", help=".json and .md are added")
    words = parser.parse_args()
    models, before = words.models or words.stage / "onnx", round(os.getloadavg()[0], 1)
    photos, pills = read_photos(words.stage)
    runs = []
    with service(models, workers=words.workers, queue=max(words.clients)) as (_, address):
        for clients in words.clients:
            runs.append(load(address, photos, clients=clients, count=words.requests))
            print(runs[-1], flush=True)
    with service(models, workers=words.workers, queue=words.queue) as (_, address):
        overload = load(address, photos, clients=words.overload, count=words.requests)
    result = _facts(words, photos, pills) | {"load_before": before, "runs": runs, "overload": overload}
    write_json(words.out.with_suffix(".json"), result)
    write_text(words.out.with_suffix(".md"), serve_page.page(result))
    print(serve_page.page(result))


def read_photos(stage: Path) -> tuple[list[bytes], int]:
    """JPEGs of a stage's combos of the test part, and the number of their pills."""
    manifest = read_table(stage / "manifest/test.csv", MANIFEST)
    combos = manifest[manifest["domain"] == "combo"]
    return [jpeg for jpeg, _ in stored_photos(combos, sorted((stage / "prepared").iterdir()))], len(combos)


@contextlib.contextmanager
def service(models: Path, *, workers: int, queue: int) -> Iterator[tuple[subprocess.Popen[str], tuple[str, int]]]:
    """The command at a free port: its process, host and port. It must end with status 0."""
    command = [sys.executable, "-m", "pillsnap.cli", "serve", "--models", str(models), "--port", "0", "--device", "cpu"]
    with tempfile.TemporaryFile("w+") as log:
        process = subprocess.Popen(
            [*command, "--workers", str(workers), "--queue", str(queue)],
            env=os.environ | {"PYTHONPATH": str(PROJECT)}, stdout=subprocess.PIPE, stderr=log, text=True,
        )  # fmt: skip
        try:
            said = process.stdout.readline().split()
            if said:
                host, port = said[3].removeprefix("http://").split(":")
                yield process, (host, int(port))
                process.terminate()
            if process.wait(60):
                log.seek(0)
                raise SystemExit(f"the service ended with status {process.returncode}:\n{log.read()[-2000:]}")
        finally:
            process.kill()
            process.wait()


@dataclass
class Seen:
    """Responses as clients saw them: seconds by status, and requests without a response."""

    seconds: dict[int, list[float]] = field(default_factory=dict)
    lost: int = 0


def load(address: tuple[str, int], photos: Sequence[bytes], *, clients: int, count: int) -> dict[str, Any]:
    """Send `count` photographs by so many clients at a time; returns what they saw, in milliseconds."""
    forms = [_form(photo) for photo in photos]
    ask(address, forms, range(WARM_UP), Seen())
    seen, turns = [Seen() for _ in range(clients)], [range(client, count, clients) for client in range(clients)]
    threads = [
        threading.Thread(target=ask, args=(address, forms, turn, one)) for turn, one in zip(turns, seen, strict=True)
    ]
    begun = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    elapsed = time.perf_counter() - begun
    statuses = Counter(status for one in seen for status, each in one.seconds.items() for _ in each)
    answered, refused = ([value for one in seen for value in one.seconds.get(status, [])] for status in (200, 429))
    return {
        "clients": clients,
        "requests": count,
        "statuses": {str(status): number for status, number in sorted(statuses.items())},
        "lost": sum(one.lost for one in seen),
        "seconds": round(elapsed, 2),
        "answers_per_second": round(len(answered) / elapsed, 2),
        "answered_ms": percentiles(answered),
        "refused_ms": percentiles(refused),
    }


def ask(address: tuple[str, int], forms: Sequence[bytes], turn: range, seen: Seen) -> None:
    """One client: its share of the requests, one after the other on one connection."""
    headers = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}
    connection = http.client.HTTPConnection(*address, timeout=60)
    for number in turn:
        begun = time.perf_counter()
        try:
            connection.request("POST", "/v1/identify", forms[number % len(forms)], headers)
            response = connection.getresponse()
            json.loads(response.read())
        except (OSError, http.client.HTTPException, ValueError):
            seen.lost += 1
            connection.close()
            continue
        seen.seconds.setdefault(response.status, []).append(time.perf_counter() - begun)
        if response.status == 429:
            time.sleep(int(response.headers["Retry-After"]))
    connection.close()


def _form(photo: bytes) -> bytes:
    part = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{{}}"{{}}\r\n\r\n'
    mode = part.format("mode", "").encode() + b"combo\r\n"
    return mode + part.format("photo", '; filename="photo.jpg"').encode() + photo + f"\r\n--{BOUNDARY}--\r\n".encode()


def percentiles(seconds: Sequence[float]) -> dict[str, float] | None:
    """p50, p95 and p99 in milliseconds; `None` of nothing."""
    if not seconds:
        return None
    return {f"p{percent}": round(float(np.percentile(seconds, percent)) * 1000, 1) for percent in (50, 95, 99)}


def _facts(words: argparse.Namespace, photos: Sequence[bytes], pills: int) -> dict[str, Any]:
    options = [f"--requests={words.requests}", "--clients", *map(str, words.clients)]
    options += [f"--overload={words.overload}", f"--queue={words.queue}", f"--workers={words.workers}"]
    return surroundings("cpu") | {
        "command": shlex.join(["python", "benchmarks/serve.py", *options]),
        "workers": words.workers,
        "queue": words.queue,
        "photos": len(photos),
        "pills_per_photo": round(pills / len(photos), 2),
        "mean_bytes": round(sum(map(len, photos)) / len(photos)),
    }


def surroundings(device: str) -> dict[str, Any]:
    """Date, device, commit and versions of a measurement."""
    return {
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "device": describe_device(device),
        "commit": git_commit(),
        "versions": package_versions(),
    }


if __name__ == "__main__":
    main()
