"""Choose a stage's photographs and their side of the split, by labels only."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pillsnap.config.data import Plan, Stage
from pillsnap.files import write_json
from pillsnap.manifest.assign_splits import SPLITS, group_held_out, split_sources
from pillsnap.manifest.choose_photos import Choice, choose_photos, plan_backgrounds
from pillsnap.manifest.choose_unseen import choose_unseen, choose_unseen_photos
from pillsnap.manifest.left_out import left_out
from pillsnap.manifest.photo_index import PhotoIndex, PlanError, read_photo_index
from pillsnap.tables.files import check_table, read_columns, read_tables, write_table
from pillsnap.tables.schemas import BACKGROUNDS, ISSUES, PILLS, PLAN, PLANNED_BACKGROUNDS, UNSEEN

log = logging.getLogger(__name__)

_REASONS = (
    "",
    "photo_in_later_source",
    "group_held_out",
    "class_only_in_test_part",
    "class_too_small",
    "class_not_in_stage",
    "over_budget",
)
"""Reasons why a photograph is not used, by code; the first that applies is given."""
_QUARANTINED = _REASONS.index("class_only_in_test_part")


def plan_stage(
    *,
    pills: Sequence[Path],
    index_backgrounds: Sequence[Path],
    index_issues: Sequence[Path],
    plan: Path,
    backgrounds: Path,
    issues: Path,
    summary: Path,
    refused: Path,
    stage: Stage,
    settings: Plan,
    seed: int,
    sources: Sequence[str] = (),
) -> None:
    """Plan one stage.

    Everything is ordered by a hash of (seed, key) that is independent of the stage, so that a smaller stage's drugs are
    a larger one's too, and a capture group is on the same side in all of them. Unseen drugs (`plan.unseen_drugs`) are
    the same in every stage; only their single-pill photographs are planned, in two splits of their own, and they count
    towards no budget. A drug that cannot be trained is dropped; beside pills of the stage's drugs its pills are planned
    all the same, for the detector.

    Args:
        pills, index_backgrounds, index_issues: the archives' indices, schemas `PILLS`, `BACKGROUNDS` and `ISSUES`.
        plan: written, schema `PLAN`: the pills of the chosen photographs, by archive and photograph.
        backgrounds: written, schema `PLANNED_BACKGROUNDS`: chosen photographs without a pill.
        issues: written, schema `ISSUES`: photographs, with their labels, of drugs that the source has in its test part
            only, and backgrounds that are not used.
        summary: written, JSON: budget requested and used, photos and labels skipped by reason, drugs left out, labels
            without a class, and unseen drugs.
        refused: written where no plan can be made, CSV: everything that the index quarantined.
        stage: budget of photographs and drugs.
        settings: fractions of the split, treatment of groups that the source has on two sides, and amount of unseen
            drugs and photographs.
        seed: seed of every choice.
        sources: the source of each index, where there are several: later ones correct earlier ones.

    Raises:
        PlanError: fewer than two drugs can be trained and validated, or not the one that the source has.
    """
    try:
        index = read_photo_index(pills, seed, sources)
        corrected = index.photos["corrected"].to_numpy()
        held_out = group_held_out(index.photos) & (settings.shared_groups == "hold_out")
        split = split_sources(index, ~held_out & ~corrected, settings)
        unseen_split, fewer = choose_unseen(index, split, ~held_out & ~corrected, settings=settings, seed=seed)
        unseen = choose_unseen_photos(index, unseen_split, settings.unseen_photos)
        usable = ~held_out & ~corrected & ~index.shows(unseen_split >= 0)
        choice = choose_photos(index, split, usable, stage=stage, settings=settings, seed=seed)
    except PlanError as error:
        raise PlanError(f"{error}{left_out(read_tables(index_issues, ISSUES), refused)}") from error
    empty, unused = plan_backgrounds(
        read_tables(index_backgrounds, BACKGROUNDS), index, split, choice.chosen, settings=settings, seed=seed
    )
    reason = _reasons(index, choice, unseen, held_out)
    split = np.where(unseen, len(SPLITS) + unseen_split[index.photos["drug"]], split)
    planned, lost = _read_rows(pills, index, split, reason)
    write_table(planned, plan, PLAN)
    write_table(empty, backgrounds, PLANNED_BACKGROUNDS)
    write_table(pd.concat([lost, unused], ignore_index=True), issues, ISSUES)
    held = {"asked": settings.unseen_drugs, "used": int((unseen_split >= 0).sum()), "limit": fewer}
    unseen_summary = {"unseen": _unseen_summary(planned, index, unseen_split), "unseen_drugs": held}
    facts = _summary(index, choice, reason, stage, unseen_split, sources)
    write_json(summary, facts | unseen_summary | {"without_class": _without_class(planned, facts["classes"])})
    if fewer:
        log.warning("%d drugs are held out as unseen, not %d: %s", held["used"], held["asked"], fewer)
    if choice.drugs.sum() == 1:
        log.warning("one class, %s: this stage trains a detector and no classifier", index.drugs[choice.drugs.argmax()])
    log.info("%d of %d photos, %d drugs", choice.chosen.sum(), len(index.photos), choice.drugs.sum())


def _reasons(index: PhotoIndex, choice: Choice, unseen: np.ndarray, held_out: np.ndarray) -> np.ndarray:
    """Return each photograph's index in `_REASONS`, 0 where it is chosen or of an unseen drug."""
    shows_none = ~index.shows(choice.drugs)
    conditions = [
        choice.chosen | unseen,
        index.photos["corrected"],
        held_out,
        index.shows(choice.test_only) & shows_none,
        index.shows(choice.too_small) & shows_none,
        index.shows(~choice.drugs & ~choice.dropped),
    ]
    return np.select(conditions, range(len(conditions)), len(conditions)).astype(np.int8)


def _read_rows(
    files: Sequence[Path], index: PhotoIndex, split: np.ndarray, reason: np.ndarray
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Read the plan's rows, and make issues of the quarantined photographs."""
    planned, lost, start = [], [], 0
    for path, rows in zip(files, index.rows_of_file, strict=True):
        photo = index.photo_of_pill[start : start + rows]
        start += rows
        why = reason[photo]
        if not ((why == 0) | (why == _QUARANTINED)).any():
            continue
        table = read_columns(path, list(PILLS.columns)).to_pandas()
        table["group"] = np.array(index.groups, dtype=object)[index.photos["group"].to_numpy()[photo]]
        table["split"] = np.array(SPLITS + UNSEEN)[split[photo]]
        planned.append(table[why == 0])
        lost.append(table.loc[why == _QUARANTINED, ["archive", "member", "label_member", "k_code"]])
    return pd.concat(planned, ignore_index=True), _issues(pd.concat(lost))


def _issues(lost: pd.DataFrame) -> pd.DataFrame:
    """Make one issue a label and one a photograph."""
    labels = lost.assign(detail=lost["k_code"])
    photos = lost.drop_duplicates(["archive", "member"]).assign(label_member="", detail="")
    rows = pd.concat([photos, labels]).assign(outcome="quarantined", reason=_REASONS[_QUARANTINED])
    rows = rows.sort_values(["archive", "member", "label_member"])[list(ISSUES.columns)]
    return check_table(rows.reset_index(drop=True), ISSUES, "drugs of the test part only")


def _unseen_summary(planned: pd.DataFrame, index: PhotoIndex, unseen_split: np.ndarray) -> dict[str, Any]:
    """List drugs and count photographs of each unseen split."""
    drugs = np.array(index.drugs, dtype=object)
    photos = planned.loc[planned["split"].isin(UNSEEN)].drop_duplicates("image_id")["split"].value_counts()
    return {
        name: {"drugs": list(drugs[unseen_split == code]), "photos": int(photos.get(name, 0))}
        for code, name in enumerate(UNSEEN)
    }


def _without_class(planned: pd.DataFrame, classes: Sequence[str]) -> dict[str, int]:
    """Count the labels that keep their box alone, since their drug cannot be trained, and their photographs."""
    rows = planned[~planned["k_code"].isin(classes) & ~planned["split"].isin(UNSEEN)]
    return {"photos": rows["image_id"].nunique(), "labels": len(rows)}


def _skipped(reason: np.ndarray, labels: np.ndarray) -> dict[str, dict[str, int]]:
    """Count the skipped photographs, and their labels, by reason."""
    counts = {
        "photos": np.bincount(reason, minlength=len(_REASONS)),
        "labels": np.bincount(reason, weights=labels, minlength=len(_REASONS)).astype(int),
    }
    skipped = sorted(((name, code) for code, name in enumerate(_REASONS) if name and code != _QUARANTINED))
    return {kind: {name: int(count[code]) for name, code in skipped if count[code]} for kind, count in counts.items()}


def _summary(
    index: PhotoIndex,
    choice: Choice,
    reason: np.ndarray,
    stage: Stage,
    unseen_split: np.ndarray,
    sources: Sequence[str],
) -> dict[str, Any]:
    labels = index.photos["labels"].to_numpy()
    drugs = np.array(index.drugs, dtype=object)
    source = index.photos["source"].to_numpy()
    by_source = {
        name: _skipped(reason[source == place], labels[source == place])
        for place, name in enumerate(dict.fromkeys(sources))
    }
    left_out = {"test_only": choice.test_only, "too_small": choice.too_small}
    return {
        "asked": {"images": stage.images, "classes": stage.classes},
        "used": {"images": int(choice.chosen.sum()), "classes": int(choice.drugs.sum())},
        "skipped": _skipped(reason, labels),
        **({"skipped_by_source": by_source} if len(by_source) > 1 else {}),
        "classes": list(drugs[choice.drugs]),
        **({"detector_only": True} if choice.drugs.sum() == 1 else {}),
        "classes_left_out": list(drugs[~choice.drugs & (unseen_split < 0)]),
        "classes_dropped": {
            why: {
                str(drugs[place]): dict(zip(SPLITS, choice.pills[place].tolist(), strict=True))
                for place in np.flatnonzero(mask)
            }
            for why, mask in left_out.items()
        },
    }
