"""Texts in CSV that no spreadsheet takes for a formula: an apostrophe before them, which reading takes off again."""

import re

# the last four are the full-width forms of the first, which some spreadsheets take for them
_START = r"[=+\-@\t\r\n\uff1d\uff0b\uff0d\uff20]"
_FORMULA, _DEFUSED = re.compile(f"'*{_START}"), re.compile(f"'+{_START}")


def defused(text: str) -> str:
    """A text as it stands in a cell; one that begins as a formula does,
    after any apostrophes, gets an apostrophe more."""
    return f"'{text}" if _FORMULA.match(text) else text


def as_given(cell: str) -> str:
    """The text that `defused` made a cell of."""
    return cell[1:] if _DEFUSED.match(cell) else cell
