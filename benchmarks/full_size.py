"""Rules that read every label, at AIHub's full size, on one small machine.

    python benchmarks/full_size.py                               # the figures of benchmarks/full_size.md
    python benchmarks/full_size.py --small --out /tmp/full_size  # seconds, to try it

Claim: 2,630,000 labels of 4,523 drugs in 200 pairs of archives are indexed at 15,000 labels a second and core; stage4
(500,000 photographs) is planned in less than 20 s and 4 GB; `snakemake -n` for all of them takes less than 10 s; the
manifest of 500,000 photographs less than 30 s.

Archives are built first, without pixels: every photograph is an empty member, since neither index nor plan opens one;
every label is a complete one, 1.1 kB of JSON, deflated. They are indexed by `index_archive`, one process a core. The
later steps need prepared photographs: their tables are made up (sizes, random hashes), and all point at one small
picture, so that what pixels cost is left out; of `cut_crops` it is measured by itself. Each step runs in a process of
its own; seconds are elapsed time, memory is the largest process's peak. Files are in the page cache. Data are
synthetic.
"""

import argparse
import datetime
import multiprocessing
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import pandas as pd
from full_size_archives import FULL, Plan, build_archives
from full_size_prepared import (
    build_dataset,
    cut_tables,
    hashed_bytes_a_second,
    make_up_detections,
    make_up_prepared,
    pill_cut_seconds,
    write_page,
)
from page_origin import origin

from pillsnap.config.data import Manifest, Stage
from pillsnap.config.data import Plan as PlanSettings
from pillsnap.files import write_json, write_text
from pillsnap.hardware import cores
from pillsnap.manifest.build_manifest import build_manifest
from pillsnap.manifest.index_archive import index_archive
from pillsnap.manifest.plan_stage import plan_stage
from pillsnap.sources.archives import Archive
from pillsnap.sources.registry import list_archives
from pillsnap.sources.settings import Source
from pillsnap.tables.files import read_table
from pillsnap.tables.schemas import PLAN
from pillsnap.workflow.provenance import describe_device, git_commit, package_versions

PROJECT = Path(__file__).parents[1]
SMALL = Plan(3000, 20, 3, 1, 2, 1, 900)

PAGE = """# Index, plan and manifest at full size: measured

Made by `python benchmarks/full_size.py`, whose first lines tell how; every figure is from
[full_size.json](full_size.json). Data are synthetic; no pixel is read.

- {date}, {device}; commit `{commit}`{dirty}; pandas {pandas}
- {labels:,} labels, {photos:,} photographs, {drugs:,} drugs, {pairs} pairs of archives

| step | seconds | of processors | peak memory of a process | |
|---|---|---|---|---|
{rows}

Indexing runs at {rate:,.0f} labels a second and core, {processes} processes. A pill's pixels take `cut_crops`
{pill:.1f} ms of a core at production's size. A core hashes {hashed:.2f} GB a second: each job does so with what it read
and wrote.
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--small", action="store_true", help="3,000 labels, to try it")
    parser.add_argument("--folder", type=Path, help="keep archives and results here; what is there is not built again")
    parser.add_argument("--cores", type=int, default=min(2, cores()), help="processes that index side by side")
    parser.add_argument("--images", type=int, default=500_000, help="budget of photographs")
    parser.add_argument("--out", type=Path, default=PROJECT / "benchmarks/full_size", help=".json and .md are added")
    words = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        result = measure(Path(words.folder or temporary), SMALL if words.small else FULL, words.cores, words.images)
    write_json(words.out.with_suffix(".json"), result)
    write_text(words.out.with_suffix(".md"), page(result))
    print(page(result))


def measure(folder: Path, plan: Plan, processes: int, images: int) -> dict[str, Any]:
    """Build what is not there yet, and time every step; returns what `full_size.json` holds."""
    root, results = folder / "aihub", folder / "results"
    steps: dict[str, dict[str, Any]] = {}
    if not root.is_dir():
        steps["build the archives"] = timed(build_archives, root, plan, processes)
    archives = list(list_archives(Source(kind="aihub", root=str(root))).values())
    shutil.rmtree(results, ignore_errors=True)
    results.mkdir(parents=True)
    steps["index"] = timed(index_all, archives, results, processes)
    steps["plan stage4"] = timed(plan_all, archives, results, images, plan.drugs)
    steps["snakemake -n"] = timed(dry_run, root)
    names = [archive.name for archive in archives]
    timed(make_up_prepared, names, results)
    steps["manifest"] = timed(manifest_all, archives, results)
    timed(make_up_detections, results / "manifest", results / "detections.parquet")
    for step in (build_dataset, write_page, cut_tables):
        steps[step.__name__] = timed(step, names, results)
    planned = read_table(results / "plan.parquet", PLAN)
    labels = plan.labels - plan.combo_labels + _labels_of(archives, results, "combo")
    return {
        "date": datetime.date.today().isoformat(),
        "device": describe_device("cpu"),
        "processes": processes,
        "commit": git_commit(),
        "versions": package_versions() | {"pandas": pd.__version__},
        "labels": labels,
        "photos": plan.labels - plan.combo_labels + _labels_of(archives, results, "combo") // 3,
        "drugs": plan.drugs,
        "pairs": len(archives),
        "planned_photos": int(planned["image_id"].nunique()),
        "planned_drugs": int(planned["k_code"].nunique()),
        "labels_a_second_and_core": labels / steps["index"]["seconds"] / processes,
        "pill_cut_seconds": pill_cut_seconds(),
        "hashed_bytes_a_second": hashed_bytes_a_second(folder),
        "steps": steps,
    }


def timed(step: Callable, *words: Any) -> dict[str, float]:
    """Run a step in a fresh process; its seconds, and the peak memory of the largest process in bytes."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(_timed, step, *words).result()


def _timed(step: Callable, *words: Any) -> dict[str, float]:
    start = time.perf_counter()
    step(*words)
    seconds = time.perf_counter() - start
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    cpu = sum(usage.ru_utime + usage.ru_stime for usage in used)
    peak = max(usage.ru_maxrss for usage in used)
    return {"seconds": round(seconds, 2), "cpu_seconds": round(cpu, 2), "peak_bytes": peak * 1024}


def index_all(archives: list[Archive], results: Path, processes: int) -> None:
    with ProcessPoolExecutor(processes, multiprocessing.get_context("spawn")) as pool:
        list(pool.map(_index, archives, [results] * len(archives)))


def _index(archive: Archive, results: Path) -> None:
    tables = {kind: f"{kind}.parquet" for kind in ("backgrounds", "looks", "issues")}
    paths = tables | {"pills": "parquet", "counts": "counts.json"}
    outputs = {name: results / f"{archive.name}.{ending}" for name, ending in paths.items()}
    index_archive(kind="aihub", archive=archive, **outputs)


def plan_all(archives: list[Archive], results: Path, images: int, drugs: int) -> None:
    plan_stage(
        pills=[results / f"{archive.name}.parquet" for archive in archives],
        index_backgrounds=[results / f"{archive.name}.backgrounds.parquet" for archive in archives],
        index_issues=[results / f"{archive.name}.issues.parquet" for archive in archives],
        refused=results / "refused.csv",
        plan=results / "plan.parquet",
        backgrounds=results / "plan.backgrounds.parquet",
        issues=results / "plan.issues.parquet",
        summary=results / "plan.json",
        stage=Stage(images=images, classes=drugs),
        settings=PlanSettings(),
        seed=576,
    )


def dry_run(root: Path) -> None:
    """Snakemake's dry run for the report of stage4, from nothing."""
    config = f"source={{kind: aihub, root: {root}}}"
    moved = "pathvars={results: results/full_size, logs: logs/full_size, work: work/full_size}"
    words = [
        "snakemake",
        "--dry-run",
        "--quiet",
        "--config",
        config,
        moved,
        "--",
        "results/full_size/stage4/report.html",
    ]
    subprocess.run([Path(sys.executable).parent / words[0], *words[1:]], cwd=PROJECT, check=True, capture_output=True)


def manifest_all(archives: list[Archive], results: Path) -> None:
    build_manifest(
        plan=results / "plan.parquet",
        plan_backgrounds=results / "plan.backgrounds.parquet",
        plan_issues=results / "plan.issues.parquet",
        plan_summary=results / "plan.json",
        counts=[results / f"{archive.name}.counts.json" for archive in archives],
        issues=[results / f"{archive.name}.issues.parquet" for archive in archives],
        looks=[results / f"{archive.name}.looks.parquet" for archive in archives],
        prepared=[results / "prepared" / archive.name for archive in archives],
        manifest={split: results / "manifest" / f"{split}.csv" for split in ("train", "val", "test")},
        unseen=results / "manifest/unseen.csv",
        backgrounds=results / "manifest/backgrounds.csv",
        quarantine=results / "manifest/quarantine.csv",
        near_duplicates=results / "manifest/near_duplicates.csv",
        overlapping_labels=results / "manifest/overlapping_labels.csv",
        classes=results / "manifest/classes.json",
        drugs=results / "manifest/drugs.csv",
        summary=results / "manifest/summary.json",
        refused=results / "refused.csv",
        settings=Manifest(),
        shared_groups="hold_out",
        source_of={archive.name: "aihub" for archive in archives},
    )


def _labels_of(archives: list[Archive], results: Path, domain: str) -> int:
    names = [archive.name for archive in archives if archive.domain == domain]
    return sum(len(pd.read_parquet(results / f"{name}.parquet", columns=["k_code"])) for name in names)


def page(result: dict[str, Any]) -> str:
    """The page as Markdown."""
    told = {
        "build the archives": "no part of the pipeline",
        "index": f"all {result['pairs']} pairs, {result['processes']} processes",
        "plan stage4": f"{result['planned_photos']:,} photographs, {result['planned_drugs']:,} drugs",
        "snakemake -n": "the report of stage4, nothing made yet",
        "manifest": "with the audit of the split",
        "build_dataset": "`build_yolo_dataset` without the photographs' bytes",
        "write_page": "`write_dataset_page`",
        "cut_tables": "`cut_crops` on one core, without its pixels",
    }
    rows = [
        f"| {name} | {step['seconds']:.1f} | {step['cpu_seconds']:.1f} | {step['peak_bytes'] / 1e9:.2f} GB "
        f"| {told[name]} |"
        for name, step in result["steps"].items()
    ]
    return PAGE.format(
        **{key: result[key] for key in ("labels", "photos", "drugs", "pairs", "processes")},
        **origin(result),
        pandas=result["versions"]["pandas"],
        rate=result["labels_a_second_and_core"],
        pill=result["pill_cut_seconds"] * 1e3,
        hashed=result["hashed_bytes_a_second"] / 1e9,
        rows="\n".join(rows),
    )


if __name__ == "__main__":
    main()
