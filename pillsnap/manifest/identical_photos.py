"""Photographs with the same bytes: copies are left out, and so is what two labels contradict each other about."""

import pandas as pd

from pillsnap.tables.files import check_table
from pillsnap.tables.schemas import ISSUES

_FURTHEST_FIRST = {"unseen_test": 0, "test": 0, "unseen_val": 1, "val": 1, "train": 2}


def set_aside_identical(kept: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Leave of each set of identical photographs one, or none where their labels contradict each other.

    The one that stays is that of the side which is held out furthest (test, then validation), so that no training sees
    it; then the one with most labels. Labels contradict each other where the drugs of one photograph are not among
    those of another with the same bytes: nobody knows which is right.

    Args:
        kept: manifest rows with `image_id`, `sha256`, `split`, `k_code`, `archive`, `member`, `label_member`.

    Returns:
        the rows that stay, and issues of the others: one a photograph and one a label.
    """
    photos = kept.groupby("image_id", sort=False).agg(dict.fromkeys(("sha256", "split"), "first")).reset_index()
    copies = photos[photos.duplicated("sha256", keep=False)]
    reasons: dict[str, str] = {}
    if len(copies):
        rows = kept[kept["image_id"].isin(copies["image_id"])]
        drugs = rows.groupby("image_id")["k_code"].agg(set)
        for _, same in copies.groupby("sha256", sort=True):
            reasons |= _judge(same, drugs)
    reason = kept["image_id"].map(reasons)
    lost = kept[reason.notna()].assign(reason=reason.dropna())
    return kept[reason.isna()].reset_index(drop=True), _issues(lost)


def _judge(same: pd.DataFrame, drugs: pd.Series) -> dict[str, str]:
    """Reason by image_id of those of a set of identical photographs that do not stay."""
    largest = max((drugs[image_id] for image_id in same["image_id"]), key=len)
    if not all(drugs[image_id] <= largest for image_id in same["image_id"]):
        return dict.fromkeys(same["image_id"], "photo_identical_other_drug")
    order = sorted(
        same.itertuples(), key=lambda row: (_FURTHEST_FIRST[row.split], -len(drugs[row.image_id]), row.image_id)
    )
    return dict.fromkeys((row.image_id for row in order[1:]), "photo_identical")


def _issues(lost: pd.DataFrame) -> pd.DataFrame:
    labels = lost.assign(detail=lost["sha256"])
    photos = labels.drop_duplicates("image_id").assign(label_member="")
    rows = pd.concat([photos, labels])
    skipped = rows["reason"] == "photo_identical"
    rows = rows.assign(outcome=skipped.map({True: "skipped", False: "quarantined"}))[list(ISSUES.columns)]
    return check_table(rows.reset_index(drop=True), ISSUES, "identical photographs")
