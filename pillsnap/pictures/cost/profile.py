"""Cost of an ICC profile, whose steps are applied to tens of thousands of colours before the picture's own."""

import struct

from pillsnap.pictures.cost.limits import CostlyError, check_at_most

BYTES = 4 * 2**20
TAGS = 100
_STEPS = b"mpet"
"""Type of a tag that is a list of any length, each entry with matrices or curves of any length."""


def check_profile(profile: bytes) -> None:
    """Raise `CostlyError` for a profile of too many bytes or tags, or of steps whose number only it limits."""
    check_at_most(BYTES, len(profile), "bytes of ICC profile")
    if len(profile) < 132:
        return
    (tags,) = struct.unpack_from(">I", profile, 128)
    check_at_most(TAGS, tags, "tags in the ICC profile")
    for _, place, _ in struct.iter_unpack(">4sII", profile[132 : 132 + 12 * tags].ljust(12 * tags, b"\0")):
        if profile.startswith(_STEPS, place):
            raise CostlyError("an ICC profile of multi-process elements")
