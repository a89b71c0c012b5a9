"""Tables that pages and the model card show."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

Kind = Literal["text", "number", "code", "name"]
Rows = list[list[str]]


@dataclass(frozen=True)
class Column:
    """A column's title and what its cells hold: `name` is a drug's name, `code` an identifier or a path."""

    title: str
    kind: Kind = "text"


def number(title: str) -> Column:
    """A column of numbers, aligned to the right."""
    return Column(title, "number")


def code(title: str) -> Column:
    """A column of codes, paths and other text that is shown letter by letter."""
    return Column(title, "code")


def name(title: str) -> Column:
    """A column of drugs' names, which may be Korean."""
    return Column(title, "name")


@dataclass(frozen=True)
class Table:
    """A table of a page.

    Attributes:
        caption: what it shows.
        head: its columns; a mere title is that of a column of text.
        rows: texts; a value with a `state`, such as a `Statement`, is shown as icon and word of that state.
        summed: whether the last row is a sum.
    """

    caption: str
    head: Sequence[str | Column]
    rows: Sequence[Sequence[Any]]
    summed: bool = False

    @property
    def columns(self) -> list[Column]:
        """All columns, those of text included."""
        return [Column(one) if isinstance(one, str) else one for one in self.head]
