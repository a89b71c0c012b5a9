"""Where boxes come from that no label gives, in words."""

from collections.abc import Mapping
from typing import Any

from pillsnap.pages.formats import plural


def box_sources(manifest: Mapping[str, Any]) -> list[str]:
    """Return a sentence or two for each way to a box besides labels, out of the manifest's summary."""
    pills: dict[str, int] = {}
    for facts in manifest.get("boxes", {}).values():
        words = _WHOLE if facts["from"] == "whole" else _DETECTOR.format(**facts)
        pills[words] = pills.get(words, 0) + facts["pills"]
    return [words.replace("PILLS", plural(number, "pill")) for words, number in pills.items()]


_LEFT_OUT = "They are left out of the detector's figures."
_WHOLE = (
    "The boxes of PILLS are whole photographs: no label says where the pills are. A detector that is trained on them "
    f"finds photographs, not pills, so that answers hold for photographs that are cropped as these are. {_LEFT_OUT}"
)
_DETECTOR = (
    "The boxes of PILLS were found by a detector ({weights}, SHA-256 {sha256}, score {min_score} or more): nobody has "
    f"checked them. {_LEFT_OUT}"
)
