"""Imprints: their characters without what readers write differently, and what of a pill's imprint may be read."""

import re
import unicodedata
from collections.abc import Sequence
from itertools import permutations

_SCORE_WORDS = re.compile(r"(십자)?분할선")
_LOGO_WORDS = re.compile(r"마크|로고")
_LOGO_LETTERS = re.compile(r"[A-Za-z0-9]{1,8}")
_MOST_PERMUTED = 3
"""Parts of an imprint that are read in any order; more of them are read as they stand, or backwards."""


def characters(text: str) -> str:
    """Letters and digits of an imprint, upper-case, without separators and the words for a logo or a score line."""
    words = unicodedata.normalize("NFKC", text)
    words = _LOGO_WORDS.sub(" ", _SCORE_WORDS.sub(" ", words))
    return "".join(char for char in words.upper() if char.isalnum())


def score_line_in(text: str) -> str | None:
    """Score line that an imprint's words tell of, as in `V분할선T`; `None` where they tell of none."""
    found = [match[1] for match in _SCORE_WORDS.finditer(unicodedata.normalize("NFKC", text))]
    return ("cross" if any(found) else "line") if found else None


def with_logo(text: str, logo: str) -> str:
    """An imprint with the letters of its logo in place of the word for it; other words for a logo are no letters."""
    return _LOGO_WORDS.sub(logo, text) if _LOGO_LETTERS.fullmatch(logo) else text


def readings(parts: Sequence[str]) -> dict[str, bool]:
    """Texts that a reader of a pill may note down, each with whether it is the whole imprint.

    Args:
        parts: characters of each side, or of each part where sides are not told apart; empty ones do not count.

    Returns:
        each part alone, and all parts in any order.
    """
    printed = [part for part in parts if part]
    orders = permutations(printed) if len(printed) <= _MOST_PERMUTED else (printed, printed[::-1])
    found = dict.fromkeys(printed, False)
    found |= dict.fromkeys(("".join(order) for order in orders), True)
    found.pop("", None)
    return found
