"""Time an answer: one graph in FP32 and INT8, three ONNX sessions, and ultralytics with timm in PyTorch.

    python benchmarks/answers.py                                          # the figures of benchmarks/answers.md
    python benchmarks/answers.py --count 10 --warmup 2 --out /tmp/answers  # to try it

Aim: the fused graph answers a photograph of four pills at least twice as fast as ultralytics and timm do.

Method: all ways get the same bytes, the stage's test photographs at native size as JPEG, and answer them in turn,
photograph by photograph, so that each sees the same machine. The same weights, input sizes, thresholds and number of
threads hold for all. Each way decodes for itself: ours with libjpeg-turbo, theirs with Pillow, as their documentation
shows it. It is the measurement of rule `run_benchmark`, on a stage that is made.
"""

import argparse
import datetime
import os
import shlex
import sys
import tempfile
from pathlib import Path
from typing import Any

from pillsnap.benchmark.speed import StageFiles, measure_speed
from pillsnap.benchmark.timing import PERCENTILES
from pillsnap.config.config import Benchmark
from pillsnap.files import write_json, write_text
from pillsnap.hardware import HardwareError
from pillsnap.tables.files import read_table
from pillsnap.tables.schemas import MANIFEST
from pillsnap.workflow.provenance import describe_device, git_commit, package_versions

PROJECT = Path(__file__).parents[1]
WAYS = {"fused": "one graph", "int8": "one graph in INT8", "steps": "three sessions", "pytorch": "ultralytics and timm"}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("--stage", type=Path, default=Path("results/stage4"), help="a stage that is made")
    parser.add_argument("--count", type=int, default=300, help="timed answers of each way")
    parser.add_argument("--warmup", type=int, default=20, help="untimed answers before")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--device", choices=["auto", "cpu", "cuda"], default="auto")
    parser.add_argument("--out", type=Path, default=PROJECT / "benchmarks/answers", help=".json and .md are added")
    words = parser.parse_args()
    before = round(os.getloadavg()[0], 1)
    try:
        result = measure(words) | {"load_before": before}
    except HardwareError as error:
        raise SystemExit(str(error)) from error
    write_json(words.out.with_suffix(".json"), result)
    write_text(words.out.with_suffix(".md"), page(result))
    print(page(result))


def measure(words: argparse.Namespace) -> dict[str, Any]:
    """The figures of `pillsnap.benchmark.speed`, with what they were measured on."""
    with tempfile.TemporaryDirectory() as work:
        stage = StageFiles(
            words.stage / "onnx",
            words.stage / "detector/best.pt",
            words.stage / "classifier/best.safetensors",
            read_table(words.stage / "manifest/test.csv", MANIFEST),
            sorted((words.stage / "prepared").iterdir()),
            Path(work),
        )
        counts = {"latency_photos": words.count, "warmup": words.warmup}
        settings = Benchmark(**counts, threads=words.threads)
        speed = measure_speed(stage, settings, compared=words.count, device=words.device)
    return speed | {
        "command": shlex.join(["python", "benchmarks/answers.py", *sys.argv[1:]]),
        "date": datetime.date.today().isoformat(),
        "device": describe_device(speed["device"]),
        "commit": git_commit()["hash"][:10],
        "versions": package_versions(),
    }


def told(times: dict[str, float]) -> str:
    """The three percentiles as cells of a table."""
    return " | ".join(f"{times[f'p{percent}_ms']:.1f}" for percent in PERCENTILES)


def page(result: dict[str, Any]) -> str:
    """The measured figures as Markdown."""
    rows = [
        f"| {pills} | {WAYS[name]} | {told(way)} | {way['times']:.2f} |"
        for pills, ways in result["side_by_side"].items()
        for name, way in ways.items()
        if name in WAYS
    ]
    steps = [
        f"| {mode} | {way} | {step} | {told(times)} |"
        for mode in ("single", "combo")
        for way, measured in ((WAYS["fused"], result[mode]), (WAYS["steps"], result["steps"][mode]))
        for step, times in measured.items()
        if isinstance(times, dict)
    ]
    batch = [
        f"| {mode} | {each['workers']} | {each['photos_per_second']:.1f} |"
        for mode, each in result["throughput"].items()
    ]
    versions = ", ".join(f"{name} {version}" for name, version in result["versions"].items())
    counts = next(iter(result["side_by_side"].values()))
    return f"""# Answers: measured

Made by `{result["command"]}`; the first lines of [answers.py](answers.py) tell the method, and every figure is computed
from [answers.json](answers.json). **The photographs are synthetic.**

- {result["date"]}, {result["device"]}; {result["threads"]} threads; commit `{result["commit"]}`; load average before
  the start {result["load_before"]}
- {versions}

## Side by side

Whole answers, from a JPEG in memory; {counts["n"]} of each way, in turn. `times` is the median as a multiple of that of
the one graph. Photographs with 8 pills are two with 4 side by side.

| pills | way | p50 ms | p95 ms | p99 ms | times |
|---|---|---|---|---|---|
{chr(10).join(rows)}

## Step by step

| photograph | way | step | p50 ms | p95 ms | p99 ms |
|---|---|---|---|---|---|
{chr(10).join(steps)}

## In batch

One thread of arithmetic for each of as many questions at a time as there are workers.

| photographs | workers | photographs a second |
|---|---|---|
{chr(10).join(batch)}
"""


if __name__ == "__main__":
    main()
