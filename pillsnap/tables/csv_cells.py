"""Escape CSV cells that a spreadsheet would run as a formula (CSV injection), by an apostrophe; reading removes it."""

import re

FORMULA = "'*[=+@\t\r\n\uff1d\uff0b\uff0d\uff20-]"
"""How formulas start, after any apostrophes; the last four are full-width forms, which some spreadsheets accept.
A regular expression for Python and Arrow."""


def escape_formula(text: str) -> str:
    """Return a text as a cell; one that starts like a formula, after any apostrophes, gets one more before it."""
    return f"'{text}" if re.match(FORMULA, text) else text


def unescape_formula(cell: str) -> str:
    """Return the text of a cell of `escape_formula`."""
    return cell[1:] if re.match(f"'{FORMULA}", cell) else cell
