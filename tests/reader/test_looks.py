"""What is read of a pill: which characters of an imprint count, and their codes."""

import numpy as np
import pandas as pd
import pytest

from pillsnap.reader.looks import CHARACTERS, END, PLACES, Looks, codes_of, imprint_of, looks_of, readable


@pytest.mark.parametrize(
    ("imprint", "read"),
    [
        ("", ""),
        ("AB12", "AB12"),
        ("ab12", "AB12"),
        ("A B-1/2", "AB12"),
        ("ＡＢ１", "AB1"),
        ("V분할선T", "VT"),
        ("십자분할선", ""),
        ("마크", ""),
        ("마크 CJ 로고", "CJ"),
        ("타이레놀", ""),
        ("타이레놀500", "500"),
        ("É2", "2"),
        ("ABCDEFGH", "ABCDEFGH"),
        ("ABCDEFGHIJ", "ABCDEFGH"),
        ("한ABCDEFGHIJ", "ABCDEFGH"),
    ],
)
def test_readable_characters(imprint: str, read: str) -> None:
    assert readable(imprint) == read
    assert imprint_of(codes_of([read])[0]) == read


def test_codes_are_filled_up() -> None:
    codes = codes_of(["A9", "", CHARACTERS[-PLACES:]])
    assert (codes.shape, codes.dtype) == ((3, PLACES), np.int64)
    assert codes[0].tolist() == [0, 35] + [END] * (PLACES - 2)
    assert (codes[1] == END).all() and (codes[2] < END).all()


def test_an_imprint_ends_at_the_first_end() -> None:
    assert imprint_of(np.array([0, 1, END, 2, END, END, END, END])) == "AB"
    assert imprint_of(np.full(PLACES, END)) == ""


def test_looks_of_a_tables_drugs() -> None:
    table = pd.DataFrame(
        {
            "imprint_front": ["ab 1", "마크"],
            "imprint_back": ["", "500"],
            "shape": ["원형", "no shape"],
            "colours": ["하양,파랑", ""],
        }
    )
    assert looks_of(table) == [
        Looks(("AB1", ""), "round", frozenset({"white", "blue"})),
        Looks(("", "500"), None, frozenset()),
    ]
