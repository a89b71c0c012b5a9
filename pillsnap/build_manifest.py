"""From prepared archives to the manifest that people open, the quarantine and the one class list."""

import logging
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from pillsnap.classes import DrugClass, write_classes
from pillsnap.config import Manifest
from pillsnap.files import read_json, replacing, write_json
from pillsnap.reasons import CORRUPT
from pillsnap.tables import CONTEXTS, ISSUES, MANIFEST, PHOTOS, PLAN, check_table, read_table, write_table

log = logging.getLogger(__name__)


class ManifestError(ValueError):
    """Data that breaks the limits of the configuration, or an account that does not balance."""


def build_manifest(
    *,
    plan: Path,
    plan_summary: Path,
    counts: Sequence[Path],
    issues: Sequence[Path],
    prepared: Sequence[Path],
    manifest: dict[str, Path],
    quarantine: Path,
    classes: Path,
    summary: Path,
    settings: Manifest,
) -> None:
    """Join plan and prepared archives.

    Args:
        plan, plan_summary: made by `plan_stage`.
        counts, issues: made by `index_archive`, one of each for an archive.
        prepared: folders made by `prepare_archive`.
        manifest: written, CSV by split (`train`, `val`, `test`), schema `MANIFEST`.
        quarantine: written, CSV: archive, member, label_member, reason, detail.
        classes: written, JSON: the ordered class list.
        summary: written, JSON: read = kept + quarantined + skipped for photos and labels, counts by split.
        settings: limits.

    Raises:
        ManifestError: too large a share is quarantined, or corrupt photographs while `remove_corrupt` is off.
    """
    planned = read_table(plan, PLAN)
    indexed = pd.concat([read_table(path, ISSUES) for path in issues])
    kept = _kept(planned, prepared)
    kept, lost = _without_untrained(kept)
    kept["fully_labelled"] = _fully_labelled(kept)
    decoded = pd.concat([*(read_table(path / "issues.parquet", ISSUES) for path in prepared), lost])
    noted = pd.concat([indexed, decoded], ignore_index=True)
    listed = drug_classes(kept)
    kept["class_index"] = kept["k_code"].map({drug.k_code: drug.index for drug in listed})
    accounts = _accounts(kept, noted, read_json(plan_summary)["skipped"], counts)
    _check_corrupt(noted, settings)
    shares = {
        "indexed": _quarantined_share(indexed, accounts["photos"]["read"], settings),
        "decoded": _quarantined_share(decoded, kept["image_id"].nunique() + len(_lost_photos(decoded)), settings),
    }
    for split, path in manifest.items():
        rows = kept.loc[kept["split"] == split, list(MANIFEST.columns)]
        write_table(rows.reset_index(drop=True), path, MANIFEST)
    rows = noted[noted["outcome"] == "quarantined"].sort_values(["archive", "member", "label_member", "reason"])
    _write_quarantine(rows, quarantine)
    write_classes(listed, classes)
    write_json(summary, accounts | {"quarantined_share": shares} | _composition(kept, noted))
    log.info("%d photos, %d pills, %d drugs kept", kept["image_id"].nunique(), len(kept), len(listed))


def _kept(planned: pd.DataFrame, prepared: Sequence[Path]) -> pd.DataFrame:
    """Pills that survived the decode, with the photographs' true size, clipped boxes and hashes."""
    photos = pd.concat([read_table(path / "photos.parquet", PHOTOS) for path in prepared])
    boxes = pd.concat([read_table(path / "crops.parquet", CONTEXTS) for path in prepared])
    facts = planned.drop(columns=["width", "height", "x", "y", "w", "h"])
    kept = facts.merge(boxes[["image_id", "label_member", "x", "y", "w", "h"]], on=["image_id", "label_member"])
    kept = kept.merge(photos[["image_id", "sha256", "width", "height"]], on="image_id")
    return kept.sort_values(["archive", "member", "label_member"]).reset_index(drop=True)


def _fully_labelled(kept: pd.DataFrame) -> pd.Series:
    """Whether every pill that the photograph should show is kept, pill by pill."""
    return kept.groupby("image_id")["label_member"].transform("size") >= kept["expected_pills"]


def _without_untrained(kept: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Drop drugs that lost their last training pill; their rows go into the quarantine."""
    trained = set(kept.loc[kept["split"] == "train", "k_code"])
    lost = kept[~kept["k_code"].isin(trained)]
    left = kept.drop(lost.index)
    empty = lost[~lost["image_id"].isin(left["image_id"])].drop_duplicates("image_id")
    pills = lost.assign(reason="class_without_training_pill", detail=lost["k_code"])
    photos = empty.assign(label_member="", reason="photo_without_usable_label", detail="")
    rows = pd.concat([pills, photos]).assign(outcome="quarantined")[list(ISSUES.columns)]
    return left.reset_index(drop=True), check_table(rows, ISSUES, "drugs without training pill")


def drug_classes(kept: pd.DataFrame) -> list[DrugClass]:
    """The class list, ordered by K-code, out of manifest rows."""
    drugs = kept.sort_values(["k_code", "image_id"]).drop_duplicates("k_code")
    return [
        DrugClass(index, row.k_code, tuple(code for code in row.edi_codes.split(",") if code), row.drug_name)
        for index, row in enumerate(drugs.itertuples())
    ]


def _accounts(
    kept: pd.DataFrame, noted: pd.DataFrame, unplanned: dict[str, dict[str, int]], counts: Sequence[Path]
) -> dict[str, Any]:
    """read = kept + quarantined + skipped, for photos and for labels; raises `ManifestError` if it is not."""
    read = Counter()
    for path in counts:
        read.update(read_json(path))
    accounts = {}
    for kind, number_kept in (("photos", kept["image_id"].nunique()), ("labels", len(kept))):
        about = noted[(noted["label_member"] == "") == (kind == "photos")]
        by_outcome = {
            outcome: Counter(about.loc[about["outcome"] == outcome, "reason"]) for outcome in ("quarantined", "skipped")
        }
        by_outcome["skipped"].update(unplanned[kind])
        account = {"read": read[kind], "kept": number_kept}
        account |= {outcome: dict(sorted(by_reason.items())) for outcome, by_reason in by_outcome.items()}
        total = number_kept + sum(by_outcome["quarantined"].values()) + sum(by_outcome["skipped"].values())
        if total != read[kind]:
            raise ManifestError(f"{kind}: {read[kind]} read, but {total} kept, quarantined or skipped: {account}")
        accounts[kind] = account
    return accounts


def _check_corrupt(noted: pd.DataFrame, settings: Manifest) -> None:
    corrupt = noted[noted["reason"].isin(CORRUPT)]
    if len(corrupt) and not settings.remove_corrupt:
        raise ManifestError(
            f"manifest.remove_corrupt is false and {len(corrupt)} photographs are corrupt, first "
            f"{corrupt['archive'].iloc[0]}: {corrupt['member'].iloc[0]}. Fetch them again or set it to true."
        )


def _lost_photos(noted: pd.DataFrame) -> pd.DataFrame:
    return noted[(noted["outcome"] == "quarantined") & (noted["label_member"] == "")]


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


def _write_quarantine(rows: pd.DataFrame, path: Path) -> None:
    columns = ["archive", "member", "label_member", "reason", "detail"]
    with replacing(path) as temporary:
        rows[columns].to_csv(temporary, index=False, encoding="utf-8-sig", lineterminator="\n")


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
        "groups_on_two_sides": int((photos.groupby("group")["split"].nunique() > 1).sum()),
    }
