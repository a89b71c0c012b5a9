"""Check a folder of photographs before any configuration is written: its kind, what would be kept, and the overlay."""

import contextlib
import logging
import re
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from pillsnap.config.config import Config
from pillsnap.config.data import Plan, Stage
from pillsnap.files import read_json
from pillsnap.manifest.index_archive import index_archive
from pillsnap.manifest.photo_index import PlanError
from pillsnap.manifest.plan_stage import plan_stage
from pillsnap.sources.archives import Archive
from pillsnap.sources.registry import recognise
from pillsnap.sources.settings import Source
from pillsnap.tables.files import read_table, read_tables
from pillsnap.tables.schemas import BACKGROUNDS, ISSUES, PILLS, PLAN, PLANNED_BACKGROUNDS, UNSEEN

UNSEEN_DRUGS = 8
"""Drugs that are held out where `plan.unseen_share` allows it."""
_COMMON_NAME = r"(?i)stage\d|data|dataset|raw|export|photos|images"
"""Names of folders that tell no data set from another."""
_FINDER = {"model": "weights/pill-detector.safetensors", "image_size": 320, "epochs": 0}
"""The detector that comes with the project, as it is, for photographs without boxes."""
SEED: int = Config.model_fields["seed"].default
"""The configuration's, unless it says another one."""


@dataclass(frozen=True)
class Checked:
    """A folder of photographs.

    Attributes:
        kind: kind of source.
        archives: its archives, with the photographs and labels read in each.
        photos: photographs with a usable label.
        backgrounds, planned_backgrounds: photographs without a pill, and those of them that the plan uses.
        drugs: number of usable labels of each drug.
        issues: schema `ISSUES`: what is quarantined, skipped or repaired; nothing is decoded yet.
        skipped: photographs that the plan does not use, by reason.
        sides: photographs on each side of the split.
        dropped: drugs that are too few to be trained and validated.
        problem: why no stage can be made of it; empty where one can.
        overlay: the configuration's overlay for it.
    """

    kind: str
    archives: list[tuple[Archive, int, int]]
    photos: int
    backgrounds: int
    planned_backgrounds: int
    drugs: Counter[str]
    issues: pd.DataFrame
    skipped: dict[str, int]
    sides: dict[str, int]
    dropped: list[str]
    problem: str
    overlay: dict[str, Any]


def check_source(folder: Path) -> Checked:
    """Index a folder and plan a stage of it; no photograph is decoded, nothing is written.

    Raises:
        SourceError: the folder is of no kind that is known, with what each kind lacks; or something is missing.
    """
    source, archives = recognise(folder)
    with tempfile.TemporaryDirectory() as place:
        tables = [_index(source, archive, Path(place)) for archive in archives.values()]
        pills = read_tables([table["pills"] for table in tables], PILLS)
        drugs = Counter(pills["k_code"])
        problem, plan, unseen = _plan(tables, Path(place))
        counts = [read_json(table["counts"]) for table in tables]
        return Checked(
            kind=source.kind,
            archives=[
                (one, read["photos"], read["labels"]) for one, read in zip(archives.values(), counts, strict=True)
            ],
            photos=pills["image_id"].nunique(),
            backgrounds=len(read_tables([table["backgrounds"] for table in tables], BACKGROUNDS)),
            planned_backgrounds=0 if problem else len(read_table(Path(place) / "empty", PLANNED_BACKGROUNDS)),
            drugs=drugs,
            issues=read_tables(
                [table["issues"] for table in tables] + [Path(place) / "issues"] * (not problem), ISSUES
            ),
            skipped=plan.get("skipped", {}).get("photos", {}),
            sides={} if problem else dict(_sides(Path(place) / "plan")),
            dropped=sorted(code for codes in plan.get("classes_dropped", {}).values() for code in codes),
            problem=problem,
            overlay=_overlay(source, folder, unseen),
        )


def _index(source: Source, archive: Archive, place: Path) -> dict[str, Path]:
    paths = {name: place / f"{archive.name}.{name}" for name in ("pills", "backgrounds", "looks", "issues", "counts")}
    index_archive(kind=source.kind, archive=archive, **paths)
    return paths


def _plan(tables: list[dict[str, Path]], place: Path) -> tuple[str, dict[str, Any], int]:
    """Return why no plan can be made (empty where it can), its summary, and how many drugs should be held out.

    A drug that is held out takes every combination along that shows it: none is, where that costs a fifth of the
    photographs.
    """
    plan, summary = place / "plan", place / "summary"

    def used(count: int) -> int:
        plan_stage(
            pills=[table["pills"] for table in tables],
            index_backgrounds=[table["backgrounds"] for table in tables],
            index_issues=[table["issues"] for table in tables],
            plan=plan,
            backgrounds=place / "empty",
            issues=place / "issues",
            summary=summary,
            refused=place / "refused",
            stage=Stage(images=10**9, classes=10**9),
            settings=Plan(unseen_drugs=count),
            seed=SEED,
        )
        return sum(number for side, number in _sides(plan).items() if side not in UNSEEN)

    with _without_warnings(plan_stage.__module__):  # of a trial; what holds for the overlay is printed
        try:
            without = used(0)
        except PlanError as error:
            return str(error).partition("\n")[0], {}, 0
        with contextlib.suppress(PlanError):
            if used(UNSEEN_DRUGS) >= 0.8 * without:
                return "", read_json(summary), read_json(summary)["unseen_drugs"]["used"]
        used(0)
        return "", read_json(summary), 0


@contextlib.contextmanager
def _without_warnings(name: str) -> Iterator[None]:
    logger = logging.getLogger(name)
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


def _sides(plan: Path) -> Counter[str]:
    return Counter(read_table(plan, PLAN).drop_duplicates("image_id")["split"])


def _overlay(source: Source, folder: Path, unseen: int) -> dict[str, Any]:
    whole = folder.resolve()
    stem = whole.stem if whole.is_file() else whole.name
    names = (whole.parent.name, stem) if re.fullmatch(_COMMON_NAME, stem) else (stem,)
    name = re.sub(r"[^\w.-]+", "-", "-".join(names)).strip("-.")
    return {
        "pathvars": {kind: f"{kind}/{name}" for kind in ("results", "work", "logs")},
        "source": {"kind": source.kind, "root": str(whole)},
        "plan": {"unseen_drugs": unseen},
        **({"detector": _FINDER} if source.kind == "folders" else {}),
    }
