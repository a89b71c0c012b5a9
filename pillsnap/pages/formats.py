"""Numbers as people read them; what was not measured is a dash.

Hand-written, since humanize says `999 Bytes` and `2 hours and 5 minutes`, keeps all digits of `432.4 MB`, and puts a
space at which a line breaks between a number and its unit.
"""

from collections.abc import Mapping
from typing import Any

MISSING = "–"
SPACE = "\u202f"  # narrow and unbreakable: a number stays with its unit


def figure(values: Mapping[str, Any], path: str) -> float | None:
    """A number out of nested mappings by its dotted path.

    Returns:
        the number; `None` where it is missing, null, or negative, which is pycocotools' way to say undefined.
    """
    value: Any = values
    for key in path.split("."):
        value = value.get(key) if isinstance(value, Mapping) else None
    return None if value is None or value < 0 else value


def percent(value: float | None, digits: int = 1) -> str:
    """A fraction as percent; `digits` after the point."""
    return MISSING if value is None else f"{value * 100:.{digits}f}{SPACE}%"


def asked(value: float, unit: str) -> str:
    """A target as it was written, such as `92 %` (of 0.92), `50 ms` or `0.02`: no digits that nobody asked for."""
    return f"{value * 100 if unit == '%' else value:.6g}{SPACE}{unit}".rstrip(SPACE)


def count(value: float | None) -> str:
    """A whole number with thousands separators."""
    return MISSING if value is None else f"{value:,.0f}"


def decimal(value: float | None, digits: int = 2) -> str:
    """A number with thousands separators and `digits` after the point."""
    return MISSING if value is None else f"{value:,.{digits}f}"


def milliseconds(value: float | None) -> str:
    """Milliseconds: two digits after the point below 10, one below 100, none above."""
    if value is None:
        return MISSING
    return f"{value:,.{2 if value < 10 else 1 if value < 100 else 0}f}{SPACE}ms"


def size(value: float | None) -> str:
    """Bytes in decimal units."""
    if value is None:
        return MISSING
    power = 0
    while value >= 1000 and power < 3:
        value, power = value / 1000, power + 1
    digits = 0 if power == 0 or value >= 100 else 1
    return f"{value:,.{digits}f}{SPACE}{('B', 'kB', 'MB', 'GB')[power]}"


def duration(seconds: float | None) -> str:
    """Seconds as the two largest units that matter, such as `2 h 05 min`."""
    if seconds is None:
        return MISSING
    if seconds < 10:
        return f"{seconds:.1f}{SPACE}s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole}{SPACE}s"
    if whole < 3600:
        return f"{whole // 60}{SPACE}min {whole % 60:02d}{SPACE}s"
    return f"{whole // 3600:,}{SPACE}h {whole % 3600 // 60:02d}{SPACE}min"


def tiny(value: float | None) -> str:
    """A small error in two significant digits, such as `3.8e-06`."""
    return MISSING if value is None else f"{value:.2g}"


def plural(number: float, word: str) -> str:
    """`1 photo`, `2 photos`, `2 boxes`."""
    return f"{count(number)} {word}" if number == 1 else f"{count(number)} {word}{'es' if word.endswith('x') else 's'}"


def listing(words: list[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def backgrounds(number: int) -> str:
    """Photographs without a pill in words; empty where there are none."""
    return (
        f"{plural(number, 'background')}: photographs without a pill, which only the detector uses." if number else ""
    )


def boxes_alone(without_class: Mapping[str, int]) -> str:
    """Say how many labelled pills have a box but no class, of `summary.json`; empty where there are none."""
    labels, photos = without_class["labels"], without_class["photos"]
    if not labels:
        return ""
    return (
        f"{plural(labels, 'labelled pill')} on {plural(photos, 'photograph')} {'has' if labels == 1 else 'have'} a "
        "box and no class, since their drugs cannot be trained: the detector learns and is measured on them, the "
        "classifier is not."
    )


def never_seen(unseen: Mapping[str, Mapping[str, int]], plan: Mapping[str, Any]) -> str:
    """Drugs and photographs that the model never sees, by half, in words; empty where none are held out.

    Args:
        unseen: of the manifest's `summary.json`.
        plan: `unseen_drugs` of `plan.json`: `asked`, `used`, and the `limit` where it is less.
    """
    drugs, photos = (sum(half[name] for half in unseen.values()) for name in ("drugs", "photos"))
    fewer = f" Of {plural(plan['asked'], 'drug')} asked for, {plan['used']} could be held out: {plan['limit']}."
    if not drugs:
        return f"No drug is held out of training.{fewer}" if plan["limit"] else ""
    return (
        f"Never seen: {plural(drugs, 'drug')}, {plural(photos, 'photograph')}, half of the drugs for choosing "
        "thresholds, half for measuring. They are in no class, no training, no validation and no test part."
        f"{fewer if plan['limit'] else ''}"
    )
