"""Compare `prepare_archive` with bare PNG decoding, and with the usual way.

    python benchmarks/prepare.py                                     # the figures of benchmarks/prepare.md
    python benchmarks/prepare.py --photos 12 --repeats 1 --out /tmp/prepare    # a minute, to try it

Claim: preparing a photograph costs little more than decoding it. In one run, on the same archives and the same number
of processes (one an archive, as Snakemake runs them), it times

- the limit: the fastest PNG decoder of this environment, decoding only, files in memory;
- ours: `prepare_archive` (zip read, decode, checks, two hashes, resize, JPEG, crops, everything written), from zips
  without compression, as PNGs are zipped, and from deflated ones;
- the usual way: unzip to disk; read all with Pillow to validate; read all with OpenCV, resize (bilinear, its quickest)
  and write JPEGs for the detector; read all with Pillow and save the crops. The same sizes, qualities and windows as
  ours, and fewer duties: no hash, no check of a label.

It also counts ten epochs of both trainings' reads. Ours: what `build_yolo_dataset` and `cut_crops` write first, then
each epoch the small photographs (as ultralytics reads them, `cv2.imread`) and the crops (as `CropDataset` reads them).
The usual way in two readings: each epoch reads the raw photographs and resizes them, as ultralytics does with a data
set of raw files (then the resized copies were not needed and are not counted), or it reads the resized copies; the
crops with Pillow, as an ImageFolder does. One epoch is timed and counted ten times.

Photographs are synthetic, 976 x 1280, with AIHub's share of combos, in PNGs by Pillow's defaults (about 1.6 MB). All
files are in the page cache, so disks do not count; starting Python and loading libraries is not timed, a job's fixed
cost is given by itself. Contestants take turns within each repeat; figures are medians over the repeats with the lowest
and highest. Processor time stands beside elapsed time: it changes little when something else runs on the machine.
Settings are those of profiles/production.
"""

import argparse
import contextlib
import datetime
import multiprocessing
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import contestants
import cv2
import numpy as np
import prepare_page
import yaml
from contestants import Job
from drawn_archives import DrawnArchive, draw_archives, shortened

from pillsnap.config.config import Crops, Prepare
from pillsnap.files import write_json, write_text
from pillsnap.hardware import cores
from pillsnap.sources.containers.container import Container
from pillsnap.tables.files import make_table, write_table
from pillsnap.tables.schemas import PLAN
from pillsnap.workflow.provenance import describe_device, git_commit

PROJECT = Path(__file__).parents[1]
PACKAGES = ("numpy", "opencv-python-headless", "pillow", "kornia-rs", "simplejpeg", "pandas", "pyarrow")
PATIENCE = 900.0


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("--photos", type=int, default=120, help="different photographs")
    parser.add_argument("--copies", type=int, default=10, help="how often each is prepared; the usual way: once")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--cores", type=int, default=min(2, cores()), help="processes, each with its archive")
    parser.add_argument("--out", type=Path, default=PROJECT / "benchmarks/prepare", help=".json and .md are added")
    parser.add_argument("--folder", type=Path, help="where archives are drawn and results written; default: temporary")
    words = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=words.folder) as folder:
        result = measure(Path(folder), words)
    write_json(words.out.with_suffix(".json"), result)
    write_text(words.out.with_suffix(".md"), prepare_page.page(result))
    print(prepare_page.page(result))


def measure(folder: Path, words: argparse.Namespace) -> dict[str, Any]:
    """Draw the archives and time every contestant; returns what `prepare.json` holds."""
    archives = draw_archives(folder, photos=words.photos, copies=words.copies, archives=words.cores)
    usual = [shortened(archive, 1 / archive.copies) for archive in archives]
    table = _decoders(archives[0])
    fastest = min(table["Pillow's defaults"], key=table["Pillow's defaults"].get)
    stages = {"prepare": _section("prepare", Prepare), "crops": _section("crops", Crops)}
    turns: list[tuple[str, Callable, str, list[DrawnArchive]]] = [
        ("limit", contestants.limit, "stored", archives),
        ("ours", contestants.ours_with_epochs, "stored", archives),
        ("ours, deflated zips", contestants.ours, "deflated", archives),
        ("limit, 1 core", contestants.limit, "stored", archives[:1]),
        ("ours, 1 core", contestants.ours, "stored", archives[:1]),
        ("the usual way", contestants.usual, "stored", usual),
    ]
    runs: dict[str, list[dict[str, Any]]] = {name: [] for name, *_ in turns}
    load = []
    for repeat in range(words.repeats):
        load.append(round(os.getloadavg()[0], 1))
        for name, contestant, kind, part in turns:
            jobs = [Job(archive, kind, folder / f"run-{i}", fastest, **stages) for i, archive in enumerate(part)]
            runs[name].append(side_by_side(contestant, jobs))
            print(f"{repeat + 1}/{words.repeats} {name}: {runs[name][-1]['steps']}", flush=True)
    few = side_by_side(contestants.ours, [Job(usual[0], "stored", folder / "run-0", fastest, **stages)])
    return _facts(words, archives, stages) | {
        "decoders_ms": table,
        "limit_decoder": fastest,
        "load": load,
        "runs": runs,
        "job_seconds": _job_seconds(folder),
        "peak_memory": {
            str(few["photos"]): few["peak_bytes"],
            str(runs["ours, 1 core"][0]["photos"]): max(run["peak_bytes"] for run in runs["ours, 1 core"]),
        },
    }


def side_by_side(contestant: Callable, jobs: list[Job]) -> dict[str, Any]:
    """Run a contestant in a fresh process for each job, all starting each step together.

    Returns:
        `photos`: in all; `steps`: by name, `seconds` until the last process was done and `cpu_seconds` of all;
        `peak_bytes`: memory of the largest process.
    """
    context = multiprocessing.get_context("spawn")
    barrier, queue = context.Barrier(len(jobs)), context.Queue()
    processes = [context.Process(target=_process, args=(contestant, job, barrier, queue)) for job in jobs]
    for process in processes:
        process.start()
    results = [queue.get(timeout=PATIENCE) for _ in processes]
    for process in processes:
        process.join()
    steps = {
        name: {
            "seconds": round(max(result["steps"][name][0] for result in results), 4),
            "cpu_seconds": round(sum(result["steps"][name][1] for result in results), 4),
        }
        for name in results[0]["steps"]
    }
    photos = sum(len(job.archive.members) * job.archive.copies for job in jobs)
    return {"photos": photos, "steps": steps, "peak_bytes": max(result["peak_bytes"] for result in results)}


def _process(contestant: Callable, job: Job, barrier: Any, queue: Any) -> None:
    steps: dict[str, tuple[float, float]] = {}

    @contextlib.contextmanager
    def step(name: str) -> Iterator[None]:
        barrier.wait(PATIENCE)
        start, cpu = time.perf_counter(), time.process_time()
        yield
        steps[name] = time.perf_counter() - start, time.process_time() - cpu

    cv2.setNumThreads(1)
    contestants.clear(job.folder)
    contestant(job, step)
    status = Path("/proc/self/status").read_text(encoding="utf-8").split()
    queue.put({"steps": steps, "peak_bytes": int(status[status.index("VmHWM:") + 1]) * 1024})


def _decoders(archive: DrawnArchive) -> dict[str, dict[str, float]]:
    """Milliseconds of processor time a photograph, by way of writing PNGs and decoder; medians of 5 rounds."""
    with Container(archive.zips["stored"].photos) as container:
        files = [container.read(member) for member in archive.members[:12]]
    pictures = [cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR) for data in files]
    kinds = {"Pillow's defaults": files, "OpenCV's": [cv2.imencode(".png", p)[1].tobytes() for p in pictures]}
    found: dict[str, dict[str, float]] = {}
    for kind, data in kinds.items():
        times: dict[str, list[float]] = {name: [] for name in contestants.decoders()}
        for _ in range(6):
            for name, decode in contestants.decoders().items():
                start = time.process_time()
                for file in data:
                    decode(file)
                times[name].append((time.process_time() - start) / len(data) * 1000)
        # the first round warms up
        found[kind] = {name: round(statistics.median(values[1:]), 2) for name, values in times.items()}
    return found


def _job_seconds(folder: Path) -> list[float]:
    """Seconds of jobs that have no photograph to prepare: the fixed cost of an archive."""
    write_table(make_table([], PLAN), folder / "empty.parquet", PLAN)
    code = (
        "import sys; from pathlib import Path; from pillsnap.config.config import Prepare;"
        "from pillsnap.sources.archives import Archive; from pillsnap.manifest.prepare_archive import prepare_archive;"
        "folder = Path(sys.argv[1]);"
        "paths = {'plan': folder / 'empty.parquet', 'prepared': folder / 'empty'};"
        "prepare_archive(archive=Archive('TS_1', '', '', '', ''), **paths, settings=Prepare(), threads=1)"
    )
    seconds = []
    for _ in range(3):
        start = time.perf_counter()
        subprocess.run([sys.executable, "-c", code, str(folder)], check=True)
        seconds.append(round(time.perf_counter() - start, 3))
    return seconds


def _section(name: str, model: type) -> Any:
    """A section of config.yaml with the production profile laid over it."""
    files = (PROJECT / "config.yaml", PROJECT / "profiles/production/pillsnap.yaml")
    loaded = [yaml.safe_load(file.read_text(encoding="utf-8")).get(name, {}) for file in files]
    return model(**loaded[0] | loaded[1])


def _facts(words: argparse.Namespace, archives: list[DrawnArchive], stages: dict[str, Any]) -> dict[str, Any]:
    different = sum(len(archive.members) for archive in archives)
    stored = sum(Path(archive.zips["stored"].photos).stat().st_size for archive in archives)
    counts = {"different": different, "prepared": different * words.copies, "mean_bytes": round(stored / different)}
    versions = {}
    for package in PACKAGES:
        with contextlib.suppress(PackageNotFoundError):
            versions[package] = version(package)
    return {
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "device": describe_device("cpu"),
        "commit": git_commit(),
        "versions": versions,
        "cores": words.cores,
        "repeats": words.repeats,
        "photos": counts,
        "settings": {name: section.model_dump() for name, section in stages.items()},
    }


if __name__ == "__main__":
    main()
