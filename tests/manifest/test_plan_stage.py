"""Planning: budgets, whole capture groups, nested stages, no drug that cannot be trained."""

import itertools

import numpy as np
import pandas as pd
import pytest

from pillsnap.manifest.choose_photos import PlanError
from pillsnap.manifest.hash_order import hash_order
from pillsnap.tables.files import make_table, read_table
from pillsnap.tables.schemas import ISSUES, PILLS
from tests.support.plans import archive, pill, planned


@pytest.mark.parametrize("test", [4, 0])
def test_capture_groups_stay_on_one_side_and_every_drug_on_all(tmp_path, test) -> None:
    plan, _ = planned(tmp_path, archive(test=test))
    assert (plan.groupby("group")["split"].nunique() == 1).all()
    sides = plan[plan["domain"] == "single"].groupby("k_code")["split"].agg(set)
    assert (sides == {"train", "val", "test"}).all()
    assert set(plan.loc[plan["part"] == "test", "split"]) <= {"test"}
    share = (plan.loc[plan["part"] == "", "split"] == "val").mean()
    assert 0.1 < share < 0.3


def test_all_photos_are_accounted_for(tmp_path) -> None:
    table = archive()
    plan, summary = planned(tmp_path, table, images=150, classes=5)
    photos, labels = table["image_id"].nunique(), len(table)
    assert plan["image_id"].nunique() + sum(summary["skipped"]["photos"].values()) == photos
    assert len(plan) + sum(summary["skipped"]["labels"].values()) == labels
    assert set(summary["skipped"]["photos"]) == {"class_not_in_stage", "over_budget"}


@pytest.mark.parametrize("images", [40, 150, 300])
def test_budget_is_kept_and_balanced(tmp_path, images) -> None:
    plan, summary = planned(tmp_path, archive(), images=images)
    assert images - 2 <= summary["used"]["images"] <= images
    counts = plan[(plan["domain"] == "single") & (plan["split"] == "train")].groupby("k_code").size()
    assert counts.max() - counts.min() <= 1
    assert {"single", "combo"} == set(plan["domain"])


def test_smaller_stages_are_nested(tmp_path) -> None:
    table = archive()
    stages = [planned(tmp_path, table, classes=classes) for classes in (3, 6, 12)]
    for (small, few), (large, many) in itertools.pairwise(stages):
        assert set(few["classes"]) < set(many["classes"])
        assert set(small["image_id"]) < set(large["image_id"])
        sides = large.drop_duplicates("image_id").set_index("image_id")["split"]
        before = small.drop_duplicates("image_id").set_index("image_id")["split"]
        assert (before == sides.loc[before.index]).all()


def test_order_of_photos_does_not_matter(tmp_path) -> None:
    table = archive()
    parts = [rows for _, rows in table.groupby("image_id")]
    shuffled = pd.concat([parts[place] for place in np.random.default_rng(0).permutation(len(parts))])
    first, _ = planned(tmp_path, table, images=100)
    second, _ = planned(tmp_path, shuffled.reset_index(drop=True), images=100)
    order = ["image_id", "label_member"]
    tables = [one.sort_values(order).reset_index(drop=True) for one in (first, second)]
    pd.testing.assert_frame_equal(*tables)


def test_drugs_that_cannot_be_trained_or_validated_are_left_out_and_listed(tmp_path) -> None:
    lonely = [pill("only", "K-999999"), pill("test-only", "K-888888", part="test")]
    lonely += [
        pill("both", "K-888888", domain="combo", part="test"),
        pill("both", "K-000001", domain="combo", part="test"),
    ]
    table = pd.concat([archive(), make_table(lonely, PILLS)], ignore_index=True)
    plan, summary = planned(tmp_path, table)
    assert summary["classes_left_out"] == ["K-888888", "K-999999"]
    assert summary["classes_dropped"] == {
        "test_only": {"K-888888": {"train": 0, "val": 0, "test": 2}},
        "too_small": {"K-999999": {"train": 1, "val": 0, "test": 0}},
    }
    beside = plan[plan["k_code"].isin(["K-888888", "K-999999"])]
    assert list(beside["image_id"]) == ["both"] and summary["without_class"] == {"photos": 1, "labels": 1}
    assert summary["skipped"] == {"photos": {"class_too_small": 1}, "labels": {"class_too_small": 1}}
    issues = read_table(tmp_path / "plan.issues", ISSUES)
    assert set(issues["reason"]) == {"class_only_in_test_part"}
    about = set(issues[["member", "label_member"]].itertuples(index=False, name=None))
    assert about == {("test-only.png", "test-only-K-888888.json"), ("test-only.png", "")}
    photos = table["image_id"].nunique()
    lost = (issues["label_member"] == "").sum()
    assert plan["image_id"].nunique() + sum(summary["skipped"]["photos"].values()) + lost == photos


@pytest.mark.parametrize("images", [30, 60, 100, 200])
def test_every_drug_of_a_budget_has_enough_pills(tmp_path, images) -> None:
    plan, summary = planned(tmp_path, archive(), images=images)
    named = plan[plan["k_code"].isin(summary["classes"])]
    assert set(named["image_id"]) == set(plan["image_id"])
    counts = named.groupby(["k_code", "split"]).size().unstack(fill_value=0)
    assert sorted(counts.index) == summary["classes"]
    assert (counts["train"] >= 2).all() and (counts["val"] >= 1).all()
    short = summary["classes_dropped"]["too_small"]
    assert set(short) == {f"K-{drug:06d}" for drug in range(12)} - set(summary["classes"])
    alone = plan[~plan["k_code"].isin(summary["classes"])]
    assert set(alone["k_code"]) <= set(short) and set(alone["domain"]) <= {"combo"}
    assert summary["without_class"] == {"photos": alone["image_id"].nunique(), "labels": len(alone)}
    assert bool(short) == (summary["skipped"]["photos"].get("class_too_small", 0) > 0) == (images < 100)


def test_photos_of_a_drug_are_spread_over_its_views(tmp_path) -> None:
    plan, _ = planned(tmp_path, archive(groups=20), images=150)
    trained = plan[(plan["split"] == "train") & (plan["domain"] == "single")]
    assert trained.groupby("group").size().max() == 1
    assert trained.groupby("k_code")["group"].nunique().min() > 3


@pytest.mark.parametrize(("shared_groups", "sides"), [("hold_out", {"test"}), ("keep", {"test", "train"})])
def test_a_group_of_two_parts_stands_where_it_is_held_out_furthest(tmp_path, shared_groups, sides) -> None:
    table = archive()
    shared = table["group"] == "K-000003_0"
    split_before = table.copy()
    split_before.loc[table[shared].index[0], "part"] = "test"
    plan, summary = planned(tmp_path, split_before, shared_groups=shared_groups)
    found = set(plan.loc[plan["group"] == "K-000003_0", "split"])
    assert found <= sides | {"val"} and "test" in found
    assert summary["skipped"]["photos"] == ({"group_held_out": 2} if shared_groups == "hold_out" else {})


def test_a_source_that_divides_itself_is_left_as_it_is(tmp_path) -> None:
    sides = {"train": 4, "val": 2, "test": 2}
    rows = [
        pill(f"{drug}-{side}-{n}", drug, part=side)
        for drug in "ab"
        for side, count in sides.items()
        for n in range(count)
    ]
    plan, _ = planned(tmp_path, make_table(rows, PILLS))
    assert (plan["part"] == plan["split"]).all() and len(plan) == len(rows)


def test_a_source_of_one_class_is_for_a_detector(tmp_path) -> None:
    plan, summary = planned(tmp_path, archive(drugs=1, combos=0))
    assert (set(plan["k_code"]), summary["detector_only"]) == ({"K-000000"}, True)
    assert "detector_only" not in planned(tmp_path, archive())[1]


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        ([pill("a", "K-000001")], "Only 0 of 1 drugs .* at least 1 needed"),
        ([*(pill(f"a{n}", "K-000001") for n in range(9)), pill("b", "K-000002")], "Only 1 of 2 .* at least 2 needed"),
    ],
)
def test_too_few_drugs_is_an_error(tmp_path, rows, says) -> None:
    with pytest.raises(PlanError, match=says):
        planned(tmp_path, make_table(rows, PILLS))


def test_hash_order_depends_on_seed_and_key_only() -> None:
    assert np.array_equal(hash_order(["a", "b"], 1)[::-1], hash_order(["b", "a"], 1))
    assert not np.array_equal(hash_order(["a", "b"], 1), hash_order(["a", "b"], 2))
