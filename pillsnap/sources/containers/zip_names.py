"""Names in zips whose writers did not say how they are encoded."""

import zipfile
from collections.abc import Iterable
from contextlib import suppress

from pillsnap.sources.containers.text import likely_encoding

_IS_UTF8 = 0x800
"""The flag of a name in UTF-8."""


def decoded_names(infos: Iterable[zipfile.ZipInfo]) -> dict[str, str]:
    """Return the names that `zipfile` has read as CP437, although they look like UTF-8 (macOS) or CP949 (Korean
    Windows) all together, and what they are in truth."""
    written: dict[str, bytes] = {}
    for info in infos:
        if not info.flag_bits & _IS_UTF8 and not info.filename.isascii():
            with suppress(UnicodeEncodeError):  # of an extra field with the name in UTF-8
                written[info.filename] = info.filename.encode("cp437")
    encoding = likely_encoding(b"\n".join(written.values())) if written else None
    names: dict[str, str] = {}
    for name, data in written.items() if encoding in ("utf-8", "cp949") else ():
        with suppress(UnicodeDecodeError):
            names[name] = data.decode(encoding or "utf-8")
    return names
