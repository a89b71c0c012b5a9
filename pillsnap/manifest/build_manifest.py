"""From prepared archives to the manifest that people open, the quarantine and the one class list."""

import logging
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pillsnap.config.data import Manifest
from pillsnap.files import read_json, write_json
from pillsnap.manifest.audit_split import audit_split
from pillsnap.manifest.drug_table import drug_table, most_frequent
from pillsnap.manifest.identical_photos import set_aside_identical
from pillsnap.tables.classes import DrugClass, write_classes
from pillsnap.tables.files import check_table, read_table, read_tables, write_csv, write_table
from pillsnap.tables.quarantine_reasons import CORRUPT
from pillsnap.tables.schemas import CONTEXTS, DRUGS, ISSUES, LOOKS, MANIFEST, NEAR_DUPLICATES, PHOTOS, PLAN, UNSEEN

log = logging.getLogger(__name__)


class ManifestError(ValueError):
    """Data that breaks the limits of the configuration, or an account that does not balance."""


def build_manifest(
    *,
    plan: Path,
    plan_issues: Path,
    plan_summary: Path,
    counts: Sequence[Path],
    issues: Sequence[Path],
    looks: Sequence[Path],
    prepared: Sequence[Path],
    manifest: dict[str, Path],
    unseen: Path,
    quarantine: Path,
    near_duplicates: Path,
    classes: Path,
    drugs: Path,
    summary: Path,
    settings: Manifest,
    shared_groups: str,
) -> None:
    """Join plan and prepared archives.

    Args:
        plan, plan_issues, plan_summary: made by `plan_stage`.
        counts, issues, looks: made by `index_archive`, one of each for an archive.
        prepared: folders made by `prepare_archive`.
        manifest: written, CSV by split (`train`, `val`, `test`), schema `MANIFEST`.
        unseen: written, CSV, schema `MANIFEST`: drugs that the model never sees, splits `UNSEEN`.
        quarantine: written, CSV: archive, member, label_member, reason, detail.
        near_duplicates: written, CSV, schema `NEAR_DUPLICATES`: the closest across the sides of the split.
        classes: written, JSON: the ordered class list.
        drugs: written, CSV, schema `DRUGS`: what tells the drugs of the class list apart.
        summary: written, JSON: read = kept + quarantined + skipped for archives, photos and labels, counts by split,
            and the audit of the split.
        settings: limits.
        shared_groups: `plan.shared_groups`; unless it is `keep`, a capture group on two sides is an error.

    Raises:
        ManifestError: too large a share is quarantined, corrupt photographs while `remove_corrupt` is off, a leak.
    """
    planned = read_table(plan, PLAN)
    indexed = read_tables(issues, ISSUES)
    kept, identical = set_aside_identical(_kept(planned, prepared))
    kept, untrained = _without_untrained(kept)
    kept["fully_labelled"] = _fully_labelled(kept)
    decoded = pd.concat([read_tables([path / "issues.parquet" for path in prepared], ISSUES), identical, untrained])
    noted = pd.concat([indexed, read_table(plan_issues, ISSUES), decoded], ignore_index=True)
    never = kept["split"].isin(UNSEEN)
    listed = drug_classes(kept[~never])
    kept["class_index"] = kept["k_code"].map({drug.k_code: drug.index for drug in listed}).fillna(-1).astype("int64")
    accounts = _accounts(kept, noted, read_json(plan_summary)["skipped"], counts)
    _check_corrupt(noted, settings)
    shares = {
        "indexed": _quarantined_share(indexed, accounts["photos"]["read"], settings),
        "decoded": _quarantined_share(decoded, kept["image_id"].nunique() + len(_lost_photos(decoded)), settings),
    }
    audit, alike = audit_split(kept[~never].drop_duplicates("image_id"), settings.near_duplicate_bits)
    _check_leaks(audit, shared_groups)
    files = {path: kept["split"] == split for split, path in manifest.items()} | {unseen: never}
    for path, of_it in files.items():
        write_table(kept.loc[of_it, list(MANIFEST.columns)].reset_index(drop=True), path, MANIFEST)
    write_table(alike, near_duplicates, NEAR_DUPLICATES)
    rows = noted[noted["outcome"] == "quarantined"].sort_values(["archive", "member", "label_member", "reason"])
    write_csv(rows[["archive", "member", "label_member", "reason", "detail"]], quarantine)
    write_classes(listed, classes)
    write_table(drug_table(listed, kept[~never], read_tables(looks, LOOKS)), drugs, DRUGS)
    write_json(summary, accounts | {"quarantined_share": shares} | _composition(kept, noted) | {"audit": audit})
    log.info("%d photos, %d pills, %d drugs kept", kept["image_id"].nunique(), len(kept), len(listed))


def _kept(planned: pd.DataFrame, prepared: Sequence[Path]) -> pd.DataFrame:
    """Pills that survived the decode, with the photographs' true size, clipped boxes and hashes."""
    photos = read_tables([path / "photos.parquet" for path in prepared], PHOTOS)
    boxes = read_tables([path / "crops.parquet" for path in prepared], CONTEXTS)
    facts = planned.drop(columns=["width", "height", "x", "y", "w", "h"])
    kept = facts.merge(boxes[["image_id", "label_member", "x", "y", "w", "h"]], on=["image_id", "label_member"])
    kept = kept.merge(photos[["image_id", "sha256", "phash", "width", "height"]], on="image_id")
    return kept.sort_values(["archive", "member", "label_member"]).reset_index(drop=True)


def _fully_labelled(kept: pd.DataFrame) -> pd.Series:
    """Whether every pill that the photograph should show is kept, pill by pill."""
    return kept.groupby("image_id")["label_member"].transform("size") >= kept["expected_pills"]


def _without_untrained(kept: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Drop drugs that lost their last training pill; their rows go into the quarantine. Unseen ones never had any."""
    trained = kept.loc[kept["split"] == "train", "k_code"].unique()
    untrained = ~kept["k_code"].isin(trained) & ~kept["split"].isin(UNSEEN)
    lost, left = kept[untrained], kept[~untrained]
    beside = set(lost["image_id"]).intersection(left["image_id"]) if len(lost) else set()
    empty = lost[~lost["image_id"].isin(beside)].drop_duplicates("image_id")
    pills = lost.assign(reason="class_without_training_pill", detail=lost["k_code"])
    photos = empty.assign(label_member="", reason="photo_without_usable_label", detail="")
    rows = pd.concat([pills, photos]).assign(outcome="quarantined")[list(ISSUES.columns)]
    return left.reset_index(drop=True), check_table(rows, ISSUES, "drugs without training pill")


def drug_classes(kept: pd.DataFrame) -> list[DrugClass]:
    """The class list, ordered by K-code, out of manifest rows.

    Where a drug's labels differ in name or EDI codes, the value of most of them holds; one that is missing does not
    count. Codes are never joined or made up.
    """
    rows = kept.assign(labels=1)
    names, codes = (most_frequent(rows, column) for column in ("drug_name", "edi_codes"))
    return [
        DrugClass(index, k_code, tuple(dict.fromkeys(code for code in codes.get(k_code, "").split(",") if code)), name)
        for index, k_code in enumerate(sorted(set(kept["k_code"])))
        for name in [names.get(k_code, "")]
    ]


def _accounts(
    kept: pd.DataFrame, noted: pd.DataFrame, unplanned: dict[str, dict[str, int]], counts: Sequence[Path]
) -> dict[str, Any]:
    """read = kept + quarantined + skipped, for archives, photos and labels; raises `ManifestError` if it is not."""
    read = Counter()
    for path in counts:
        read.update({kind: number for kind, number in read_json(path).items() if kind != "photos_directory"})
    kinds = np.select([noted["label_member"] != "", noted["member"] != ""], ["labels", "photos"], "archives")
    numbers = {"photos": kept["image_id"].nunique(), "labels": len(kept)}
    numbers["archives"] = read["archives"] - int((kinds == "archives").sum())
    accounts: dict[str, Any] = {"other_files": read["other_files"]}
    for kind, number_kept in numbers.items():
        about = noted[kinds == kind]
        by_outcome = {
            outcome: Counter(about.loc[about["outcome"] == outcome, "reason"]) for outcome in ("quarantined", "skipped")
        }
        by_outcome["skipped"].update(unplanned.get(kind, {}))
        account = {"read": read[kind], "kept": number_kept}
        account |= {outcome: dict(sorted(by_reason.items())) for outcome, by_reason in by_outcome.items()}
        total = number_kept + sum(by_outcome["quarantined"].values()) + sum(by_outcome["skipped"].values())
        if total != read[kind]:
            raise ManifestError(f"{kind}: {read[kind]} read, but {total} kept, quarantined or skipped: {account}")
        accounts[kind] = account
    return accounts


def _check_leaks(audit: dict[str, Any], shared_groups: str) -> None:
    groups, contents = audit["groups_on_two_sides"], audit["contents_on_two_sides"]
    if contents or (groups and shared_groups != "keep"):
        raise ManifestError(
            f"{groups} capture groups and {contents} identical photographs stand on two sides of the split. Make the "
            "plan again (-R plan_stage); if this stays, it is a defect of PillSnap."
        )


def _check_corrupt(noted: pd.DataFrame, settings: Manifest) -> None:
    corrupt = noted[noted["reason"].isin(CORRUPT)]
    if len(corrupt) and not settings.remove_corrupt:
        raise ManifestError(
            f"manifest.remove_corrupt is false and {len(corrupt)} photographs are corrupt, first "
            f"{corrupt['archive'].iloc[0]}: {corrupt['member'].iloc[0]}. Fetch them again or set it to true."
        )


def _lost_photos(noted: pd.DataFrame) -> pd.DataFrame:
    return noted[(noted["outcome"] == "quarantined") & (noted["label_member"] == "") & (noted["member"] != "")]


def _quarantined_share(noted: pd.DataFrame, looked_at: int, settings: Manifest) -> float:
    """Share of the photographs looked at that is quarantined; raises `ManifestError` above the limit.

    The index looks at every photograph of the source, the decode at the stage's own: each has its share, since
    defects of a large source would otherwise stop a small stage.
    """
    lost = _lost_photos(noted)
    count = len(lost)
    if count > settings.max_quarantined_fraction * looked_at:
        reasons = dict(sorted(Counter(lost["reason"]).items()))
        raise ManifestError(
            f"{count} of {looked_at} photographs are quarantined ({reasons}), more than "
            f"manifest.max_quarantined_fraction = {settings.max_quarantined_fraction} allows. "
            "Look at the raw data, or raise the limit."
        )
    return round(count / max(1, looked_at), 6)


def _composition(kept: pd.DataFrame, noted: pd.DataFrame) -> dict[str, Any]:
    photos = kept.drop_duplicates("image_id")
    partly = photos.loc[~photos["fully_labelled"]]
    return {
        "repaired": dict(sorted(Counter(noted.loc[noted["outcome"] == "repaired", "reason"]).items())),
        "partly_labelled_photos": len(partly),
        "splits": {
            split: {
                "photos": int((photos["split"] == split).sum()),
                "pills": int((kept["split"] == split).sum()),
                "single": int(((photos["split"] == split) & (photos["domain"] == "single")).sum()),
                "combo": int(((photos["split"] == split) & (photos["domain"] == "combo")).sum()),
                "groups": int(photos.loc[photos["split"] == split, "group"].nunique()),
                "classes": int(kept.loc[kept["split"] == split, "k_code"].nunique()),
            }
            for split in ("train", "val", "test")
        },
        "unseen": {
            split: {
                "photos": int((photos["split"] == split).sum()),
                "drugs": int(kept.loc[kept["split"] == split, "k_code"].nunique()),
            }
            for split in UNSEEN
        },
    }
