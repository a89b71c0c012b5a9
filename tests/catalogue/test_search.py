"""Looking up: what people read wrong, leave out or write otherwise, and the formula that ranks."""

import math
from itertools import product
from pathlib import Path

import numpy as np
import pytest

from pillsnap.catalogue import likelihood
from pillsnap.catalogue.drug import Drug
from pillsnap.catalogue.import_tables import import_tables
from pillsnap.catalogue.imprint import characters, readings
from pillsnap.catalogue.likelihood import Imprints, log_colours, log_score_line, log_shape, log_size
from pillsnap.catalogue.records import CatalogueError
from pillsnap.catalogue.search import LEAST, Catalogue, LookUp
from pillsnap.catalogue.vocabulary import COLOURS, SCORE_LINES, SHAPES, colours_of, score_line_of, shape_of
from pillsnap.sources.synthetic import catalogue as synthetic
from tests.support.catalogues import opened_catalogue
from tests.support.workflow import PROJECT


@pytest.fixture(scope="module")
def catalogue(tmp_path_factory: pytest.TempPathFactory) -> Catalogue:
    return opened_catalogue(tmp_path_factory.mktemp("catalogue"))


def names(catalogue: Catalogue, **read: str | float) -> list[str]:
    return [each.drug.name for each in catalogue.search(LookUp.of(**read)).alike]


@pytest.mark.parametrize(
    ("imprint", "first"),
    [
        ("GN5", "가나정 5mg"),
        ("5 / GN", "가나정 5mg"),
        ("g-n", "가나정 5mg"),
        ("6N S", "가나정 5mg"),
        ("8B50", "다라캡슐"),
        ("BB5O", "다라캡슐"),
        ("S1 BB50", "다라캡슐"),
        ("8B5", "다라캡슐"),
        ("8X50SI", "다라캡슐"),
        ("VT", "마바정"),
        ("V분할선T", "마바정"),
        ("hm v t", "마바정"),
        ("마크 V|T", "마바정"),
        ("WW9", "사아정"),
        ("ＭＷ６", "사아정"),
        ("QQQQ", None),
    ],
)
def test_imprints_are_found_as_people_read_them(catalogue: Catalogue, imprint: str, first: str | None) -> None:
    if first is None:
        assert names(catalogue, imprint=imprint) == []
    else:
        assert names(catalogue, imprint=imprint)[0] == first


def test_what_looks_exactly_so_has_the_score_0(catalogue: Catalogue) -> None:
    read = LookUp.of(imprint="GN 5", colour="하양", shape="round", score_line="+", length=7.6, width=7.6)
    first, *others = catalogue.search(read).alike
    assert first.score == 0 and set(first.parts) == {"imprint", "colours", "shape", "score_line", "length", "width"}
    assert all(part == pytest.approx(0, abs=0.02) for part in first.parts.values())
    assert first.table == "identification.csv" and not others


def test_without_an_imprint_the_other_looks_rank(catalogue: Catalogue) -> None:
    assert names(catalogue, colour="red,white")[0] == "다라캡슐"
    assert names(catalogue, shape="팔각형")[0] == "사아정"
    assert names(catalogue, length=19, tolerance=1)[0] == "다라캡슐"
    assert names(catalogue, score_line="line")[0] == "마바정"
    found = catalogue.search(LookUp.of(shape="round"), limit=2).alike
    assert len(found) == 2 and found[0].score > found[1].score >= LEAST


def test_what_the_table_does_not_tell_counts_as_the_mean(catalogue: Catalogue) -> None:
    sizes = {each.drug.name: each.parts["length"] for each in catalogue.search(LookUp.of(length=7.6)).alike}
    known = [math.exp(sizes[name]) for name in ("가나정 5mg", "사아정", "다라캡슐")]
    assert sizes["마바정"] == pytest.approx(math.log(sum(known) / 3), abs=0.01)


@pytest.mark.parametrize(
    ("read", "says"),
    [
        ({}, "Nothing to look up"),
        ({"imprint": " - "}, "Nothing to look up"),
        ({"imprint": "A" * 41}, "has 41 letters and digits. Give 40 at most"),
        ({"colour": "puce"}, r"colour 'puce': is not known. Give one of: white \(하양\)"),
        ({"shape": "cube"}, "shape 'cube': is not known"),
        ({"score_line": "deep"}, "score line 'deep': is not known"),
        ({"length": 61.0}, "length 61: must be between 0.5 and 60 mm"),
        ({"width": math.nan}, "width nan"),
        ({"shape": "round", "tolerance": 0.0}, "tolerance 0: must be between 0.05"),
    ],
)
def test_a_reading_that_cannot_be_used(read: dict, says: str) -> None:
    with pytest.raises(CatalogueError, match=says):
        LookUp.of(**read)


@pytest.mark.parametrize(
    ("text", "colours", "unknown"),
    [
        ("하양", {"white"}, []),
        ("흰색", {"white"}, []),
        ("빨강|투명", {"red", "transparent"}, []),
        ("분홍|진한", {"pink"}, []),
        ("옅은노랑, 연두", {"yellow", "yellow-green"}, []),
        ("연두색", {"yellow-green"}, []),
        ("회색;갈색", {"grey", "brown"}, []),
        ("Light Blue and WHITE", {"blue", "white"}, []),
        ("light green", {"yellow-green"}, []),
        ("GRAY;TURQUOISE", {"grey", "turquoise"}, []),
        ("-", set(), []),
        ("", set(), []),
        ("무지개/파랑", {"blue"}, ["무지개"]),
        ("하양 노랑", {"white", "yellow"}, []),
        ("무지개 파랑", set(), ["무지개-파랑"]),
    ],
)
def test_colours_in_both_languages(text: str, colours: set[str], unknown: list[str]) -> None:
    assert colours_of(text) == (frozenset(colours), unknown)


def test_one_vocabulary() -> None:
    """AIHub's words, as the built-in drugs have them, Korea's and the United States'."""
    assert all(colours_of(word)[0] for word in (*synthetic.COLOURS, *COLOURS, *COLOURS.values(), "검정", "투명"))
    aihub = "원형 타원형 장방형 반원형 삼각형 사각형 마름모형 오각형 육각형 팔각형 기타"
    assert [shape_of(word) for word in aihub.split()] == list(SHAPES)
    labels = "BULLET,CAPSULE,CLOVER,DIAMOND,DOUBLE CIRCLE,FREEFORM,GEAR,HEPTAGON,HEXAGON,OCTAGON,OVAL,PENTAGON"
    labels += ",RECTANGLE,ROUND,SEMI-CIRCLE,SQUARE,TEAR,TRAPEZOID,TRIANGLE"
    assert all(shape_of(word) in SHAPES for word in labels.split(","))
    signs = {"": None, "-": "line", "+": "cross", "기타": "other", "1": "none", "2": "line", "십자분할선": "cross"}
    assert {sign: score_line_of(sign) for sign in signs} == signs
    pairs = [pair.split(":") for pair in (*likelihood.COLOURS_ALIKE.split(), *likelihood.SHAPES_ALIKE.split())]
    assert {name for pair in pairs for name in pair} <= {*COLOURS, *SHAPES}
    words = (PROJECT / "pillsnap/serve/page_words.js").read_text(encoding="utf-8")
    for name in (*COLOURS, *SHAPES):
        assert words.count(f' {name}: "') + words.count(f'"{name}": "') == 2, f"{name} in both languages of the page"
    assert len(SCORE_LINES) == 4


@pytest.mark.parametrize(
    ("parts", "texts"),
    [
        (["IDG", "2"], {"IDG": False, "2": False, "IDG2": True, "2IDG": True}),
        (["IDG", ""], {"IDG": True}),
        (["", ""], {}),
        (["A", "A"], {"A": False, "AA": True}),
        (["A", "B", "C", "D"], {"A": False, "B": False, "C": False, "D": False, "ABCD": True, "DCBA": True}),
    ],
)
def test_readings_of_an_imprint(parts: list[str], texts: dict[str, bool]) -> None:
    assert readings(parts) == texts


def test_characters() -> None:
    assert [characters(text) for text in ("D-W", "십자분할선 n.v", "마크", "일동 1/2")] == ["DW", "NV", "", "일동12"]


def _by_hand(read: str, text: str) -> float:
    """The likeliest alignment, written as the formula says it: slow, one text at a time."""

    def end(letters: int) -> float:
        return math.log(likelihood.CUT) + letters * math.log(likelihood.CUT_MORE) if letters else 0.0

    def letter(one: str, other: str) -> float:
        alike = likelihood.LETTERS_ALIKE.split()
        rate = likelihood.LETTER_CONFUSED if {one + other, other + one} & set(alike) else likelihood.LETTER_OTHER
        return math.log(likelihood.LETTER_RIGHT if one == other else rate)

    best = -math.inf
    for start, stop in product(range(len(text) + 1), repeat=2):
        if start > stop:
            continue
        piece = text[start:stop]
        table = np.full((len(read) + 1, len(piece) + 1), -np.inf)
        table[0, 0] = 0
        for i, j in product(range(len(read) + 1), range(len(piece) + 1)):
            if i and j:
                table[i, j] = max(table[i, j], table[i - 1, j - 1] + letter(read[i - 1], piece[j - 1]))
            if i:
                table[i, j] = max(table[i, j], table[i - 1, j] + math.log(likelihood.LETTER_ADDED))
            if j:
                table[i, j] = max(table[i, j], table[i, j - 1] + math.log(likelihood.LETTER_LEFT_OUT))
        best = max(best, table[-1, -1] + end(start) + end(len(text) - stop))
    return best - len(read) * math.log(likelihood.LETTER_RIGHT)


@pytest.mark.parametrize("read", ["A", "IDG2", "8BO", "1L5SXQ", "한A"])
def test_alignment_of_all_texts_at_once_is_that_of_each(read: str) -> None:
    texts = ["A", "IDG2", "1DG", "LONGIMPRINT50", "B80", "8B0", "한A", "", "S5"]
    found = Imprints(texts).log_likelihood(read)
    assert found == pytest.approx([_by_hand(read, text) for text in texts], abs=1e-4)


def test_rates_are_those_of_one_thing_that_is_read() -> None:
    """What a letter is read as adds up to one, or a little less or more: letters have several that look alike."""
    alike = likelihood.LETTERS_ALIKE.split()
    for letter in "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ":
        confused = sum(letter in pair for pair in alike)
        total = (
            likelihood.LETTER_RIGHT + confused * likelihood.LETTER_CONFUSED + (35 - confused) * likelihood.LETTER_OTHER
        )
        assert total + likelihood.LETTER_LEFT_OUT <= 1.03
    assert log_shape("oval", "oblong") > log_shape("oval", "square") and log_shape("oval", "oval") == 0
    assert log_colours(("white",), ("white", "blue")) == pytest.approx(math.log(likelihood.COLOUR_LEFT_OUT))
    assert log_colours(("pink",), ("red",)) > log_colours(("green",), ("red",))
    assert log_score_line("line", "none") == pytest.approx(math.log(0.05 / 0.85))
    sizes = log_size(8.0, np.array([8.0, 8.5, 30.0]), 0.5)
    assert sizes == pytest.approx([0, math.log(0.99 * math.exp(-0.5) + 0.01), math.log(0.01)])


def test_many_drugs_of_one_look_keep_their_order(tmp_path: Path) -> None:
    lines = ["ndc,name,imprint,colour,shape,size"] + [
        f"{number},Drug {number},X1,white,round,8" for number in range(30)
    ]
    (tmp_path / "table.csv").write_text("\n".join(lines))
    import_tables([tmp_path / "table.csv"], tmp_path / "catalogue.sqlite")
    found = Catalogue(tmp_path / "catalogue.sqlite").search(LookUp.of(imprint="XI"), limit=12).alike
    assert [each.drug.code for each in found] == [str(number) for number in range(12)]
    assert isinstance(found[0].drug, Drug)
