"""Codes of drugs in tables that a spreadsheet has been at: it takes `643303740` for a number."""

import re

_FRACTION = re.compile(r"([0-9]+)\.0+")
_ROUNDED = re.compile(r"[0-9]+(?:[.,][0-9]*)?[eE]\+?[0-9]+|[0-9]+\.[0-9]+")
_GROUPED = re.compile(r"[0-9]{1,3}(?:,[0-9]{3})+")


def code_in_cell(text: str) -> str | None:
    """Return the code of a cell, `643303740` for `643303740.0`; `None` for `6.43E+08`, whose digits are lost."""
    if whole := _FRACTION.fullmatch(text):
        return whole[1]
    return None if _ROUNDED.fullmatch(text) else text


def codes_in_cell(text: str) -> tuple[list[str], list[str]]:
    """Return the codes of a cell, between commas, semicolons, bars or blanks, and what is none: rounded numbers, and
    `643,303,740`, a number with thousands separators."""
    if _GROUPED.fullmatch(text):
        return [], [text]
    read = {cell: code_in_cell(cell) for cell in re.split(r"[,|;\s]+", text)}
    return [code for code in read.values() if code], [cell for cell, code in read.items() if code is None]
