"""Time and memory of each rule, from the files that Snakemake's `benchmark:` wrote."""

import csv
import re
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

from pillsnap.workflow.rules import RULES


@dataclass(frozen=True)
class RuleTime:
    """The jobs of one rule: their number, seconds and processor seconds summed, largest memory in bytes."""

    rule: str
    jobs: int
    seconds: float
    cpu_seconds: float | None
    peak_memory: float | None


def rule_times(folder: Path, stage: str) -> list[RuleTime]:
    """Sum Snakemake's benchmark files by rule.

    Files lie as `<rule>.tsv` or `<rule>/…/<job>.tsv`, directly in `folder` or, where they belong to one stage, in
    `<stage>/`. Other folders (another stage, another run) are not of this stage and are left out.

    Args:
        folder: may be missing.
        stage: the stage whose files count beside those of all stages.
    """
    rows: defaultdict[str, list[dict[str, float | None]]] = defaultdict(list)
    for path in sorted(folder.rglob("*.tsv")):
        parts = path.relative_to(folder).with_suffix("").parts
        rule = parts[1] if parts[0] == stage and len(parts) > 1 else parts[0]
        if rule in RULES:
            rows[rule] += _read(path)
    return [_sum(rule, rows[rule]) for rule in RULES if rows[rule]]


def _read(path: Path) -> list[dict[str, float | None]]:
    with path.open(encoding="utf-8", newline="") as stream:
        rows = [{key: _number(value) for key, value in row.items()} for row in csv.DictReader(stream, delimiter="\t")]
    return [row for row in rows if row.get("s") is not None]


def _number(text: str | None) -> float | None:
    """Snakemake writes `NA` or `-` for what it could not see in a very short job."""
    return float(text) if text and re.fullmatch(r"\d+(\.\d+)?(e[+-]?\d+)?", text) else None


def _sum(rule: str, rows: list[dict[str, float | None]]) -> RuleTime:
    seconds, cpu, memory = (
        [value for row in rows if (value := row.get(column)) is not None] for column in ("s", "cpu_time", "max_rss")
    )
    return RuleTime(
        rule=rule,
        jobs=len(rows),
        seconds=sum(seconds),
        cpu_seconds=sum(cpu) if cpu else None,
        # Snakemake counts in MiB
        peak_memory=max(memory) * 2**20 if memory else None,
    )
