"""Build the manifest, the quarantine and the class list from the plan and the prepared archives."""

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pillsnap.config.data import Manifest
from pillsnap.files import read_json, write_json
from pillsnap.manifest.audit_split import audit_split
from pillsnap.manifest.drugs import drug_classes, drug_table
from pillsnap.manifest.identical_photos import drop_identical, drop_identical_backgrounds
from pillsnap.manifest.left_out import left_out, quarantined_rows
from pillsnap.pictures.box_finder import box_sources
from pillsnap.sources import checks
from pillsnap.tables.classes import write_classes
from pillsnap.tables.files import check_table, read_table, read_tables, write_csv, write_table
from pillsnap.tables.quarantine_reasons import CORRUPT
from pillsnap.tables.schemas import (
    CONTEXTS,
    DRUGS,
    ISSUES,
    LOOKS,
    MANIFEST,
    MANIFEST_BACKGROUNDS,
    NEAR_DUPLICATES,
    OVERLAPS,
    PHOTOS,
    PLAN,
    PLANNED_BACKGROUNDS,
    UNSEEN,
)

log = logging.getLogger(__name__)


class ManifestError(ValueError):
    """Data beyond the limits of the configuration, or an account that does not balance."""


def build_manifest(
    *,
    plan: Path,
    plan_backgrounds: Path,
    plan_issues: Path,
    plan_summary: Path,
    counts: Sequence[Path],
    issues: Sequence[Path],
    looks: Sequence[Path],
    prepared: Sequence[Path],
    manifest: dict[str, Path],
    unseen: Path,
    backgrounds: Path,
    quarantine: Path,
    near_duplicates: Path,
    overlapping_labels: Path,
    classes: Path,
    drugs: Path,
    summary: Path,
    refused: Path,
    settings: Manifest,
    shared_groups: str,
    source_of: Mapping[str, str],
) -> None:
    """Join plan and prepared archives.

    Args:
        plan, plan_backgrounds, plan_issues, plan_summary: made by `plan_stage`.
        counts, issues, looks: made by `index_archive`, one of each for an archive.
        prepared: folders made by `prepare_archive`.
        manifest: written, CSV by split (`train`, `val`, `test`), schema `MANIFEST`.
        unseen: written, CSV, schema `MANIFEST`: unseen drugs, splits `UNSEEN`.
        backgrounds: written, CSV, schema `MANIFEST_BACKGROUNDS`: photographs without a pill.
        quarantine: written, CSV: archive, member, label_member, reason, detail.
        near_duplicates: written, CSV, schema `NEAR_DUPLICATES`: the closest pairs across the sides of the split.
        overlapping_labels: written, CSV, schema `OVERLAPS`: labels of two drugs that overlap, for people to look at.
        classes: written, JSON: the ordered class list.
        drugs: written, CSV, schema `DRUGS`: descriptions of the drugs of the class list.
        summary: written, JSON: read = kept + quarantined + skipped for archives, photos and labels, how many of the
            kept labels have no class, counts by split, and the audit of the split.
        refused: written where the limits are exceeded, CSV: everything that is quarantined.
        settings: limits.
        shared_groups: `plan.shared_groups`; unless it is `keep`, a capture group on two sides is an error.
        source_of: name of the source by the archive's name, archives in the order of `counts` and sources in theirs.

    Raises:
        ManifestError: too large a fraction is quarantined, corrupt photographs while `remove_corrupt` is off, a leak.
    """
    planned = read_table(plan, PLAN)
    indexed = read_tables(issues, ISSUES)
    empty = _join_backgrounds(plan_backgrounds, prepared)
    kept, identical = drop_identical(_join_prepared(planned, prepared), empty, source_of)
    _check_training_left(planned, kept, identical)
    empty, copies = drop_identical_backgrounds(empty, kept, source_of)
    planned_facts = read_json(plan_summary)
    kept, untrained = _drop_untrained(kept, planned_facts)
    kept["fully_labelled"] = kept.groupby("image_id")["label_member"].transform("size") >= kept["expected_pills"]
    decoded = pd.concat(
        [read_tables([path / "issues.parquet" for path in prepared], ISSUES), identical, copies, untrained]
    )
    all_issues = pd.concat([indexed, read_table(plan_issues, ISSUES), decoded], ignore_index=True)
    is_unseen = kept["split"].isin(UNSEEN)
    class_list = drug_classes(kept[kept["k_code"].isin(_trained(kept, planned_facts))])
    index_of = {drug.k_code: drug.index for drug in class_list}
    kept["class_index"] = kept["k_code"].map(index_of).fillna(-1).astype("int64")
    accounts = _accounts(kept, empty, all_issues, planned_facts["skipped"], counts)
    accounts |= _by_source(kept, empty, all_issues, planned_facts, counts, source_of)
    n_decoded = accounts["photos"]["kept"] + len(_quarantined_photos(decoded))
    try:
        _check_corrupt(all_issues, settings)
        shares = {
            "indexed": _quarantined_share(indexed, accounts["photos"]["read"], settings),
            "decoded": _quarantined_share(decoded, n_decoded, settings),
        }
    except ManifestError as error:
        raise ManifestError(f"{error}{left_out(all_issues, refused)}") from error
    audit, pairs = audit_split(kept[~is_unseen].drop_duplicates("image_id"), settings.near_duplicate_bits)
    _check_leaks(audit, shared_groups)
    files = {path: kept["split"] == split for split, path in manifest.items()} | {unseen: is_unseen}
    for path, rows in files.items():
        write_table(kept.loc[rows, list(MANIFEST.columns)].reset_index(drop=True), path, MANIFEST)
    write_table(empty, backgrounds, MANIFEST_BACKGROUNDS)
    write_table(pairs, near_duplicates, NEAR_DUPLICATES)
    overlaps = checks.overlapping_labels(kept[~is_unseen])
    write_table(overlaps, overlapping_labels, OVERLAPS)
    write_csv(quarantined_rows(all_issues), quarantine)
    write_classes(class_list, classes)
    write_table(drug_table(class_list, kept[~is_unseen], read_tables(looks, LOOKS)), drugs, DRUGS)
    listed = {"pairs": len(overlaps), "photos": int(overlaps["image_id"].nunique())}
    found = {"quarantined_share": shares, **_composition(kept, empty, all_issues), "overlapping_labels": listed}
    write_json(summary, accounts | found | box_sources(kept, prepared) | {"audit": audit})
    log.info("%d photos, %d pills, %d drugs kept", accounts["photos"]["kept"], len(kept), len(class_list))


def _join_prepared(planned: pd.DataFrame, prepared: Sequence[Path]) -> pd.DataFrame:
    """Join the planned pills with the decoded photographs' true size, clipped boxes and hashes."""
    photos = read_tables([path / "photos.parquet" for path in prepared], PHOTOS)
    boxes = read_tables([path / "crops.parquet" for path in prepared], CONTEXTS)
    kept = planned.drop(columns=["width", "height", "x", "y", "w", "h"])
    kept = kept.merge(boxes[["image_id", "label_member", "x", "y", "w", "h"]], on=["image_id", "label_member"])
    kept = kept.merge(photos[["image_id", "sha256", "phash", "width", "height"]], on="image_id")
    return kept.sort_values(["archive", "member", "label_member"]).reset_index(drop=True)


def _join_backgrounds(planned: Path, prepared: Sequence[Path]) -> pd.DataFrame:
    """Join the planned backgrounds with what the decode found of them, schema `MANIFEST_BACKGROUNDS`."""
    photos = read_tables([path / "photos.parquet" for path in prepared], PHOTOS)
    kept = read_table(planned, PLANNED_BACKGROUNDS).merge(photos, on="image_id").sort_values(["archive", "member"])
    return check_table(kept[list(MANIFEST_BACKGROUNDS.columns)].reset_index(drop=True), MANIFEST_BACKGROUNDS, planned)


def _trained(kept: pd.DataFrame, plan: dict[str, Any]) -> set[str]:
    """Return those of the planned drugs that have a training pill."""
    return set(kept.loc[kept["split"] == "train", "k_code"]).intersection(plan["classes"])


def _drop_untrained(kept: pd.DataFrame, plan: dict[str, Any]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Drop photographs that show no drug that is trained, except unseen ones'; returns the others, and issues."""
    used = kept["k_code"].isin(_trained(kept, plan)).groupby(kept["image_id"]).transform("any")
    lost = kept[~used & ~kept["split"].isin(UNSEEN)]
    dropped = plan["classes_dropped"]
    reasons = dict.fromkeys(dropped["test_only"], "class_only_in_test_part")
    reasons |= dict.fromkeys(dropped["too_small"], "class_too_small")
    reason = lost["k_code"].map(lambda k_code: reasons.get(k_code, "class_without_training_pill"))
    outcome = np.where(reason == "class_too_small", "skipped", "quarantined")
    pills = lost.assign(reason=reason, detail=lost["k_code"], outcome=outcome)
    photos = lost.drop_duplicates("image_id").assign(label_member="", reason="photo_without_usable_label", detail="")
    rows = pd.concat([pills, photos.assign(outcome="quarantined")])[list(ISSUES.columns)]
    return kept.drop(lost.index).reset_index(drop=True), check_table(rows, ISSUES, "drugs without training pill")


def _accounts(
    kept: pd.DataFrame,
    backgrounds: pd.DataFrame,
    issues: pd.DataFrame,
    unplanned: dict[str, dict[str, int]],
    counts: Sequence[Path],
) -> dict[str, Any]:
    """Account for archives, photos and labels: read = kept + quarantined + skipped, or `ManifestError`."""
    read: Counter[str] = Counter()
    for path in counts:
        read.update({kind: number for kind, number in read_json(path).items() if kind != "photos_directory"})
    kinds = np.select([issues["label_member"] != "", issues["member"] != ""], ["labels", "photos"], "archives")
    numbers = {"photos": kept["image_id"].nunique() + len(backgrounds), "labels": len(kept)}
    numbers["archives"] = read["archives"] - int((kinds == "archives").sum())
    accounts: dict[str, Any] = {"other_files": read["other_files"]}
    for kind, number_kept in numbers.items():
        of_kind = issues[kinds == kind]
        by_outcome = {
            outcome: Counter(of_kind.loc[of_kind["outcome"] == outcome, "reason"])
            for outcome in ("quarantined", "skipped")
        }
        by_outcome["skipped"].update(unplanned.get(kind, {}))
        account = {"read": read[kind], "kept": number_kept}
        account |= {outcome: dict(sorted(by_reason.items())) for outcome, by_reason in by_outcome.items()}
        total = number_kept + sum(by_outcome["quarantined"].values()) + sum(by_outcome["skipped"].values())
        if total != read[kind]:
            raise ManifestError(f"{kind}: {read[kind]} read, but {total} kept, quarantined or skipped: {account}")
        accounts[kind] = account
    return accounts


def _by_source(
    kept: pd.DataFrame,
    backgrounds: pd.DataFrame,
    issues: pd.DataFrame,
    plan: dict[str, Any],
    counts: Sequence[Path],
    source_of: Mapping[str, str],
) -> dict[str, Any]:
    """Account for each source, and count what it has on each side of the split; empty where there is one source."""
    found = {}
    for name in dict.fromkeys(source_of.values()):
        archives = [archive for archive, source in source_of.items() if source == name]
        own, empty, its_issues = (table[table["archive"].isin(archives)] for table in (kept, backgrounds, issues))
        its_counts = [path for path, source in zip(counts, source_of.values(), strict=True) if source == name]
        if len(archives) == len(source_of):
            return {}
        account = _accounts(own, empty, its_issues, plan["skipped_by_source"][name], its_counts)
        found[name] = account | {"drugs": int(own["k_code"].nunique()), "splits": _splits(own)}
    return {"sources": found}


def _check_leaks(audit: dict[str, Any], shared_groups: str) -> None:
    groups, contents = audit["groups_on_two_sides"], audit["contents_on_two_sides"]
    if contents or (groups and shared_groups != "keep"):
        raise ManifestError(
            f"{groups} capture groups and {contents} identical photographs are on two sides of the split. Repeat "
            "the plan (-R plan_stage); if the error persists, it is a bug of PillSnap."
        )


def _check_training_left(planned: pd.DataFrame, kept: pd.DataFrame, identical: pd.DataFrame) -> None:
    """Raise `ManifestError` where every training photograph is a copy of one that is held out."""
    photos = planned.loc[planned["split"] == "train"].drop_duplicates("image_id")
    if (kept["split"] == "train").any() or photos.empty or identical.empty:
        return
    copies = photos.merge(identical.loc[identical["label_member"] == "", ["archive", "member"]])
    names = " and ".join(f"{row.archive}: {row.member}" for row in copies.head(2).itertuples())
    raise ManifestError(
        f"No training photograph is left: {len(copies)} of {len(photos)} are byte-identical to held-out ones, such as "
        f"{names}. The validation or test part is a copy of the training part. Give the parts photographs of their "
        "own, or name no validation and no test part, so that some capture groups are held out."
    )


def _check_corrupt(issues: pd.DataFrame, settings: Manifest) -> None:
    corrupt = issues[issues["reason"].isin(CORRUPT)]
    if len(corrupt) and not settings.remove_corrupt:
        raise ManifestError(
            f"manifest.remove_corrupt is false and {len(corrupt)} photographs are corrupt, first "
            f"{corrupt['archive'].iloc[0]}: {corrupt['member'].iloc[0]}. Fetch them again or set it to true."
        )


def _quarantined_photos(issues: pd.DataFrame) -> pd.DataFrame:
    return issues[(issues["outcome"] == "quarantined") & (issues["label_member"] == "") & (issues["member"] != "")]


def _quarantined_share(issues: pd.DataFrame, examined: int, settings: Manifest) -> float:
    """Return the fraction of the examined photographs that is quarantined; raises `ManifestError` above the limit.

    The index examines every photograph of the source, the decode the stage's own. Each has a fraction of its own, since
    defects of a large source would otherwise stop a small stage.
    """
    quarantined = _quarantined_photos(issues)
    count = len(quarantined)
    if count > settings.max_quarantined_fraction * examined:
        reasons = dict(sorted(Counter(quarantined["reason"]).items()))
        raise ManifestError(
            f"{count} of {examined} photographs are quarantined ({reasons}), more than "
            f"manifest.max_quarantined_fraction = {settings.max_quarantined_fraction} allows. "
            "Look at the raw data, or raise the limit."
        )
    return round(count / max(1, examined), 6)


def _composition(kept: pd.DataFrame, backgrounds: pd.DataFrame, issues: pd.DataFrame) -> dict[str, Any]:
    counted = backgrounds["split"].value_counts().to_dict()
    photos = kept.drop_duplicates("image_id")
    partly = photos.loc[~photos["fully_labelled"]]
    boxes_only = kept[(kept["class_index"] < 0) & ~kept["split"].isin(UNSEEN)]
    return {
        "repaired": dict(sorted(Counter(issues.loc[issues["outcome"] == "repaired", "reason"]).items())),
        "partly_labelled_photos": len(partly),
        "without_class": {"photos": int(boxes_only["image_id"].nunique()), "labels": len(boxes_only)},
        "splits": _splits(kept),
        **({"backgrounds": {split: counted.get(split, 0) for split in ("train", "val", "test")}} if counted else {}),
        "unseen": {
            split: {
                "photos": int((photos["split"] == split).sum()),
                "drugs": int(kept.loc[kept["split"] == split, "k_code"].nunique()),
            }
            for split in UNSEEN
        },
    }


def _splits(kept: pd.DataFrame) -> dict[str, dict[str, int]]:
    """Count photographs, pills, capture groups and drugs on each side."""
    photos = kept.drop_duplicates("image_id")
    return {
        split: {
            "photos": int((photos["split"] == split).sum()),
            "pills": int((kept["split"] == split).sum()),
            "single": int(((photos["split"] == split) & (photos["domain"] == "single")).sum()),
            "combo": int(((photos["split"] == split) & (photos["domain"] == "combo")).sum()),
            "groups": int(photos.loc[photos["split"] == split, "group"].nunique()),
            "classes": int(kept.loc[(kept["split"] == split) & (kept["class_index"] >= 0), "k_code"].nunique()),
        }
        for split in ("train", "val", "test")
    }
