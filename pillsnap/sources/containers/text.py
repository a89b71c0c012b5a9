"""Decode text files as people's tools write them."""

import codecs
import re

_MARKED = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF32_LE: "utf-32",  # before UTF-16, whose mark it begins with
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
_UNMARKED = {
    "utf-32-le": [False, True, True, True],
    "utf-32-be": [True, True, True, False],
    "utf-16-le": [False, True, False, True],
    "utf-16-be": [True, False, True, False],
}
"""Which of the first four bytes are zero where a text begins with two ASCII characters."""
_WORDS = re.compile(rb"[\x80-\xff]+")
"""Runs of bytes that are not ASCII."""
_HANGUL = re.compile(rb"(?<![\x80-\xff])(?:[\xb0-\xc8][\xa1-\xfe])+(?![\x80-\xff])")
"""Such runs that are Hangul of KS X 1001 in CP949."""
_LATIN = re.compile(rb"(?<![\x80-\xff])[\x80-\xff](?![\x80-\xff])|(?<=[A-Za-z])[\x80-\xff]{2}(?=[A-Za-z])")
"""Such runs that Latin words have: one byte, or two between ASCII letters (`SOLUÇÃO`)."""
_OFTENER = 9
"""The more frequent of two kinds of run decides where it is so many times as frequent."""


def decode_text(data: bytes) -> tuple[str, str]:
    """Decode a text file: by its byte-order mark, as UTF-16 or UTF-32 without one, as UTF-8, or else as Windows-1252
    where `likely_encoding` says so, and as CP949 where it does not know.

    Returns:
        the text and the encoding's name.

    Raises:
        UnicodeDecodeError: it is none of these.
    """
    for mark, encoding in _MARKED.items():
        if data.startswith(mark):
            return data.decode(encoding), encoding
    zeros = [byte == 0 for byte in data[:4]]
    for encoding, pattern in _UNMARKED.items():
        if zeros == pattern:
            return data.decode(encoding), encoding
    try:
        return data.decode("utf-8"), "utf-8"
    except UnicodeDecodeError:
        encoding = likely_encoding(data) or "cp949"
        return data.decode(encoding), encoding


def likely_encoding(data: bytes) -> str | None:
    """Tell UTF-8, CP949 (`cp949`) and Windows-1252 (`cp1252`) apart by what the bytes look like; `None` where they may
    as well be one of the last two as the other. Damaged words do not count where the others are plain."""
    words = _WORDS.findall(data)
    if not words or sum(map(_is_utf8, words)) > len(words) / 2:
        return "utf-8"
    for text in (data.lstrip().splitlines()[0], data):  # the names of a table's columns are the plainest
        hangul, latin = len(_HANGUL.findall(text)), len(_LATIN.findall(text))
        if hangul > _OFTENER * latin:
            return "cp949"
        if latin > _OFTENER * hangul:
            return "cp1252"
    return None


def _is_utf8(word: bytes) -> bool:
    try:
        word.decode()
    except UnicodeDecodeError:
        return False
    return True
