"""Recognise raw photographs of cameras, of which a reader of TIFF would see a preview of postage stamp's size."""

from collections.abc import Mapping
from typing import Any

RAW_PHOTO = "a camera's raw photograph, which is developed first: save it as JPEG"

_HEADS = (b"FUJIFILMCCD-RAW", b"IIU\0", b"IIRO", b"IIRS", b"MMOR", b"FOVb", b"\0MRM")
"""Beginnings of RAF, RW2, ORF, X3F and MRW."""
_CR3, _CR2 = b"ftypcrx ", b"CR"
_KIND, _LIGHT, _DNG_VERSION = 254, 262, 50706
_REDUCED = 1
_UNDEVELOPED = (32803, 34892)
"""Colour filter array, and linear raw."""


def is_raw(head: bytes, tags: Mapping[int, Any]) -> bool:
    """Tell whether a file is a raw photograph.

    Args:
        head: its first bytes, 16 at least.
        tags: those of its first directory where it is a TIFF, as DNG, NEF, ARW and CR2 are; empty otherwise.
    """
    undeveloped = _DNG_VERSION in tags or tags.get(_LIGHT) in _UNDEVELOPED
    preview = bool(tags.get(_KIND, 0) & _REDUCED) or (bool(tags) and head[8:10] == _CR2)
    return undeveloped or preview or head.startswith(_HEADS) or head[4:12] == _CR3
