"""Keep `pillsnap serve` under mixed good, odd and hostile requests at twice its capacity: memory, losses, waits.

    python benchmarks/soak.py --seconds 3600              # one hour: `make soak`
    python benchmarks/soak.py --seconds 60 --out /tmp/soak

Claim: whatever comes, each whole request is answered or refused, and memory stays within 5 %.

Method: the real command is started on a free port of loopback. Twice as many clients as it takes in at a time (workers
and places in the queue) send one request after the other, drawn from `kinds_of` with a seed: photographs in several
formats, damaged and costly ones, forms with faults. Beside them connections are left half open, broken off, pipelined,
or never read from.
A client that is refused (429) waits the seconds of Retry-After. A whole request without a response counts as lost, a
status other than those of its kind as wrong. The memory of the service (RSS) is read once a second; the first third of
the time is warm-up, and the largest value of the last third is compared with that of the second. At the end the service
is stopped by SIGTERM.
"""

import argparse
import contextlib
import http.client
import io
import itertools
import os
import random
import shlex
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pillow_heif
import psutil
import soak_page
from PIL import Image
from serve import BOUNDARY, PROJECT, percentiles, read_photos, service, surroundings

from pillsnap.files import write_json, write_text
from pillsnap.hardware import cores

BUSY = (429, 503, 504)
"""Statuses that any photograph may get where the service has too much to do."""
HALF_OPEN = 100
"""Connections with half a request that are held open at a time."""
PAUSE = 0.5
"""Seconds for which a broken request is left as it is."""
MEMORY_GROWTH = 0.05


@dataclass(frozen=True)
class Kind:
    """A kind of request: how often it comes, its form, and the status that it must get unless the service is busy."""

    share: int
    body: bytes
    status: int


@dataclass
class Seen:
    """What a client saw: seconds of accepted photographs, statuses, losses, and statuses that were wrong."""

    accepted: list[float] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)
    kinds: Counter[str] = field(default_factory=Counter)
    wrong: Counter[str] = field(default_factory=Counter)
    lost: int = 0


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("--stage", type=Path, default=Path("results/stage4"))
    parser.add_argument("--models", type=Path, help="default: onnx in the stage's folder")
    parser.add_argument("--seconds", type=float, default=3600)
    parser.add_argument("--workers", type=int, default=cores())
    parser.add_argument("--queue", type=int, default=4)
    parser.add_argument("--out", type=Path, default=PROJECT / "benchmarks/soak", help=".json and .md are added")
    words = parser.parse_args()
    before = round(os.getloadavg()[0], 1)
    photos, _ = read_photos(words.stage)
    result = surroundings("cpu") | {
        "command": shlex.join(["python", "benchmarks/soak.py", f"--seconds={words.seconds:g}"]),
        "load_before": before,
        "workers": words.workers,
        "queue": words.queue,
        **soak(words.models or words.stage / "onnx", kinds_of(photos), words),
    }
    write_json(words.out.with_suffix(".json"), result)
    write_text(words.out.with_suffix(".md"), soak_page.page(result))
    print(soak_page.page(result))
    if result["lost"] or result["wrong"] or result["status"] or result["memory_growth"] > MEMORY_GROWTH:
        raise SystemExit("The claim does not hold.")


def kinds_of(photos: Sequence[bytes]) -> dict[str, Kind]:
    """All kinds of requests with a form, of these JPEGs."""
    photo = photos[0]
    image = Image.open(io.BytesIO(photo))

    def saved(kind: str, **options: Any) -> bytes:
        stream = io.BytesIO()
        image.save(stream, kind, **options)
        return stream.getvalue()

    pillow_heif.register_heif_opener()  # so that Pillow writes them
    heic = saved("HEIF", quality=90, tile_size=512, subsampling="4:2:0")  # as iPhones do
    first = int.from_bytes(heic[:4], "big")  # bytes of the first box
    many_boxes = heic[:first] + b"\0\0\0\x08free" * 2_000 + heic[first:]
    progressive = saved("JPEG", progressive=True)
    last = progressive.rindex(b"\xff\xda")
    many_scans = progressive[:-2] + progressive[last:-2] * 500 + b"\xff\xd9"
    large = saved("PNG")[:16] + (50_000).to_bytes(4, "big") * 2 + saved("PNG")[24:]
    good = {f"JPEG {place}": Kind(4, form(each), 200) for place, each in enumerate(photos[:10])}
    return good | {
        "PNG": Kind(4, form(saved("PNG")), 200),
        "HEIC": Kind(4, form(heic), 200),
        "AVIF": Kind(4, form(saved("AVIF")), 200),
        "WebP": Kind(4, form(saved("WEBP")), 200),
        "TIFF": Kind(2, form(saved("TIFF")), 200),
        "progressive JPEG": Kind(4, form(progressive), 200),
        "half a JPEG": Kind(2, form(photo[: len(photo) // 2]), 400),
        "half a HEIC": Kind(2, form(heic[: len(heic) // 2]), 400),
        "text": Kind(2, form(b"no picture" * 100), 400),
        "no bytes": Kind(2, form(b""), 400),
        "JPEG of 500 scans": Kind(2, form(many_scans), 413),
        "HEIC of 2,000 boxes": Kind(2, form(many_boxes), 413),
        "PNG of 2,500 megapixels": Kind(2, form(large), 413),
        "no photograph": Kind(2, form(photo, name="picture"), 422),
        "no mode": Kind(2, form(photo, mode="triple"), 422),
        "no form": Kind(2, b"garbage" * 1000, 422),
    }


def form(photo: bytes, name: str = "photo", mode: str = "combo") -> bytes:
    """The body of a request."""
    part = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{{}}"{{}}\r\n\r\n'
    head = part.format("mode", "") + f"{mode}\r\n" + part.format(name, '; filename="photo.jpg"')
    return head.encode() + photo + f"\r\n--{BOUNDARY}--\r\n".encode()


def soak(models: Path, kinds: dict[str, Kind], words: argparse.Namespace) -> dict[str, Any]:
    """Ask for so many seconds; returns what clients saw and what the service used."""
    clients = 2 * (words.workers + words.queue)
    seen = [Seen() for _ in range(clients)]
    with service(models, workers=words.workers, queue=words.queue) as (process, address):
        end = time.monotonic() + words.seconds
        threads = [threading.Thread(target=ask, args=(address, kinds, end, n, one)) for n, one in enumerate(seen)]
        threads.append(threading.Thread(target=trouble, args=(address, kinds["JPEG 0"].body, end)))
        for thread in threads:
            thread.start()
        memory = list(memory_of(process.pid, end))
        for thread in threads:
            thread.join()
        process.terminate()
        begun = time.monotonic()
        status = process.wait(60)
    third = len(memory) // 3
    peaks = max(memory[third : 2 * third]), max(memory[2 * third :])
    accepted = [seconds for one in seen for seconds in one.accepted]
    return {
        "seconds": words.seconds,
        "clients": clients,
        "requests": sum(sum(one.kinds.values()) for one in seen),
        "kinds": dict(sorted(sum((one.kinds for one in seen), Counter()).items())),
        "statuses": {str(each): n for each, n in sorted(sum((one.statuses for one in seen), Counter()).items())},
        "wrong": dict(sum((one.wrong for one in seen), Counter())),
        "lost": sum(one.lost for one in seen),
        "accepted_ms": percentiles(accepted),
        "memory_mb": [round(peak / 1e6, 1) for peak in peaks],
        "memory_growth": round(peaks[1] / peaks[0] - 1, 4),
        "status": status,
        "stop_seconds": round(time.monotonic() - begun, 2),
    }


def memory_of(process: int, end: float) -> Iterator[int]:
    """Resident memory of a process, bytes, once a second."""
    watched = psutil.Process(process)
    while time.monotonic() < end:
        yield watched.memory_info().rss
        time.sleep(1)


def ask(address: tuple[str, int], kinds: dict[str, Kind], end: float, number: int, seen: Seen) -> None:
    """One client: whole requests one after the other on one connection."""
    draw = random.Random(number)  # noqa: S311
    names, shares = list(kinds), [kind.share for kind in kinds.values()]
    headers = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}
    connection = http.client.HTTPConnection(*address, timeout=60)
    while time.monotonic() < end:
        (name,) = draw.choices(names, shares)
        kind, begun = kinds[name], time.perf_counter()
        seen.kinds[name] += 1
        try:
            connection.request("POST", "/v1/identify", kind.body, headers)
            response = connection.getresponse()
            response.read()
        except (OSError, http.client.HTTPException):
            seen.lost += 1
            connection.close()
            continue
        seen.statuses[response.status] += 1
        if response.status == 200:
            seen.accepted.append(time.perf_counter() - begun)
        if response.status not in (kind.status, *BUSY):
            seen.wrong[f"{name}: {response.status}"] += 1
        if response.status == 429:
            time.sleep(int(response.headers["Retry-After"]))
    connection.close()


def trouble(address: tuple[str, int], body: bytes, end: float) -> None:
    """Connections that no good client makes: half a request, a broken one, pages that are never read, no HTTP."""
    head = b"POST /v1/identify HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data; boundary=" + BOUNDARY.encode()
    whole = head + b"\r\nContent-Length: %d\r\n\r\n" % len(body) + body
    others = whole[: len(whole) // 2], whole, b"GET /v1/health HTTP/1.1\r\nHost: x\r\n\r\n" * 20, b"\x16\x03\x01"
    unread = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" * 100
    half_open: list[socket.socket] = []
    for turn in itertools.count():
        for piece in (*(head,) * 9, unread):
            _leave(address, piece, half_open, HALF_OPEN)
        broken: list[socket.socket] = []
        _leave(address, others[turn % len(others)], broken, 1)
        time.sleep(PAUSE)
        for connection in broken:
            connection.close()
        if time.monotonic() > end:
            break
    for connection in half_open:
        connection.close()


def _leave(address: tuple[str, int], piece: bytes, held: list[socket.socket], most: int) -> None:
    """Send a piece on a new connection and leave that open; the oldest ones beyond `most` are closed."""
    with contextlib.suppress(OSError):
        connection = socket.create_connection(address, timeout=5)
        held.append(connection)
        connection.sendall(piece)
    while len(held) > most:
        held.pop(0).close()


if __name__ == "__main__":
    main()
