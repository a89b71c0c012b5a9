"""Colours, shapes and score lines of pills: one vocabulary for the words of every table, Korean and English."""

import re
import unicodedata
from collections.abc import Iterable, Mapping

COLOURS = {
    "white": "하양",
    "yellow": "노랑",
    "orange": "주황",
    "pink": "분홍",
    "red": "빨강",
    "brown": "갈색",
    "yellow-green": "연두",
    "green": "초록",
    "turquoise": "청록",
    "blue": "파랑",
    "navy": "남색",
    "wine": "자주",
    "purple": "보라",
    "grey": "회색",
    "black": "검정",
    "transparent": "투명",
}
"""Colours, and the words that AIHub's labels and Korea's open data have for them."""

SHAPES = {
    "round": "원형",
    "oval": "타원형",
    "oblong": "장방형",
    "semicircle": "반원형",
    "triangle": "삼각형",
    "square": "사각형",
    "diamond": "마름모형",
    "pentagon": "오각형",
    "hexagon": "육각형",
    "octagon": "팔각형",
    "other": "기타",
}
"""Shapes, and the words that AIHub's labels and Korea's open data have for them."""

SCORE_LINES = {"none": "없음", "line": "분할선", "cross": "십자분할선", "other": "기타"}
"""Score lines of a pill: none on either side, one line, a cross, anything else."""

_MORE_COLOURS = {
    "white": "흰 백 하얀 off-white offwhite cream ivory 미 상아",
    "yellow": "황 노란",
    "orange": "주홍 등",
    "red": "적 빨간",
    "yellow-green": "황록 light-green lime",
    "green": "녹",
    "turquoise": "teal aqua cyan",
    "blue": "청 파란 하늘",
    "navy": "dark-blue",
    "wine": "적자 maroon magenta burgundy",
    "purple": "자 violet lavender",
    "grey": "gray",
    "black": "흑 검은",
    "transparent": "clear colorless colourless 무",
}
_MORE_SHAPES = {
    "round": "원 circle circular",
    "oval": "타원 ellipse elliptical",
    "oblong": "장방 capsule caplet",
    "semicircle": "반원 semi-circle half-circle",
    "triangle": "삼각 triangular",
    "square": "사각 rectangle rectangular",
    "diamond": "마름모 rhombus",
    "pentagon": "오각",
    "hexagon": "육각",
    "octagon": "팔각",
    "other": "bullet clover double-circle freeform gear heptagon tear trapezoid 칠각형 땅콩형 하트형",
}
_MORE_SCORE_LINES = {"none": "1 no", "line": "- 2 yes 일자 일자분할선", "cross": "+ 4 십자", "other": "3"}
"""Signs of Korea's open data; numbers are the pieces of the United States' labels (SPLSCORE), 1: no score line."""

_QUALIFIERS = ("진한", "옅은", "연한", "dark", "light", "pale", "bright")
_SEPARATORS = re.compile(r"[|,;/+&]|\band\b")


def colours_of(text: str) -> tuple[frozenset[str], list[str]]:
    """Read the colours of a text such as `하양`, `빨강|투명`, `하양 노랑`, `분홍|진한` or `WHITE;BLUE`.

    Shades do not count: dark and light blue are blue.

    Returns:
        the colours, and the words that name none.
    """
    found, unknown = set(), []
    for word in filter(None, map(_plain, _SEPARATORS.split(text.casefold()))):
        bare = word
        for qualifier in _QUALIFIERS:
            bare = bare.removeprefix(qualifier).strip("- ")
        apart = [_COLOUR_WORDS.get(each) for each in bare.split("-")]
        if name := _COLOUR_WORDS.get(word) or _COLOUR_WORDS.get(bare):
            found.add(name)
        elif all(apart):  # a space or a line break between them
            found.update(name for name in apart if name)
        elif bare:
            unknown.append(word)
    return frozenset(found), unknown


def shape_of(text: str) -> str | None:
    """Read a shape; `None` where the text names none."""
    return _SHAPE_WORDS.get(_plain(text))


def score_line_of(text: str) -> str | None:
    """Read a score line; `None` where the text names none."""
    return _SCORE_LINE_WORDS.get(_plain(text))


def _plain(word: str) -> str:
    return "-".join(unicodedata.normalize("NFKC", word).casefold().replace("_", " ").split())


def _words(names: Mapping[str, str], more: Mapping[str, str], endings: Iterable[str] = ("",)) -> dict[str, str]:
    """Names by their English and Korean words, and by more words, with and without an ending."""
    return {
        word + ending: name
        for name, korean in names.items()
        for word in (name, korean, *more.get(name, "").split())
        for ending in endings
    }


_COLOUR_WORDS = _words(COLOURS, _MORE_COLOURS, ("", "색"))
_SHAPE_WORDS = _words(SHAPES, _MORE_SHAPES, ("", "형"))
_SCORE_LINE_WORDS = _words(SCORE_LINES, _MORE_SCORE_LINES)
