"""Parts of a document that is written both as Markdown and into a page."""

from dataclasses import dataclass

from pillsnap.pages.table import Table


@dataclass(frozen=True)
class Code:
    """Lines to be typed, in a language."""

    language: str
    text: str


Block = str | tuple[str, ...] | Table | Code
"""A sentence (with `code` and **bold**), a list of them, a table, or code."""


@dataclass(frozen=True)
class Section:
    """A part of the card."""

    title: str
    blocks: tuple[Block, ...]


def kind_of(block: Block) -> str:
    """`text`, `items`, `table` or `code`."""
    return {str: "text", tuple: "items", Table: "table", Code: "code"}[type(block)]
