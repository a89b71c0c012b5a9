"""Where a benchmark's figures come from, as the pages tell it."""

from collections.abc import Mapping
from typing import Any


def origin(result: Mapping[str, Any]) -> dict[str, str]:
    """Date, device, commit (with `dirty`) and versions of a result, as texts for a page."""
    commit = result["commit"]
    return {
        "date": result["date"],
        "device": result["device"],
        "commit": commit["hash"][:10],
        "dirty": ", with changes" if commit["dirty"] else "",
        "versions": ", ".join(f"{name} {number}" for name, number in result["versions"].items()),
    }
