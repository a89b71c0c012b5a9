"""A stage's manifest, read once: a table of pills, a table of photographs, and the files beside them."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from pillsnap.config.data import Stages
from pillsnap.files import read_json
from pillsnap.sources.aihub_name import PATTERN, PhotoName
from pillsnap.tables.classes import DrugClass, read_classes
from pillsnap.tables.files import read_table, read_texts
from pillsnap.tables.schemas import MANIFEST, PLAN

STAGES = tuple(Stages.model_fields)
PARTS = {"train": "Training", "val": "Validation", "test": "Test"}
DOMAINS = {"single": "Single", "combo": "Combo"}
VIEW = tuple(name for name in PhotoName._fields if name not in ("drugs", "size"))
"""Conditions of a photograph that its name holds: background, side, light, latitude, longitude."""


@dataclass(frozen=True)
class StageData:
    """The manifest of a stage.

    Attributes:
        pills: the rows of all parts, schema `MANIFEST` without `sha256`.
        photos: one row a photograph, by image_id: archive, member, domain, split, group, width, height, fully_labelled,
            k_code (of its first pill), pills (labelled ones), named_pills (that its name tells) and the columns `VIEW`,
            the last ones missing where the name is not of AIHub's form.
        classes: the class list.
        quarantine: rows of the quarantine list.
        summary: content of `summary.json`.
        plan: content of `plan.json`.
    """

    pills: pd.DataFrame
    photos: pd.DataFrame
    classes: list[DrugClass]
    quarantine: pd.DataFrame
    summary: dict[str, Any]
    plan: dict[str, Any]


def read_stage_data(
    *, manifest: Mapping[str, Path], quarantine: Path, classes: Path, summary: Path, plan_summary: Path
) -> StageData:
    """Read a stage's files.

    Args:
        manifest: CSV by part (`train`, `val`, `test`).
        quarantine, classes, summary: of `build_manifest`.
        plan_summary: of `plan_stage`.

    Raises:
        DataError: a file cannot be read.
    """
    parts = [read_made(path, read_table, MANIFEST).drop(columns="sha256") for path in manifest.values()]
    pills = pd.concat(parts, ignore_index=True)
    return StageData(
        pills=pills,
        photos=photo_table(pills),
        classes=read_made(classes, read_classes),
        quarantine=read_made(quarantine, read_texts),
        summary=read_made(summary, read_json),
        plan=read_made(plan_summary, read_json),
    )


def photo_table(pills: pd.DataFrame) -> pd.DataFrame:
    """One row a photograph, as `StageData.photos` tells."""
    columns = ["archive", "member", "domain", "split", "group", "width", "height", "fully_labelled", "k_code"]
    photos = pills.drop_duplicates("image_id").set_index("image_id")[columns]
    stems = photos["member"].str.replace(r"^.*/", "", regex=True).str.replace(r"\.[^.]*$", "", regex=True)
    # what `parse_photo_name` does, for half a million names at once
    parsed = stems.str.extract(f"^{PATTERN.pattern}$")
    views = parsed[list(VIEW)].apply(pd.to_numeric).astype("Int64")
    views["named_pills"] = (parsed["numbers"].str.count("-") + 1).astype("Int64")
    return photos.assign(pills=pills["image_id"].value_counts()).join(views)


def stem_of(member: str) -> str:
    """A member's file name without folders and ending."""
    return member.rpartition("/")[2].rpartition(".")[0]


class DataError(ValueError):
    """Requested data are missing, or cannot be read; the message says what to do."""


def read_made(path: Path, read: Callable[..., Any], *how: Any) -> Any:
    """Read a file that a rule made: `read(path, *how)`; raises `DataError`, which names it, where it is damaged."""
    try:
        return read(path, *how)
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise DataError(
            f"{path}: cannot be read ({str(error).removeprefix(f'{path}: ')}). Fetch it again (dvc checkout), or "
            "remove it and make it again with its rule."
        ) from error


def stage_data_of(results: Path, stage: str) -> StageData:
    """Read the files of a stage below the folder of results; raises `DataError` where they are not made."""
    if stage not in STAGES:
        raise DataError(f"--stage {stage}: must be one of {', '.join(STAGES)}.")
    if not results.is_dir():
        raise DataError(f"{results}: there is no such folder. Name the folder where the stages lie with --results.")
    manifest = results / stage / "manifest"
    files = {part: manifest / f"{part}.csv" for part in PARTS}
    others = {"quarantine": "quarantine.csv", "classes": "classes.json", "summary": "summary.json"}
    paths = {name: manifest / file for name, file in others.items()} | {"plan_summary": results / stage / "plan.json"}
    for path in (*files.values(), *paths.values()):
        _check_made(path, files["train"])
    return read_stage_data(manifest=files, **paths)


def stage_plan_of(results: Path, stage: str) -> pd.DataFrame:
    """Read the plan of a stage, schema `PLAN`; raises `DataError` where it is not made."""
    path = results / stage / "plan.parquet"
    _check_made(path, path)
    return read_made(path, read_table, PLAN)


def _check_made(path: Path, target: Path) -> None:
    if not path.is_file():
        raise DataError(
            f"{path}: is not made yet. Make it with `snakemake --cores all -- {target}`, or name the folder of other "
            "results with --results."
        )


def kinds_of(results: Path, stage: str) -> list[str]:
    """The kinds of the stage's sources, keys of `KINDS`, as its dataset page says; none without a page."""
    page = results / stage / "dataset.html"
    if not page.is_file():
        return []
    with page.open(encoding="utf-8", errors="replace") as stream:
        found = re.search(r'<meta name="source" content="([\w ]+)">', stream.read(4096))
    return found[1].split() if found else []
