"""Duration, processor time and peak memory of the jobs of each rule of a finished run.

    python benchmarks/rule_costs.py                # of the run in this folder, into benchmarks/rule_costs.json
    python benchmarks/rule_costs.py ../other-run

Claim: none; the figures are those that Snakemake measured (`benchmark:` of each rule), beside how much the run handled.
profiles/slurm requests memory and run time by them, and benchmarks/cluster_plan.py computes with them.
"""

import argparse
import datetime
from pathlib import Path
from typing import Any

import pandas as pd

from pillsnap.files import read_json, write_json
from pillsnap.tables.files import read_table
from pillsnap.tables.schemas import PLAN

FOLDER = Path(__file__).parent
IN_FOLDERS = ("index_archive", "make_synthetic_archive", "prepare_archive", "cut_pills", "compose_scenes")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("run", type=Path, nargs="?", default=Path(), help="folder with logs and results")
    parser.add_argument("--stage", default="stage4")
    parser.add_argument("--out", type=Path, default=FOLDER / "rule_costs.json")
    options = parser.parse_args()
    write_json(options.out, rule_costs(options.run, options.stage))


def rule_costs(run: Path, stage: str) -> dict[str, Any]:
    """Costs of a stage's rules, with what the run handled.

    Args:
        run: folder in which Snakemake made the stage.
        stage: its name.

    Returns:
        `rules` by name: number of jobs, and of these the longest in seconds, seconds and processor seconds in all, and
        the largest peak in MB; the other keys say of what run.
    """
    results = run / "results" / stage
    plan = read_table(results / "plan.parquet", PLAN)
    record = read_json(results / "provenance" / "train_detector.json")
    made = datetime.datetime.fromtimestamp((results / "report.html").stat().st_mtime)
    return {
        "date": made.date().isoformat(),
        "device": record["device"],
        "commit": record["commit"],
        "versions": record["versions"],
        "photos": int(plan["image_id"].nunique()),
        "pills": len(plan),
        "rules": {rule: _cost(paths) for rule, paths in sorted(_by_rule(run / "logs", stage).items())},
    }


def _by_rule(logs: Path, stage: str) -> dict[str, list[Path]]:
    """Files that Snakemake wrote of a stage's jobs, by rule; what all stages share counts too."""
    found = {path.stem: [path] for path in (logs / stage).glob("*.tsv")}
    for rule in IN_FOLDERS:
        # raw archives that were there already have none
        paths = [path for folder in (logs / stage / rule, logs / rule) for path in sorted(folder.rglob("*.tsv"))]
        found |= {rule: paths} if paths else {}
    return found


def _cost(paths: list[Path]) -> dict[str, Any]:
    jobs = pd.concat([pd.read_csv(path, sep="\t", na_values="-") for path in paths])
    return {
        "jobs": len(jobs),
        "longest_seconds": round(float(jobs["s"].max()), 1),
        "seconds": round(float(jobs["s"].sum()), 1),
        "cpu_seconds": round(float(jobs["cpu_time"].sum()), 1),
        "peak_mb": round(float(jobs["max_rss"].max())),
    }


if __name__ == "__main__":
    main()
