"""Photographs that are there more than once: copies with the same bytes, and those that several sources have."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import pandas as pd

from pillsnap.pictures.boxes import iou_rows
from pillsnap.sources.checks import SAME_PILL
from pillsnap.tables.files import check_table, read_columns
from pillsnap.tables.schemas import ISSUES, PARTS

_FURTHEST_FIRST = {"unseen_test": 0, "test": 0, "unseen_val": 1, "val": 1, "train": 2}
_COPIED = r"^[0-9a-f]{8}-|(?:_(?:jpe?g|png|bmp|webp|tiff?))?\.rf\..*$"
"""What Label Studio puts before a file name, and Roboflow behind it."""
_COLUMNS = ("image_id", "member", "part", "group", "width", "height", "x", "y", "w", "h")


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
        labels = rows["image_id"].value_counts()
        for _, same in copies.groupby("sha256", sort=True):
            reasons |= _reasons(same, drugs, labels)
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


def _reasons(same: pd.DataFrame, drugs: pd.Series, labels: pd.Series) -> dict[str, str]:
    """Return the reason, by image_id, of the dropped ones of a set of identical photographs; `drugs` and number of
    `labels` are by image_id."""
    largest = max((drugs[image_id] for image_id in same["image_id"]), key=len)
    if not all(drugs[image_id] <= largest for image_id in same["image_id"]):
        return dict.fromkeys(same["image_id"], "photo_identical_other_drug")
    order = sorted(same.itertuples(), key=lambda row: (_FURTHEST_FIRST[row.split], -labels[row.image_id], row.image_id))
    return dict.fromkeys((row.image_id for row in order[1:]), "photo_identical")


def _issues(lost: pd.DataFrame) -> pd.DataFrame:
    labels = lost.assign(detail=lost["sha256"])
    photos = labels.drop_duplicates("image_id").assign(label_member="")
    rows = pd.concat([photos, labels])
    skipped = rows["reason"] != "photo_identical_other_drug"
    rows = rows.assign(outcome=skipped.map({True: "skipped", False: "quarantined"}))[list(ISSUES.columns)]
    return check_table(rows.reset_index(drop=True), ISSUES, "identical photographs")


@dataclass(frozen=True)
class SharedPhotos:
    """What changes for photographs that several sources have.

    Attributes:
        groups: capture group of the original by that of its copies, which are one group from now on.
        parts: part of original and copies by image_id: the one held out furthest among them.
        corrected: image_ids of those that a later source has too; its labels are used instead.
    """

    groups: dict[str, str]
    parts: dict[str, str]
    corrected: set[str]


def find_shared_photos(files: Sequence[Path], sources: Sequence[str]) -> SharedPhotos:
    """Find photographs of different sources that have one file name and a labelled box in one place.

    Names are compared without folder, ending and what exporters add; boxes in fractions, so that a copy may have
    another size. A name alone proves nothing, since many data sets number theirs from 1.

    Args:
        files: the archives' indices, schema `PILLS`.
        sources: the source of each; an original comes before its copies.
    """
    tables = [read_columns(file, _COLUMNS).to_pandas() for file in files]
    keys = [_key(table["member"]) for table in tables]
    by_source: dict[str, set[str]] = {}
    for key, source in zip(keys, sources, strict=True):
        by_source.setdefault(source, set()).update(key)
    counts = Counter(chain.from_iterable(by_source.values()))
    shared = {key for key, count in counts.items() if count > 1}
    rank = {name: place for place, name in enumerate(by_source)}
    some = [
        table.assign(key=key, source=rank[source])[key.isin(shared)]
        for table, key, source in zip(tables, keys, sources, strict=True)
    ]
    pills = pd.concat(some, ignore_index=True)
    pairs = _same_photos(pills)
    photos = pills.drop_duplicates("image_id").set_index("image_id")
    originals = _roots(zip(pairs["image_id"], pairs["image_id_copy"], strict=True))
    groups = _roots(zip(photos["group"][pairs["image_id"]], photos["group"][pairs["image_id_copy"]], strict=True))
    copies = photos.loc[list(originals), ["part", "source"]].assign(original=list(originals.values()))
    copies["part"] = copies["part"].map(PARTS.index)
    most = copies.groupby("original")[["part", "source"]].transform("max")
    return SharedPhotos(
        groups,
        parts={image_id: PARTS[part] for image_id, part in most["part"].items()},
        corrected=set(copies.index[copies["source"] < most["source"]]),
    )


def _key(members: pd.Series) -> pd.Series:
    """Return each photograph's file name without folder, ending and what exporters add."""
    names = members.str.replace(r"^.*/|\.[^./]*$", "", regex=True)
    return names.str.replace(_COPIED, "", regex=True).str.lower()


def _same_photos(pills: pd.DataFrame) -> pd.DataFrame:
    """Return the pairs `image_id` and `image_id_copy`, of an earlier and a later source, in their order."""
    size = pills[["width", "height"] * 2].clip(lower=1).to_numpy(float)
    fractions = pd.DataFrame(pills[list("xywh")].to_numpy(float) / size, index=pills.index, columns=list("xywh"))
    rows = pills[["key", "source", "image_id"]].join(fractions)
    both = rows.merge(rows, on="key", suffixes=("", "_copy"))
    both = both[both["source"] < both["source_copy"]]
    boxes, copies = (both[[f"{side}{which}" for side in "xywh"]].to_numpy() for which in ("", "_copy"))
    same = both[iou_rows(boxes, copies) >= SAME_PILL]
    order = ["source", "source_copy", "image_id", "image_id_copy"]
    return same.sort_values(order).drop_duplicates(["image_id", "image_id_copy"])


def _roots(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Join pairs into sets; returns the first member of its set for each member."""
    parent: dict[str, str] = {}

    def root(name: str) -> str:
        while parent.setdefault(name, name) != name:
            name = parent[name]
        return name

    for first, second in pairs:
        parent[root(second)] = root(first)
    return {name: root(name) for name in parent}
