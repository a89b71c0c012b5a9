"""Lookup of a drug by code or name, and of the rows of the quarantine about it."""

import pandas as pd
import pytest

from pillsnap.dataset.drug import rows_about
from pillsnap.dataset.lookup import find_drug
from pillsnap.dataset.stage_data import DataError
from pillsnap.tables.classes import DrugClass

COMBO = "K-1-2_0_2_0_2_70_000_200"
DRUGS = [DrugClass(index, f"K-{number:06d}", (), name) for index, (number, name) in enumerate(
    [(114, "가스모틴정 5mg"), (115, "가스모틴정"), (1140, "타이레놀정 500mg"), (30000, "Advil")]
)]  # fmt: skip

PLAN = {
    "asked": {"images": 100, "classes": 4},
    "classes": [*(drug.k_code for drug in DRUGS), "K-000204"],
    "classes_left_out": ["K-000201", "K-000202", "K-000203", "red pill"],
    "classes_dropped": {
        "test_only": {"K-000201": {"train": 0, "val": 0, "test": 9}},
        "too_small": {"K-000202": {"train": 1, "val": 0, "test": 0}},
    },
    "unseen": {"unseen_val": {"drugs": ["K-000205"], "photos": 3}, "unseen_test": {"drugs": [], "photos": 0}},
}
"""What `plan_stage` wrote of a source with four trained drugs and five others."""


@pytest.mark.parametrize(
    ("words", "k_code"),
    [
        ("K-000114", "K-000114"),
        ("k-000114", "K-000114"),
        ("타이레놀", "K-001140"),
        ("타이레놀정500MG", "K-001140"),
        ("가스모틴정", "K-000115"),
        ("ADVIL", "K-030000"),
        ("\u1110\u1161\u110b\u1175\u1105\u1166", "K-001140"),
    ],
)
def test_drug_is_found(words: str, k_code: str) -> None:
    assert find_drug(DRUGS, words, PLAN).k_code == k_code


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("K-000116", "no drug of this stage has this K-code. The nearest are:\n  K-000115  가스모틴정\n  K-000114"),
        ("K-00114", "The nearest are:\n  K-000114  가스모틴정 5mg\n  K-001140  타이레놀정 500mg\n"),
        ("114", "The nearest are:\n  K-000114  가스모틴정 5mg\n  K-001140"),
        ("K-00011x", "The nearest are:\n  K-000114"),
        ("가스", "2 drugs have this in their name. Give the K-code of one:\n  K-000114  가스모틴정 5mg\n  K-000115"),
        ("없는약", "no drug of this stage has this K-code, or this in its name"),
        ("", "no drug of this stage"),
    ],
)
def test_what_is_not_found_is_told_with_the_nearest(words: str, says: str) -> None:
    with pytest.raises(DataError) as raised:
        find_drug(DRUGS, words, PLAN)
    assert says in str(raised.value)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("k-000201", "K-000201: the source has this drug, and this stage does not train it: the source shows it in its "
            "test part alone; it has 0 training, 0 validation and 9 test pills, and needs 2 of training and 1 of"),
        ("K-000202", "does not train it: it has 1 training, 0 validation and 0 test pills, and needs 2 of training"),
        ("K-000203", "does not train it: it takes 4 drugs at most, and others come first"),
        ("K-000204", "none of its training photographs came through the decode"),
        ("K-000205", "K-000205: no training sees this drug. It is held out (plan.unseen_drugs)"),
        ("Red Pill", "red pill: the source has this drug, and this stage does not train it"),
    ],
)  # fmt: skip
def test_a_drug_that_is_not_trained_is_told_with_the_reason(words: str, says: str) -> None:
    with pytest.raises(DataError) as raised:
        find_drug(DRUGS, words, PLAN)
    assert says in str(raised.value)


@pytest.mark.parametrize(
    ("member", "label_member", "detail", "about"),
    [
        ("K-1/K-1_0_0_1_2_75_020_200.png", "", "0 bytes", True),
        ("K-2/K-2_0_0_1_2_75_020_200.png", "", "0 bytes", False),
        (f"K-1-2/{COMBO}.png", "", "", True),
        (f"K-1-2/{COMBO}.png", f"K-1-2_json/K-1/{COMBO}.json", "", True),
        (f"K-1-2/{COMBO}.png", f"K-1-2_json/K-2/{COMBO}.json", "", False),
        ("", "K-1_json/K-1_0_0_1_2_75_020_200.json", "", True),
        ("a.png", "a.txt:1", "[1, 2, 3]", False),
        ("planned.png", "", "", True),
        ("planned.png", "planned.txt:2", "", False),
        ("other.png", "planned.txt:1", "", True),
        ("other.png", "other.txt:1", "K-1", True),
    ],
)
def test_rows_about_a_drug(member: str, label_member: str, detail: str, about: bool) -> None:
    row = {"archive": "A", "member": member, "label_member": label_member, "reason": "photo_empty", "detail": detail}
    planned = {"archive": ["A"], "member": ["planned.png"], "label_member": ["planned.txt:1"], "k_code": ["K-1"]}
    assert len(rows_about(pd.DataFrame([row]), "K-1", pd.DataFrame(planned))) == about
