"""Texts in CSV that no spreadsheet takes for a formula: an apostrophe before them, which reading takes off again."""

_STARTS = frozenset("=+-@\t\r\n\uff1d\uff0b\uff0d\uff20")
"""What begins a formula; the last four are the full-width forms of the first, which some spreadsheets take for them."""


def defused(text: str) -> str:
    """A text as it stands in a cell; one that begins as a formula does, after any apostrophes, gets one before it."""
    return f"'{text}" if text.lstrip("'")[:1] in _STARTS else text


def as_given(cell: str) -> str:
    """The text that `defused` made a cell of."""
    return cell[1:] if cell[:1] == "'" and cell.lstrip("'")[:1] in _STARTS else cell
