"""Decode text files as people's tools write them."""

import codecs

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


def decode_text(data: bytes) -> tuple[str, str]:
    """Decode a text file: by its byte-order mark, as UTF-16 or UTF-32 without one, as UTF-8, or else as CP949.

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
        return data.decode("cp949"), "cp949"
