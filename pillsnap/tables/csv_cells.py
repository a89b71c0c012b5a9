"""Escape CSV cells that a spreadsheet would run as a formula (CSV injection), by an apostrophe; reading removes it."""

_STARTS = frozenset("=+-@\t\r\n\uff1d\uff0b\uff0d\uff20")
"""First characters of formulas; the last four are full-width forms of the first, which some spreadsheets accept."""


def escape_formula(text: str) -> str:
    """Return a text as a cell; one that starts like a formula, after any apostrophes, gets one more before it."""
    return f"'{text}" if text.lstrip("'")[:1] in _STARTS else text


def unescape_formula(cell: str) -> str:
    """Return the text of a cell of `escape_formula`."""
    return cell[1:] if cell[:1] == "'" and cell.lstrip("'")[:1] in _STARTS else cell
