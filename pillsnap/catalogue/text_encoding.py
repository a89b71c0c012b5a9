"""Find the encoding of a table of text, of which nothing but its bytes tells."""

from pathlib import Path

from pillsnap.catalogue.records import CatalogueError
from pillsnap.sources.containers.text import likely_encoding

_MARKS = ((b"\xef\xbb\xbf", "utf-8-sig"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"))


def encoding_of(path: Path, data: bytes) -> str:
    """Return the encoding of a text: that of its mark, else UTF-8, CP949 or Windows-1252 by what the bytes look like.

    Raises:
        CatalogueError: the bytes may as well be CP949 as Windows-1252.
    """
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            return encoding
    if likely := likely_encoding(data):
        return likely
    line = next(line for line in data.splitlines() if not line.isascii())
    korean, western = (line.decode(encoding, errors="replace")[:100] for encoding in ("cp949", "cp1252"))
    raise CatalogueError(
        f"{path}: may be CP949 (Korean) or Windows-1252 (Western), which give other names: {korean!r} or {western!r}. "
        "Open it in a spreadsheet program with the right one, and save the table as CSV UTF-8 or XLSX."
    )
