"""Check that a plan can be trained, validated and tested."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from pillsnap.config.config import Config
from pillsnap.preflight.findings import Finding, finding, share
from pillsnap.tables.schemas import UNSEEN

SPLIT_TOLERANCE = 0.1
"""Deviation of a side's fraction from the requested one: a larger one is a warning."""
LARGE_BOX, LARGE_SHARE = 0.5, 0.05
"""A box over this fraction of its photograph is large; a larger share of such boxes is a warning."""
SIZE_SHARE = 0.01
"""Photographs without a credible size in their labels: a larger share is a warning."""
PARTLY_SHARE = 0.1
"""Partly labelled combos: a larger share is a warning."""
GINI = 0.5
"""Imbalance of training pills over drugs, from 0 (equal) to 1: more is a warning."""
PLAN_AGAIN = "Plan again: -R plan_stage"
NAMES_SHOWN = 5


def check_plan(plan: pd.DataFrame, summary: Mapping[str, Any], config: Config) -> list[Finding]:
    """Check a stage's plan, without the unseen drugs.

    Args:
        plan: schema `PLAN`.
        summary: content of `plan.json`.
        config: its `plan` is compared with the planned fractions.
    """
    plan = plan[~plan["split"].isin(UNSEEN)]
    photos = plan.drop_duplicates("image_id")
    photos = photos.assign(labels=photos["image_id"].map(plan.groupby("image_id").size()))
    dropped = {k_code for drugs in summary["classes_dropped"].values() for k_code in drugs}
    named = plan[~plan["k_code"].isin(dropped)]
    return [
        _budget(plan, named, photos, summary),
        _sides(photos),
        _shares(photos, config),
        _groups(plan),
        _drugs(named, at_least=1 if summary.get("detector_only") else 2),
        _balance(named),
        _boxes(plan),
        _sizes(plan, photos),
        _combos(photos),
    ]


def _budget(plan: pd.DataFrame, named: pd.DataFrame, photos: pd.DataFrame, summary: Mapping[str, Any]) -> Finding:
    requested, used = summary["asked"], summary["used"]
    drugs = named["k_code"].nunique()
    text = f"{len(photos):,} photographs of {requested['images']:,}, {drugs:,} drugs of {requested['classes']:,}"
    over = len(photos) > requested["images"] or drugs > requested["classes"]
    inconsistent = len(photos) != used["images"] or not set(named["k_code"]) <= set(summary["classes"])
    if inconsistent:
        text += f"; plan.json has {used['images']:,} photographs and {used['classes']:,} drugs"
    return finding("plan: budget", text, refused=over or inconsistent, cure=PLAN_AGAIN)


def _sides(photos: pd.DataFrame) -> Finding:
    """Check that every side has photographs, and the detector fully labelled ones."""
    count = photos["split"].value_counts()
    full = photos.loc[photos["labels"] >= photos["expected_pills"], "split"].value_counts()
    text = ", ".join(f"{side} {count.get(side, 0):,}" for side in ("train", "val", "test")) + " photographs"
    lacking = [side for side in ("train", "val") if not full.get(side, 0)]
    text += f"; none fully labelled in {' and '.join(lacking)}, which the detector needs" if lacking else ""
    empty = any(not count.get(side, 0) for side in ("train", "val", "test"))
    cure = "Raise stages.<stage>.images, or give the source fully labelled photographs for every side"
    return finding("plan: sides", text, refused=empty or bool(lacking), cure=cure)


def _shares(photos: pd.DataFrame, config: Config) -> Finding:
    """Compare the fractions of the sides with the requested ones, where the source does not fix the side."""
    free = photos[photos["part"] == ""]
    trained = free[free["split"] != "test"]
    shares = {"validation": (share((trained["split"] == "val").sum(), len(trained)), config.plan.val_fraction)}
    if not (photos["part"] == "test").any():
        shares["test"] = share((free["split"] == "test").sum(), len(free)), config.plan.test_fraction
    if not len(free):
        return finding("plan: shares", "the source fixes every side")
    text = ", ".join(f"{side} {got:.1%}, requested {wanted:.1%}" for side, (got, wanted) in shares.items())
    off = any(abs(got - wanted) > SPLIT_TOLERANCE for got, wanted in shares.values())
    cure = "Few capture groups a drug divide coarsely: give more of them, or change plan.val_fraction"
    return finding("plan: shares", text, warning=off, cure=cure)


def _groups(plan: pd.DataFrame) -> Finding:
    """Check for capture groups on two sides, which leak; only the source's own parts may share some."""
    sides = plan.groupby("group")["split"].nunique()
    double = plan[plan["group"].isin(sides.index[sides > 1])]
    ours = double.groupby("group")["part"].apply(lambda parts: (parts == "").all())
    text = f"{len(ours)} of {len(sides):,} capture groups on two sides"
    text += f", {len(ours) - ours.sum()} of them divided by the source" if len(ours) else ""
    cure = PLAN_AGAIN if ours.any() else "Mind that the test part's figures are too good, or divide the source anew"
    return finding("plan: capture groups", text, refused=bool(ours.any()), warning=len(ours) > 0, cure=cure)


def _drugs(plan: pd.DataFrame, *, at_least: int) -> Finding:
    """Check that each drug has 2 training pills and 1 validation pill, which a tight budget may prevent."""
    count = plan.groupby(["k_code", "split"]).size().unstack(fill_value=0).reindex(columns=["train", "val"]).fillna(0)
    short = sorted(count.index[(count["train"] < 2) | (count["val"] < 1)])
    text = f"{len(count) - len(short):,} of {len(count):,} drugs have 2 training pills and 1 validation pill"
    if short:
        text += f"; not {', '.join(short[:NAMES_SHOWN])}" + (", …" if len(short) > NAMES_SHOWN else "")
    cure = "Raise stages.<stage>.images, or lower stages.<stage>.classes"
    return finding("plan: drugs", text, refused=len(count) - len(short) < at_least, warning=bool(short), cure=cure)


def _balance(plan: pd.DataFrame) -> Finding:
    pills = plan.loc[plan["split"] == "train", "k_code"].value_counts()
    value = gini(pills.to_numpy())
    text = f"{pills.min() if len(pills) else 0:,} to {pills.max() if len(pills) else 0:,} training pills a drug"
    cure = "Rare drugs will be named worse: give them more photographs, or lower the stage's budget of photographs"
    return finding("plan: balance", f"{text}, Gini {value:.2f}", warning=value > GINI, cure=cure)


def gini(counts: np.ndarray) -> float:
    """Return the Gini coefficient of counts: 0 where all are equal, towards 1 where one has all; 0 without any."""
    ordered = np.sort(counts.astype(float))
    if not ordered.sum():
        return 0.0
    place = np.arange(1, len(ordered) + 1)
    return float((2 * place - len(ordered) - 1) @ ordered / (len(ordered) * ordered.sum()))


def _boxes(plan: pd.DataFrame) -> Finding:
    """Check for boxes that cover their photograph, without those of folders of one class, which no label gives."""
    plan = plan[plan["label_member"] != plan["member"]]
    if not len(plan):
        return finding("plan: boxes", "no label gives any")
    area = plan["w"] * plan["h"] / (plan["width"] * plan["height"])
    large = share((area > LARGE_BOX).sum(), len(plan))
    text = f"{large:.1%} of {len(plan):,} boxes cover more than half of their photograph"
    cure = "Look at some of them: such labels often hold the photograph's size, or a digit too many"
    return finding("plan: boxes", text, warning=large > LARGE_SHARE, cure=cure)


def _sizes(plan: pd.DataFrame, photos: pd.DataFrame) -> Finding:
    """Check that labels of one photograph agree on its size, and that boxes fit into it."""
    differing = plan.groupby("image_id")[["width", "height"]].nunique().max(axis=1) > 1
    outside = (plan["x"] + plan["w"] > plan["width"] + 2) | (plan["y"] + plan["h"] > plan["height"] + 2)
    doubtful = set(differing.index[differing]) | set(plan.loc[outside, "image_id"])
    sizes = (photos["width"].astype(str) + " x " + photos["height"].astype(str)).value_counts()
    part = share(len(doubtful), len(photos))
    common = f"{sizes.index[0]} in {share(sizes.iloc[0], len(photos)):.0%}" if len(sizes) else "no photograph"
    text = f"sizes in the labels: {len(sizes):,}, {common}; {part:.1%} of the photographs have labels that disagree"
    cure = "The decode takes the photograph's own size, and lists what does not fit; look at the labels' source"
    return finding("plan: photo sizes", text, warning=part > SIZE_SHARE, cure=cure)


def _combos(photos: pd.DataFrame) -> Finding:
    combos = photos[photos["domain"] == "combo"]
    partly = share((combos["labels"] < combos["expected_pills"]).sum(), len(combos))
    text = f"{partly:.1%} of {len(combos):,} combos are partly labelled"
    cure = "The detector is trained without them: complete their labels, or expect it to find fewer pills in combos"
    return finding("plan: combos", text, warning=partly > PARTLY_SHARE, cure=cure)
