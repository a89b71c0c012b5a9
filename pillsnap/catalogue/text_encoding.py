"""Find the encoding of a table of text, of which nothing but its bytes tells."""

import re
from pathlib import Path

from pillsnap.catalogue.records import CatalogueError

_MARKS = ((b"\xef\xbb\xbf", "utf-8-sig"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"))
_WORDS = re.compile(rb"[\x80-\xff]+")
"""Runs of bytes that are not ASCII."""
_HANGUL = re.compile(rb"(?<![\x80-\xff])(?:[\xb0-\xc8][\xa1-\xfe])+(?![\x80-\xff])")
"""Such runs that are Hangul of KS X 1001 in CP949."""
_LATIN = re.compile(rb"(?<![\x80-\xff])[\x80-\xff](?![\x80-\xff])|(?<=[A-Za-z])[\x80-\xff]{2}(?=[A-Za-z])")
"""Such runs that Latin words have: one byte, or two between ASCII letters (`SOLUÇÃO`)."""
_OFTENER = 9
"""The more frequent of two kinds of run decides where it is so many times as frequent."""


def encoding_of(path: Path, data: bytes) -> str:
    """Return the encoding of a text: that of its mark, else UTF-8, CP949 or Windows-1252 by what the bytes look like.

    Damaged lines do not count where the others are plain.

    Raises:
        CatalogueError: the bytes may as well be CP949 as Windows-1252.
    """
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            return encoding
    words = _WORDS.findall(data)
    if not words or sum(map(_is_utf8, words)) > len(words) / 2:
        return "utf-8"
    for text in (data.lstrip().splitlines()[0], data):  # the names of the columns are the plainest
        hangul, latin = len(_HANGUL.findall(text)), len(_LATIN.findall(text))
        if hangul > _OFTENER * latin:
            return "cp949"
        if latin > _OFTENER * hangul:
            return "cp1252"
    line = next(line for line in data.splitlines() if _WORDS.search(line))
    korean, western = (line.decode(encoding, errors="replace")[:100] for encoding in ("cp949", "cp1252"))
    raise CatalogueError(
        f"{path}: may be CP949 (Korean) or Windows-1252 (Western), which give other names: {korean!r} or {western!r}. "
        "Open it in a spreadsheet program with the right one, and save the table as CSV UTF-8 or XLSX."
    )


def _is_utf8(word: bytes) -> bool:
    try:
        word.decode()
    except UnicodeDecodeError:
        return False
    return True
