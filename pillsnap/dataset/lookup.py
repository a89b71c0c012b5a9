"""Find a drug by its K-code or by a part of its name."""

import re
import unicodedata
from collections.abc import Sequence

from pillsnap.dataset.stage_data import DataError
from pillsnap.tables.classes import DrugClass

NEAREST, MOST_NAMES = 5, 10


def find_drug(classes: Sequence[DrugClass], words: str) -> DrugClass:
    """The one drug of a class list that `words` name: its K-code, its whole name, or a part of its name.

    Raises:
        DataError: none, or several; the message names the nearest ones.
    """
    wanted = _plain(words)
    for same in (
        lambda drug: _plain(drug.k_code) == wanted,
        lambda drug: _plain(drug.name) == wanted,
        lambda drug: wanted in _plain(drug.name) and not _is_code(wanted),
    ):
        found = [drug for drug in classes if wanted and same(drug)]
        if len(found) == 1:
            return found[0]
        if found:
            more = f"\n  and {len(found) - MOST_NAMES} more" if len(found) > MOST_NAMES else ""
            raise DataError(
                f"{words}: {len(found)} drugs have this in their name. Give the K-code of one:\n"
                f"{_listed(found[:MOST_NAMES])}{more}"
            )
    if _is_code(wanted):
        nearest = _nearest(classes, wanted)
        raise DataError(f"{words}: no drug of this stage has this K-code. The nearest are:\n{_listed(nearest)}")
    raise DataError(f"{words}: no drug of this stage has this K-code, or this in its name. K-codes look like K-000114.")


def _plain(words: str) -> str:
    """Without the differences that people do not mean: case, spaces, composed or decomposed Korean."""
    return "".join(unicodedata.normalize("NFC", words).casefold().split())


def _is_code(words: str) -> bool:
    """Tell whether the words look like a K-code, whole, cut short or mistyped."""
    return re.fullmatch(r"k-\S*\d\S*|k?\d+", words) is not None


def _nearest(classes: Sequence[DrugClass], wanted: str) -> list[DrugClass]:
    """Codes that hold the given digits first, then those whose number is closest."""
    digits = re.sub(r"\D", "", wanted)

    def distance(drug: DrugClass) -> tuple[bool, int, str]:
        number = re.sub(r"\D", "", drug.k_code)
        return digits not in number, abs(int(number or 0) - int(digits)), drug.k_code

    return sorted(classes, key=distance)[:NEAREST]


def _listed(drugs: Sequence[DrugClass]) -> str:
    return "\n".join(f"  {drug.k_code}  {drug.name}" for drug in drugs)
