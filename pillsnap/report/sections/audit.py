"""Facts of the label audit."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pillsnap.pages.formats import count, decimal, figure, listing

KINDS = {
    "detection_without_label": "Detection without label",
    "label_without_detection": "Label without detection",
}
"""The kinds of findings and their names on the page."""

_COUNTS = ("all", "split.train", "split.val", "domain.single", "domain.combo", "partly_labelled")


def findings(audit: Mapping[str, Any]) -> int:
    """Findings of both kinds together."""
    return sum(kind["all"] for kind in audit["findings"].values())


def count_rows(audit: Mapping[str, Any]) -> list[list[str]]:
    """Findings of each kind: all, by side of the split, by domain, in partly labelled photographs."""
    return [
        [word, *(count(figure(audit, f"findings.{kind}.{path}")) for path in _COUNTS)] for kind, word in KINDS.items()
    ]


def finding_rows(rows: Iterable[Mapping[str, str]]) -> list[list[str]]:
    """Findings one by one: kind, photograph, the label's K-code, K-codes without label, score, best IoU."""
    return [
        [
            KINDS[row["kind"]],
            row["archive"],
            row["member"],
            row["k_code"],
            row["suggested_k_codes"].replace(",", ", "),
            decimal(float(row["score"]) if row["score"] else None),
            decimal(float(row["best_iou"])),
        ]
        for row in rows
    ]


def words_of(rows: Sequence[Mapping[str, str]]) -> str:
    """What is found in one photograph, in words; `rows` are its findings of one kind."""
    photo = rows[0]
    side = {"train": "Training", "val": "Validation"}[photo["split"]]
    place = f"{side}, {photo['domain']}"
    if photo["kind"] == "label_without_detection":
        return f"{place}: {listing([row['k_code'] for row in rows])}"
    said = f"{place}: score {listing([decimal(float(row['score'])) for row in rows])}"
    missing = photo["suggested_k_codes"].split(",") if photo["suggested_k_codes"] else []
    return said + (f". In its name, but not labelled: {listing(missing)}" if missing else "")
