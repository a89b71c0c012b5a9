"""Differences between two drugs by the words of the source: shape, colour, form, imprint."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pillsnap.pages.formats import count, listing, percent, plural

SHAPES = {
    "원형": "round",
    "타원형": "oval",
    "장방형": "oblong",
    "반원형": "half round",
    "삼각형": "triangle",
    "사각형": "square",
    "마름모형": "rhombus",
    "오각형": "pentagon",
    "육각형": "hexagon",
    "팔각형": "octagon",
    "기타": "other shape",
}
COLOURS = {
    "하양": "white",
    "노랑": "yellow",
    "주황": "orange",
    "분홍": "pink",
    "빨강": "red",
    "갈색": "brown",
    "연두": "light green",
    "초록": "green",
    "청록": "teal",
    "파랑": "blue",
    "남색": "navy",
    "자주": "magenta",
    "보라": "violet",
    "회색": "grey",
    "검정": "black",
    "투명": "clear",
}
FORMS = {
    "나정": "uncoated tablet",
    "필름코팅정": "film-coated tablet",
    "경질캡슐제": "hard capsule",
    "연질캡슐제": "soft capsule",
}
MARKS = {"분할선": "score line", "마크": "logo"}
"""AIHub's words in English; others stay as they are."""

IMPRINT, LOOK, SAME, UNKNOWN = "imprint", "look", "same", "unknown"
KINDS = {
    LOOK: "that differ in shape, colour or form",
    IMPRINT: "that differ by imprint only",
    SAME: "of the same look and imprint",
    UNKNOWN: "of which the source does not say enough",
}
"""Ways in which two drugs differ."""

Drug = Mapping[str, Any]


@dataclass(frozen=True)
class Difference:
    """A difference between two drugs: one of `KINDS`, and in words."""

    kind: str
    words: str


def difference(one: Drug, other: Drug) -> Difference:
    """Compare two drugs; what the source does not say of both is left out."""
    pairs = {
        "shape": (shape(one), shape(other)),
        "colour": (colours(one), colours(other)),
        "form": (FORMS.get(one["form"], one["form"]), FORMS.get(other["form"], other["form"])),
    }
    apart = {name: pair for name, pair in pairs.items() if all(pair) and pair[0] != pair[1]}
    imprints = imprint(one), imprint(other)
    other_imprint = any(imprints) and _sides(one) != _sides(other)
    marks = f"({imprints[0] or 'none'} / {imprints[1] or 'none'})"
    if apart:
        words = listing([f"{name} ({first} / {second})" for name, (first, second) in apart.items()])
        return Difference(LOOK, f"differ in {words}" + (f", and by imprint {marks}" if other_imprint else ""))
    missing = [name for name in ("shape", "colour") if not all(pairs[name])]
    if other_imprint:
        if missing:
            return Difference(UNKNOWN, f"differ by imprint {marks}, {' and '.join(missing)} unknown")
        return Difference(IMPRINT, f"differ by imprint only {marks}")
    if missing:
        return Difference(UNKNOWN, f"{' and '.join(missing)} unknown, so is what tells them apart")
    if not any(imprints):
        return Difference(UNKNOWN, "same shape and colour, imprint unknown")
    return Difference(SAME, f"same shape, colour and imprint ({imprints[0]})")


def shape(drug: Drug) -> str:
    """The shape, in English where it is known."""
    name: str = drug["shape"]
    return SHAPES.get(name, name)


def colours(drug: Drug) -> str:
    """The colours, in English where they are known."""
    return " and ".join(COLOURS.get(name, name) for name in drug["colours"].split(",") if name)


def imprint(drug: Drug) -> str:
    """The imprints of both sides; empty where there is none."""
    sides: list[str] = [drug["imprint_front"], drug["imprint_back"]]
    return " | ".join(MARKS.get(side, side) for side in sides if side)


def _sides(drug: Drug) -> set[str]:
    """Front and back are what a label calls them: two drugs that swap them look alike."""
    return {drug["imprint_front"], drug["imprint_back"]} - {""}


def mistakes_by_kind(confused: Sequence[Mapping[str, Any]], drugs: Mapping[str, Drug]) -> dict[str, int]:
    """Count the mistakes by the way of `KINDS` in which the two drugs differ.

    Args:
        confused: pairs of K-codes `true` and `named` with a `count`.
        drugs: by K-code.
    """
    found = dict.fromkeys(KINDS, 0)
    for pair in confused:
        found[difference(drugs[pair["true"]], drugs[pair["named"]]).kind] += pair["count"]
    return found


def mistakes_in_words(confused: Sequence[Mapping[str, Any]], drugs: Mapping[str, Drug]) -> str:
    """The mistakes by how the drugs differ, in one sentence; empty where there are none."""
    found = mistakes_by_kind(confused, drugs)
    total = sum(found.values())
    if not total:
        return ""
    imprint_only = found.pop(IMPRINT)
    others = [f"{count(number)} between drugs {KINDS[kind]}" for kind, number in found.items() if number]
    return (
        f"Of {plural(total, 'mistake')}, {count(imprint_only)} ({percent(imprint_only / total)}) are between drugs "
        f"{KINDS[IMPRINT]}" + (f", {listing(others)}." if others else ".")
    )
