"""Find a drug by its K-code or by a part of its name, or tell why the stage does not train it."""

import re
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any

from pillsnap.dataset.stage_data import DataError
from pillsnap.manifest.choose_photos import FEWEST
from pillsnap.tables.classes import DrugClass

NEAREST, MOST_NAMES = 5, 10


def find_drug(classes: Sequence[DrugClass], words: str, plan: Mapping[str, Any]) -> DrugClass:
    """The one drug of a class list that `words` name: its K-code, its whole name, or a part of its name.

    Args:
        classes: the class list.
        words: what to look for.
        plan: content of `plan.json`, which tells of drugs that are not in the class list.

    Raises:
        DataError: none, or several; the message says why the stage does not train it, or names the nearest ones.
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
    if why := _why_not_trained(plan, wanted):
        raise DataError(why)
    if _is_code(wanted):
        nearest = _nearest(classes, wanted)
        raise DataError(f"{words}: no drug of this stage has this K-code. The nearest are:\n{_listed(nearest)}")
    raise DataError(f"{words}: no drug of this stage has this K-code, or this in its name. K-codes look like K-000114.")


def _why_not_trained(plan: Mapping[str, Any], wanted: str) -> str:
    """Tell why a drug of the source is not in the class list; empty where none has this K-code, as `_plain` has it."""
    for k_code in (k_code for half in plan["unseen"].values() for k_code in half["drugs"]):
        if _plain(k_code) == wanted:
            return (
                f"{k_code}: no training sees this drug. It is held out (plan.unseen_drugs), to measure answers on "
                "drugs that the model does not know."
            )
    for k_code in (*plan["classes_left_out"], *plan["classes"]):
        if _plain(k_code) == wanted:
            return f"{k_code}: the source has this drug, and this stage does not train it: {_reason(plan, k_code)}"
    return ""


def _reason(plan: Mapping[str, Any], k_code: str) -> str:
    for why, drugs in plan["classes_dropped"].items():
        if k_code in drugs:
            pills = "{train} training, {val} validation and {test} test pills".format(**drugs[k_code])
            alone = "the source shows it in its test part alone; " if why == "test_only" else ""
            return (
                f"{alone}it has {pills}, and needs {FEWEST[0]} of training and {FEWEST[1]} of validation. Where it "
                "lies beside drugs of the stage, it keeps its box, and the detector learns it."
            )
    if k_code in plan["classes"]:
        return "none of its training photographs came through the decode. manifest/quarantine.csv has the reasons."
    return f"it takes {plan['asked']['classes']} drugs at most, and others come first. A larger stage may have it."


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
