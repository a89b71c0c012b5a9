"""Checks of labels against each other that every kind of source shares."""

import numpy as np
import pandas as pd
import pytest

from pillsnap.pictures.boxes import iou, iou_matrix, iou_rows
from pillsnap.sources.checks import OVERLAPPING, overlapping_labels
from pillsnap.sources.labels import clean_text, composed, decode_label
from pillsnap.tables.files import check_table
from pillsnap.tables.schemas import OVERLAPS


def rows(*pills: tuple[str, str, str, tuple[float, float, float, float]]) -> pd.DataFrame:
    """Manifest rows of (photograph, label, drug, box)."""
    return pd.DataFrame(
        [
            {"image_id": image, "archive": "a", "member": f"{image}.png", "split": "train", "label_member": label}
            | {"k_code": drug, **dict(zip("xywh", box, strict=True))}
            for image, label, drug, box in pills
        ],
        columns=["image_id", "archive", "member", "split", "label_member", "k_code", *"xywh"],
    )


BOX, HALF, BESIDE = (0, 0, 10, 10), (5, 0, 10, 10), (9, 0, 10, 10)


@pytest.mark.parametrize(
    ("pills", "pairs"),
    [
        ([("p", "1", "red", BOX), ("p", "2", "blue", HALF)], [("1", "2", 0.3333)]),
        ([("p", "1", "red", BOX), ("p", "2", "red", HALF)], []),
        ([("p", "1", "red", BOX), ("p", "2", "blue", BESIDE)], []),
        ([("p", "1", "red", BOX), ("q", "2", "blue", BOX)], []),
        ([("p", "1", "red", BOX)], []),
        ([], []),
        (
            [
                ("p", "3", "red", BOX), ("q", "1", "blue", BOX),
                ("p", "1", "blue", HALF), ("p", "2", "green", (1, 0, 10, 10)),
            ],
            [("2", "3", 0.8182), ("1", "2", 0.4286), ("1", "3", 0.3333)],
        ),
    ],
)  # fmt: skip
def test_pairs_of_two_drugs_above_the_limit_are_listed_most_first(pills, pairs) -> None:
    found = check_table(overlapping_labels(rows(*pills)), OVERLAPS, "overlaps")
    assert [(one.first_label, one.second_label, one.iou) for one in found.itertuples()] == pairs
    drugs = {(image, label): drug for image, label, drug, _ in pills}
    for one in found.itertuples():
        assert drugs[one.image_id, one.first_label] == one.first_k_code
        assert drugs[one.image_id, one.second_label] == one.second_k_code


def test_pairs_are_those_of_every_photograph_compared_one_by_one() -> None:
    random = np.random.default_rng(0)
    pills = [
        (f"p{random.integers(40)}", f"{number:03}", f"d{random.integers(4)}", tuple(random.uniform(5, 40, 4)))
        for number in range(200)
    ]
    expected = {
        (first[1], second[1])
        for first in pills
        for second in pills
        if first[1] < second[1] and first[0] == second[0] and first[2] != second[2]
        and iou(first[3], second[3]) > OVERLAPPING
    }  # fmt: skip
    found = overlapping_labels(rows(*pills))
    assert len(expected) > 50
    assert set(zip(found["first_label"], found["second_label"], strict=True)) == expected
    assert (np.diff(found["iou"]) <= 0).all()


def test_overlaps_in_rows_are_those_of_the_matrix() -> None:
    boxes = np.random.default_rng(1).uniform(1, 50, (2, 30, 4))
    assert np.array_equal(iou_rows(*boxes), iou_matrix(*boxes).diagonal())


@pytest.mark.parametrize(
    ("encoding", "repairs"),
    [
        ("utf-8", []),
        ("utf-8-sig", []),
        ("utf-16", [("label_utf16", "utf-16")]),
        ("utf-32", [("label_utf16", "utf-32")]),
        ("cp949", [("label_cp949", "cp949")]),
    ],
)
def test_labels_of_any_encoding_are_read_and_noted(encoding, repairs) -> None:
    assert decode_label('{"name": "알약"}'.encode(encoding)) == ('{"name": "알약"}', repairs)


@pytest.mark.parametrize("name", ["Ibuprofène", "Solução", "Größe", "Señal 5 µg"])
def test_western_labels_are_read_as_windows_writes_them(name) -> None:
    assert decode_label(name.encode("cp1252")) == (name, [("label_cp1252", "cp1252")])


@pytest.mark.parametrize("damaged", ["알약 하나".encode()[:-1], "café crème".encode() + b"\xe9"])
def test_damaged_utf8_is_no_other_encoding(damaged) -> None:
    with pytest.raises(UnicodeDecodeError):
        decode_label(damaged)


def test_texts_are_composed() -> None:
    assert composed("\u1100\u1161") == clean_text(" \u1100\u1161\n").strip() == "가"
