"""Choose a stage's photographs and their side of the split, by labels only."""

import hashlib
import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from pillsnap.config import Plan, Stage
from pillsnap.files import write_json
from pillsnap.tables import PILLS, PLAN, read_table, write_table

log = logging.getLogger(__name__)


class PlanError(ValueError):
    """Raw data out of which no stage can be made."""


def plan_stage(*, pills: Sequence[Path], plan: Path, summary: Path, stage: Stage, settings: Plan, seed: int) -> None:
    """Plan one stage.

    Everything is ordered by a hash of (seed, key) that knows nothing of the stage, so that a smaller stage's
    drugs are a larger one's too, and a capture group stands on the same side in all of them.

    Args:
        pills: the archives' indices, schema `PILLS`.
        plan: written, schema `PLAN`: the pills of the chosen photographs.
        summary: written, JSON: budget asked and used, photos and labels skipped by reason, drugs dropped.
        stage: budget of photographs and drugs.
        settings: fractions of the split.
        seed: seed of every choice.

    Raises:
        PlanError: fewer than two drugs can be trained and validated.
    """
    table = pd.concat([read_table(path, PILLS) for path in pills], ignore_index=True)
    photos = _photo_table(table, seed)
    table["split"] = table["image_id"].map(assign_splits(photos, table, settings)).astype(str)
    classes = _choose_classes(table, stage.classes, seed)
    foreign = ~table["k_code"].isin(classes)
    outside = photos.index.isin(table.loc[foreign, "image_id"])
    photos["split"] = table.groupby("image_id")["split"].first()
    chosen = _choose_photos(photos[~outside], stage.images, settings)
    used = table[table["image_id"].isin(chosen)].sort_values(["archive", "member", "label_member"])
    write_table(used.reset_index(drop=True), plan, PLAN)
    write_json(summary, _summary(table, photos, outside, chosen, classes, stage))
    log.info("%d of %d photos, %d drugs", len(chosen), len(photos), len(classes))


def hash_order(keys: Sequence[str] | pd.Series, seed: int) -> np.ndarray:
    """A place for each key in an order that depends on seed and key only: uint64 (N,)."""
    digests = (hashlib.blake2b(f"{seed}:{key}".encode(), digest_size=8).digest() for key in keys)
    return np.frombuffer(b"".join(digests), dtype=">u8").astype(np.uint64)


def _photo_table(table: pd.DataFrame, seed: int) -> pd.DataFrame:
    """One row a photograph: its first drug stands for it when drugs are balanced."""
    photos = table.groupby("image_id", sort=True)[["domain", "part", "group", "k_code"]].first()
    photos["labels"] = table.groupby("image_id").size()
    photos["order"] = hash_order(photos.index, seed)
    photos["group_order"] = photos["group"].map(
        dict(zip(groups := photos["group"].unique(), hash_order(groups, seed), strict=True))
    )
    return photos


def assign_splits(photos: pd.DataFrame, table: pd.DataFrame, settings: Plan) -> pd.Series:
    """The side of each photograph: what the source fixes, else by whole capture groups.

    Single-pill groups are divided drug by drug, each with at least one group in training; combinations are
    divided together. A test share is held out only where the source has no test part of its own.

    Returns:
        `train`, `val` or `test` by image_id.
    """
    split = photos["part"].copy()
    free = photos[photos["part"] == ""]
    held_out = 0.0 if (photos["part"] == "test").any() else settings.test_fraction
    groups = free.drop_duplicates("group")[["group", "group_order", "domain", "k_code"]]
    pot = groups["k_code"].where(groups["domain"] == "single", "")
    rank = groups.groupby(pot)["group_order"].rank(method="first") - 1
    size = groups.groupby(pot)["group"].transform("size")
    n_test = _share(size, held_out)
    n_val = _share(size - n_test, settings.val_fraction)
    side = np.select([rank < n_test, rank < n_test + n_val], ["test", "val"], "train")
    by_group = dict(zip(groups["group"], side, strict=True))
    split[free.index] = free["group"].map(by_group)
    return split


def _share(size: pd.Series, fraction: float) -> pd.Series:
    """At least one and at most all but one; none of a single group, or of fraction 0."""
    if fraction == 0:
        return size * 0
    return (size * fraction).round().clip(lower=1).clip(upper=size - 1)


def _choose_classes(table: pd.DataFrame, budget: int, seed: int) -> list[str]:
    """Drugs with at least 2 training pills and 1 validation pill, in hash order up to the budget."""
    counts = (
        table.groupby(["k_code", "split"]).size().unstack(fill_value=0).reindex(columns=["train", "val"], fill_value=0)
    )
    usable = sorted(counts.index[(counts["train"] >= 2) & (counts["val"] >= 1)])
    if len(usable) < 2:
        raise PlanError(
            f"Only {len(usable)} of {len(counts)} drugs have 2 training pills and 1 validation pill; at least 2 "
            "drugs are needed. Give the source more photographs of each drug."
        )
    order = np.argsort(hash_order(usable, seed), kind="stable")
    return sorted(usable[index] for index in order[:budget])


def _choose_photos(photos: pd.DataFrame, budget: int, settings: Plan) -> set[str]:
    """The photographs of a budget: a share for each side, combos up to their share, singles balanced over drugs."""
    if len(photos) <= budget:
        return set(photos.index)
    shares = {"test": settings.test_fraction}
    shares["val"] = (1 - shares["test"]) * settings.val_fraction
    shares["train"] = 1 - shares["test"] - shares["val"]
    available = photos["split"].value_counts()
    quota = {side: min(int(budget * share), int(available.get(side, 0))) for side, share in shares.items()}
    quota["train"] = min(budget - quota["val"] - quota["test"], int(available.get("train", 0)))
    return {image for side, count in quota.items() for image in _take(photos[photos["split"] == side], count, settings)}


def _take(photos: pd.DataFrame, count: int, settings: Plan) -> list[str]:
    combos = photos[photos["domain"] == "combo"].sort_values(["group_order", "order"])
    singles = photos[photos["domain"] == "single"].sort_values(["k_code", "order"])
    rank = singles.groupby("k_code").cumcount()
    singles = singles.assign(rank=rank).sort_values(["rank", "order"])
    n_combos = min(len(combos), max(int(count * settings.combo_fraction), count - len(singles)))
    return [*combos.index[:n_combos], *singles.index[: count - n_combos]]


def _summary(
    table: pd.DataFrame,
    photos: pd.DataFrame,
    outside: np.ndarray,
    chosen: set[str],
    classes: list[str],
    stage: Stage,
) -> dict[str, object]:
    unused = photos[~photos.index.isin(chosen)]
    reason = pd.Series(np.where(outside, "class_not_in_stage", "over_budget"), photos.index)[unused.index]
    return {
        "asked": {"images": stage.images, "classes": stage.classes},
        "used": {"images": len(chosen), "classes": len(classes)},
        "skipped": {
            "photos": {key: int(count) for key, count in reason.value_counts().sort_index().items()},
            "labels": {key: int(count) for key, count in unused["labels"].groupby(reason).sum().sort_index().items()},
        },
        "classes": classes,
        "classes_left_out": sorted(set(table["k_code"]) - set(classes)),
    }
