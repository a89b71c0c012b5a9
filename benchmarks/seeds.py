"""Run a whole stage with several seeds, each from nothing, and compare its figures with the stage's targets.

    python benchmarks/seeds.py               # the figures of benchmarks/seeds.md; 13 minutes a seed on two cores
    python benchmarks/seeds.py --seeds 1 --config config.yaml tests/workflow/tiny.yaml --folder /tmp/seeds \\
        --out /tmp/seeds/page                # some minutes, to try it; its figures mean nothing

Claim: the default configuration meets its targets, and not by one lucky seed.

Another seed draws other photographs of other drugs, divides them otherwise and starts the trainings otherwise. Each run
has a folder of its own (Snakemake's option `--directory`) below `--folder`, where it stays and is not made twice; a run
that was stopped goes on, and then has no time of its own. The time is that of `snakemake` alone, the environment
installed; nothing else should run beside it.
"""

import argparse
import datetime
import shlex
import subprocess
import time
from pathlib import Path
from typing import Any

import seeds_page

from pillsnap.config.load import read_config
from pillsnap.files import read_json, write_json, write_text
from pillsnap.workflow.provenance import describe_device, git_commit, package_versions

PROJECT = Path(__file__).resolve().parents[1]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("--seeds", type=int, nargs="+", default=[576, 1, 2, 3, 4])
    parser.add_argument("--stage", default="stage4")
    parser.add_argument("--config", type=Path, nargs="+", default=[Path("config.yaml")], help="and overlays")
    parser.add_argument("--folder", type=Path, default=Path("seeds"), help="keeps the runs, 5 GB each by default")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/seeds"), help=".json and .md are added")
    words = parser.parse_args()
    result = {
        "command": shlex.join(["python", "benchmarks/seeds.py", "--seeds", *map(str, words.seeds)]),
        "date": datetime.date.today().isoformat(),
        "device": describe_device("cpu"),
        "commit": git_commit(),
        "versions": package_versions(),
        "stage": words.stage,
        "targets": getattr(read_config(*words.config).stages, words.stage).targets.model_dump(),
        "runs": [measure(words.folder / f"seed-{seed}", seed, words.stage, words.config) for seed in words.seeds],
    }
    write_json(words.out.with_suffix(".json"), result)
    write_text(words.out.with_suffix(".md"), seeds_page.page(result))
    print(seeds_page.page(result))


def measure(folder: Path, seed: int, stage: str, config: list[Path]) -> dict[str, Any]:
    """Metrics of one run, and its minutes where it was made from nothing without a break."""
    report, taken = Path("results", stage, "report.html"), folder / "minutes.json"
    begun = folder.exists()
    folder.mkdir(parents=True, exist_ok=True)
    command = ["snakemake", "--snakefile", PROJECT / "Snakefile", "--directory", folder, "--cores", "all"]
    command += ["--configfile", *(path.resolve() for path in config), "--config", f"seed={seed}", "--", report]
    started = time.monotonic()
    subprocess.run(command, check=True)
    if not begun:
        write_json(taken, round((time.monotonic() - started) / 60, 2))
    minutes = read_json(taken) if taken.exists() else None
    made = folder / "results" / stage
    commit = read_json(made / "provenance/run_benchmark.json")["commit"]
    return {"seed": seed, "minutes": minutes, "commit": commit, "metrics": read_json(made / "metrics.json")}


if __name__ == "__main__":
    main()
