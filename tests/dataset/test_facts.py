"""Counts, views, boxes, balance and choices behind the dataset page and the data commands."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pillsnap.dataset.choose import spread, spread_photos
from pillsnap.dataset.facts.balance import class_table, codes_of, extremes, gini
from pillsnap.dataset.facts.boxes import AREA_EDGES, ASPECT_EDGES, box_facts, place_map
from pillsnap.dataset.facts.counts import Count, PartCount, combo_pill_counts, part_counts, photo_sizes, view_counts
from pillsnap.dataset.outline import outline, outline_beyond
from pillsnap.dataset.quarantine import box_in
from pillsnap.dataset.stage_data import photo_table
from pillsnap.tables.classes import DrugClass

COMBO = "K-1-2_0_2_0_2_70_000_200"


def pills(*rows: tuple) -> pd.DataFrame:
    """Manifest rows out of (split, domain, k_code, member, box) in photographs of 100 x 200 pixels."""
    columns = ("split", "domain", "k_code", "member", "box")
    table = pd.DataFrame(rows, columns=columns)
    boxes = pd.DataFrame(table.pop("box").tolist(), columns=list("xywh"), dtype=float)
    table["image_id"] = "A." + table["member"]
    return table.assign(
        archive="A",
        label_member=table["k_code"] + "/" + table["member"],
        group=table["member"].str[:-13],
        width=100,
        height=200,
        fully_labelled=True,
        drug_name="약",
    ).join(boxes)


@pytest.fixture
def few() -> pd.DataFrame:
    """Two photographs of K-1, one of them for testing, one combination of both drugs, one of another name."""
    return pills(
        ("train", "single", "K-1", "K-1/K-1_0_0_1_2_75_020_200.png", (0, 0, 50, 40)),
        ("test", "single", "K-1", "K-1/K-1_0_1_0_2_60_340_200.png", (50, 160, 50, 40)),
        ("train", "combo", "K-1", f"K-1-2/{COMBO}.png", (10, 10, 20, 10)),
        ("train", "combo", "K-2", f"K-1-2/{COMBO}.png", (60, 100, 20, 20)),
        ("val", "single", "K-2", "IMG_4212.jpg", (0, 0, 10, 10)),
    )


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [
        ([], 0),
        ([0, 0], 0),
        ([7], 0),
        ([5, 5, 5, 5], 0),
        ([0, 0, 0, 8], 0.75),
        ([1, 2, 3, 4], 0.25),
        ([4, 1, 3, 2], 0.25),
        ([1, 3], 0.25),
        ([1, 1, 2, 2], 1 / 6),
        ([20, 20, 30, 40, 40, 50], 11 / 60),
    ],
)
def test_gini_of_known_sizes(sizes: list[int], expected: float) -> None:
    assert gini(sizes) == pytest.approx(expected)


@given(st.lists(st.integers(0, 1000), min_size=1, max_size=30))
def test_gini_is_the_mean_difference_relative_to_twice_the_mean(sizes: list[int]) -> None:
    values = np.array(sizes, float)
    mean = values.mean()
    expected = np.abs(values[:, None] - values[None]).mean() / (2 * mean) if mean else 0
    assert gini(sizes) == pytest.approx(expected, abs=1e-12)
    assert gini([3 * size for size in sizes]) == pytest.approx(expected, abs=1e-12)


def test_gini_of_a_negative_size_is_an_error() -> None:
    with pytest.raises(ValueError, match="cannot be negative"):
        gini([3, -1])


def test_parts_are_counted_by_domain_and_together(few) -> None:
    assert part_counts(few) == [
        PartCount("train", "single", photos=1, pills=1, drugs=1, groups=1),
        PartCount("train", "combo", photos=1, pills=2, drugs=2, groups=1),
        PartCount("val", "single", photos=1, pills=1, drugs=1, groups=1),
        PartCount("test", "single", photos=1, pills=1, drugs=1, groups=1),
        PartCount("all", "single", photos=3, pills=3, drugs=2, groups=3),
        PartCount("all", "combo", photos=1, pills=2, drugs=2, groups=1),
        PartCount("all", "all", photos=4, pills=5, drugs=2, groups=4),
    ]


def test_one_domain_has_no_sum_of_its_own(few) -> None:
    rows = part_counts(few[few["domain"] == "single"])
    assert [(row.part, row.domain) for row in rows][-2:] == [("test", "single"), ("all", "all")]


def test_views_are_those_of_the_names(few) -> None:
    assert view_counts(photo_table(few)) == {
        "background": [Count("black", 1, 0), Count("blue", 1, 0), Count("light grey", 0, 1)],
        "side": [Count("front", 1, 0), Count("back", 1, 0)],
        "light": [Count("light 2", 2, 1)],
        "latitude": [Count("60°", 1, 0), Count("70°", 0, 1), Count("75°", 1, 0)],
        "longitude": [Count("0°", 0, 1), Count("20°", 1, 0), Count("340°", 1, 0)],
    }


def test_other_names_tell_no_view(few) -> None:
    photos = photo_table(few[few["member"] == "IMG_4212.jpg"])
    assert view_counts(photos) == {}
    assert photos["named_pills"].isna().all()


def test_an_unknown_background_is_told_by_its_number() -> None:
    found = view_counts(photo_table(pills(("train", "single", "K-1", "K-1_0_7_0_2_75_020_200.png", (0, 0, 5, 5)))))
    assert found["background"] == [Count("background 7", 1, 0)]


def test_combinations_by_labelled_and_named_pills(few) -> None:
    assert combo_pill_counts(photo_table(few)) == [(2, 1, 1)]
    assert combo_pill_counts(photo_table(few.drop(index=3))) == [(1, 1, 0), (2, 0, 1)]


def test_sizes_of_photographs(few) -> None:
    few.loc[4, ["width", "height"]] = 640, 480
    assert photo_sizes(photo_table(few)) == [(100, 200, 3), (640, 480, 1)]


def test_boxes_are_measured_by_domain(few) -> None:
    single, combo = box_facts(few)
    assert (single.domain, single.boxes, combo.domain, combo.boxes) == ("single", 3, "combo", 2)
    assert single.area[1] == pytest.approx(0.1)
    assert combo.aspect == pytest.approx((1.05, 1.5, 1.95))
    assert combo.short_side == pytest.approx((10.5, 15, 19.5))
    assert dict(zip(AREA_EDGES, single.area_counts, strict=False)) == {
        0: 0, 0.002: 0, 0.005: 1, 0.01: 0, 0.02: 0, 0.05: 0, 0.1: 2, 0.2: 0, 0.5: 0,
    }  # fmt: skip
    assert sum(combo.aspect_counts) == 2 and combo.aspect_counts[ASPECT_EDGES.index(2)] == 1
    assert single.places.shape == (36, 18)
    assert single.places[0, 0] == pytest.approx(2 / 3)


@pytest.mark.parametrize(
    ("box", "cells"),
    [
        ((0, 0, 50, 100), {(0, 0), (1, 0), (0, 1), (1, 1)}),
        ((0, 0, 100, 200), {(row, column) for row in range(4) for column in range(4)}),
        ((30, 60, 2, 2), {(1, 1)}),
        ((99, 199, 1, 1), {(3, 3)}),
        ((70, 0, 30, 200), {(row, 3) for row in range(4)}),
    ],
)
def test_a_box_counts_where_it_covers_the_middle_of_a_cell(box, cells) -> None:
    found = place_map(pills(("train", "single", "K-1", "a.png", box)), columns=4, rows=4)
    assert {(int(row), int(column)) for row, column in zip(*found.nonzero(), strict=True)} == cells
    assert found.max() == 1


def test_drugs_of_the_class_list_are_counted_by_part(few) -> None:
    classes = [DrugClass(index, f"K-{index + 1}", (), f"약{index + 1}") for index in range(3)]
    table = class_table(few, classes)
    assert table.to_dict("index") == {
        "K-1": {"name": "약1", "train": 2, "val": 0, "test": 1},
        "K-2": {"name": "약2", "train": 1, "val": 1, "test": 0},
        "K-3": {"name": "약3", "train": 0, "val": 0, "test": 0},
    }


@pytest.mark.parametrize(
    ("sizes", "most", "fewest"),
    [
        ([1, 3, 2], ["K-01", "K-02"], ["K-00"]),
        ([2, 2, 2, 2], ["K-00", "K-01"], ["K-02", "K-03"]),
        ([9], ["K-00"], []),
        (range(40), [f"K-{n:02d}" for n in range(39, 24, -1)], [f"K-{n:02d}" for n in range(15)]),
    ],
)
def test_extremes_share_no_drug(sizes, most: list[str], fewest: list[str]) -> None:
    table = pd.DataFrame({"train": list(sizes)}, index=[f"K-{place:02d}" for place in range(len(sizes))])
    found = extremes(table)
    assert [list(rows.index) for rows in found] == [most, fewest]


def test_codes_that_are_missing_several_or_shared() -> None:
    drugs = [DrugClass(0, "K-1", ("1", "2"), "a"), DrugClass(1, "K-2", (), "b"), DrugClass(2, "K-3", ("2", "2"), "c")]
    codes = codes_of(drugs)
    assert codes.without == (drugs[1],)
    assert codes.several == (drugs[0], drugs[2])
    assert codes.shared == (("2", (drugs[0], drugs[2])),)


@given(st.integers(0, 200), st.integers(0, 40))
def test_spread_places_are_even_and_different(number: int, count: int) -> None:
    places = spread(number, count)
    assert len(places) == min(number, count) == len(set(places))
    gaps = np.diff(places)
    assert not len(gaps) or gaps.max() - gaps.min() <= 1
    assert all(0 <= place < number for place in places)


@pytest.mark.parametrize(
    ("drugs", "each", "count", "wanted"), [(20, 12, 5, 5), (3, 12, 10, 10), (2, 2, 10, 4), (0, 0, 5, 0)]
)
def test_photographs_are_spread_over_drugs(drugs: int, each: int, count: int, wanted: int) -> None:
    names = [f"K-{drug:02d}_{photo:02d}" for drug in range(drugs) for photo in range(each)]
    photos = pd.DataFrame({"k_code": [name[:4] for name in names]}, index=pd.Index(names, dtype=str))
    chosen = spread_photos(photos, count)
    assert len(chosen) == wanted and chosen.index.is_unique
    assert chosen["k_code"].nunique() == min(drugs, count)
    assert list(spread_photos(photos.iloc[::-1], count).index) == list(chosen.index)


@pytest.mark.parametrize(
    ("detail", "box"),
    [
        ("[2320.0, 731.0, 292.0, 162.0] in 976 x 1280", (2320, 731, 292, 162)),
        ("[479, 569, 140, 0]", (479, 569, 140, 0)),
        ("(0.5, 0.25, 0, 0.2)", (0.5, 0.25, 0, 0.2)),
        ("[616.649, 68972, 180]", None),
        ("[]", None),
        ("[1, 2, 'a', 4]", None),
        ("[nan, 0, 1, 1]", None),
        ("image file is truncated (3 bytes not processed)", None),
        ("", None),
    ],
)
def test_box_of_a_detail(detail: str, box: tuple | None) -> None:
    assert box_in(detail) == box


@pytest.mark.parametrize(
    ("box", "size", "seen"),
    [
        ((10, 10, 20, 20), (100, 80), True),
        ((70, 10, 30, 20), (100, 100), True),
        ((-20, -10, 40, 30), (110, 100), True),
        ((60, 10, 500, 20), (100, 130), True),
        ((6567, 10, 30, 20), (100, 80), False),
        ((1e300, 10, 1e300, 20), (100, 80), False),
        ((10, 10, 20, 0), (100, 80), True),
    ],
)
def test_a_wrong_box_is_drawn_where_it_can_be(box: tuple, size: tuple[int, int], seen: bool) -> None:
    picture = np.full((100, 80, 3), 90, np.uint8)
    drawn, found = outline_beyond(picture, box)
    assert (drawn.shape[:2], found) == (size, seen)
    assert (picture == 90).all(), "the photograph itself is left alone"
    assert bool((drawn[..., 0] == 255).any()) == seen


def test_outlines_leave_the_pill_in_view() -> None:
    picture = np.zeros((64, 64, 3), np.uint8)
    drawn = outline(picture, [(10, 10, 30, 30)])
    assert drawn[10, 20].tolist() == [255, 221, 51] and not drawn[20:30, 20:30].any()
