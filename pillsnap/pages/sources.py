"""Table of several sources: what was read of each, and how right the answers on its test photographs are."""

from collections.abc import Mapping
from typing import Any

from pillsnap.pages.formats import MISSING, count, percent
from pillsnap.pages.table import Table, number

_READ = ("Photos read", "Kept", "Quarantined", "Skipped", "Pills", "Drugs", "Test pills")
_MEASURED = ("Top-1", "mAP@0.5", "Found")


def sources_table(manifest: Mapping[str, Any], measured: Mapping[str, Mapping[str, Any]] | None = None) -> Table:
    """Account for each source; without rows where there is one source.

    Args:
        manifest: content of `summary.json`.
        measured: `sources` of `accuracy.json`: adds what was measured on each source's test part.
    """
    figures = {name: [MISSING] * len(_MEASURED) for name in manifest.get("sources", {})}
    for name, one in (measured or {}).items():
        shares = (one["top1"], one["map50"], one["found"])
        figures[name] = [MISSING if share is None else percent(share, 1) for share in shares]
    rows = [
        [name, *map(count, _counts(one)), *(figures[name] if measured is not None else [])]
        for name, one in manifest.get("sources", {}).items()
    ]
    heads = _READ + (_MEASURED if measured is not None else ())
    return Table("What each source gives", ("Source", *map(number, heads)), rows)


def _counts(source: Mapping[str, Any]) -> list[int]:
    """Return the numbers of `_READ`."""
    photos = source["photos"]
    left_out = [sum(photos[outcome].values()) for outcome in ("quarantined", "skipped")]
    test = source["splits"]["test"]["pills"]
    return [photos["read"], photos["kept"], *left_out, source["labels"]["kept"], source["drugs"], test]
