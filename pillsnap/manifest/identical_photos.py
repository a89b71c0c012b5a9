"""Drop copies of photographs with the same bytes, and all of them where their labels contradict each other."""

from collections.abc import Mapping

import pandas as pd

from pillsnap.tables.files import check_table
from pillsnap.tables.schemas import ISSUES

_FURTHEST_FIRST = {"unseen_test": 0, "test": 0, "unseen_val": 1, "val": 1, "train": 2}


def drop_identical(
    kept: pd.DataFrame, backgrounds: pd.DataFrame, source_of: Mapping[str, str]
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Keep one of each set of identical photographs, or none where their labels contradict each other.

    Of several sources the last one's is kept, also where it says that the photograph shows no pill. Of one source it is
    the one on the side that is held out furthest (test, then validation), so that no training sees it; among equals the
    one with most labels. Labels contradict each other where the drugs of one photograph are not among those of another
    with the same bytes: which is right is unknown.

    Args:
        kept: manifest rows with `image_id`, `sha256`, `split`, `k_code`, `archive`, `member`, `label_member`.
        backgrounds: photographs without a pill, with `sha256` and `archive`.
        source_of: name of the source by the archive's name, in the sources' order.

    Returns:
        the kept rows, and issues of the others: one a photograph and one a label.
    """
    photos = (
        kept.groupby("image_id", sort=False).agg(dict.fromkeys(("sha256", "split", "archive"), "first")).reset_index()
    )
    both = pd.concat([photos[["sha256", "archive"]], backgrounds[["sha256", "archive"]]], ignore_index=True)
    source = _place(both["archive"], source_of)
    last = (source == source.groupby(both["sha256"]).transform("max"))[: len(photos)]
    reasons = dict.fromkeys(photos.loc[~last, "image_id"], "photo_in_later_source")
    copies = photos[last]
    copies = copies[copies.duplicated("sha256", keep=False)]
    if len(copies):
        rows = kept[kept["image_id"].isin(copies["image_id"])]
        drugs = rows.groupby("image_id")["k_code"].agg(set)
        for _, same in copies.groupby("sha256", sort=True):
            reasons |= _reasons(same, drugs)
    reason = kept["image_id"].map(reasons)
    lost = kept[reason.notna()].assign(reason=reason.dropna())
    return kept[reason.isna()].reset_index(drop=True), _issues(lost)


def _place(archives: pd.Series, source_of: Mapping[str, str]) -> pd.Series:
    """Return the place of each archive's source among the sources."""
    place = {name: number for number, name in enumerate(dict.fromkeys(source_of.values()))}
    return archives.map(lambda archive: place[source_of[archive]]).astype(int)


def drop_identical_backgrounds(
    backgrounds: pd.DataFrame, kept: pd.DataFrame, source_of: Mapping[str, str]
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Keep one of each set of identical backgrounds, and none with the bytes of a photograph with labelled pills.

    Args:
        backgrounds: schema `MANIFEST_BACKGROUNDS`.
        kept: manifest rows of the photographs with pills, of `drop_identical`.
        source_of: name of the source by the archive's name, in the sources' order.

    Returns:
        the kept backgrounds, and issues of the others, one a photograph.
    """
    labelled = backgrounds["sha256"].isin(kept["sha256"])
    by_source = _place(kept["archive"], source_of).groupby(kept["sha256"]).max()
    corrected = backgrounds["sha256"].map(by_source).astype(float) > _place(backgrounds["archive"], source_of)
    furthest = backgrounds.assign(place=backgrounds["split"].map(_FURTHEST_FIRST)).sort_values(["place", "image_id"])
    copied = furthest.duplicated("sha256").sort_index() & ~labelled
    rows = backgrounds.assign(label_member="", detail=backgrounds["sha256"])
    lost = pd.concat(
        [
            rows[labelled & ~corrected].assign(outcome="quarantined", reason="background_labelled"),
            rows[corrected].assign(outcome="skipped", reason="photo_in_later_source"),
            rows[copied].assign(outcome="skipped", reason="photo_identical"),
        ]
    )
    issues = check_table(lost[list(ISSUES.columns)].reset_index(drop=True), ISSUES, "identical backgrounds")
    return backgrounds[~labelled & ~copied].reset_index(drop=True), issues


def _reasons(same: pd.DataFrame, drugs: pd.Series) -> dict[str, str]:
    """Return the reason, by image_id, of the dropped ones of a set of identical photographs."""
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
    skipped = rows["reason"] != "photo_identical_other_drug"
    rows = rows.assign(outcome=skipped.map({True: "skipped", False: "quarantined"}))[list(ISSUES.columns)]
    return check_table(rows.reset_index(drop=True), ISSUES, "identical photographs")
