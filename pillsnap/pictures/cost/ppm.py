"""Cost of a PPM: numbers as text and comments, which Pillow reads in Python."""

import re

from pillsnap.pictures.cost.limits import CostlyError, check_at_most

HEADER, TEXT, COMMENTS = 4_096, 65_536, 100
"""Bytes of the header and of a picture in text, and comments in that."""
_PLAIN = (b"P1", b"P2", b"P3")
_HEADER = re.compile(rb"P[0-9a-zA-Z]+(?:(?:\s|#[^\r\n]*[\r\n])+[^\s#]+){2}(?:\s|#[^\r\n]*[\r\n])")


def check_ppm(data: bytes) -> None:
    """Raise `CostlyError` for a PPM with a long header, or for a large one in text."""
    if data.startswith(_PLAIN):
        check_at_most(TEXT, len(data), "bytes of a picture in text")
        check_at_most(COMMENTS, data.count(b"#"), "comments")
    if len(data) > HEADER and not _HEADER.match(data, 0, HEADER):
        raise CostlyError(f"a header of more than {HEADER:,} bytes")
