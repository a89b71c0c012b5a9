"""Account of what a failing run left out: counts with examples for the error, and the whole list as CSV."""

from pathlib import Path

import pandas as pd

from pillsnap.tables.files import write_csv

COLUMNS = ["archive", "member", "label_member", "reason", "detail"]
"""Columns of a list of what is quarantined."""


def quarantined_rows(issues: pd.DataFrame) -> pd.DataFrame:
    """Return the quarantined rows of issues (schema `ISSUES`) in the order of a list."""
    rows = issues[issues["outcome"] == "quarantined"]
    return rows.sort_values(["archive", "member", "label_member", "reason"])[COLUMNS]


def by_reason(issues: pd.DataFrame) -> list[tuple[str, int, str]]:
    """Count issues (schema `ISSUES`) by reason: reason, number, and an example with its place and detail.

    Most frequent first; last the reason that only tells that others took every label of a photograph.
    """
    examples = issues.drop_duplicates("reason").set_index("reason")
    counts = issues["reason"].value_counts().to_dict()
    order = sorted(counts, key=lambda reason: (reason == "photo_without_usable_label", -counts[reason], reason))
    return [(reason, counts[reason], _example(examples.loc[reason])) for reason in order]


def _example(row: pd.Series) -> str:
    in_a_file_of_many = row["label_member"].startswith("annotation ")  # COCO
    member = row["member"] if in_a_file_of_many or not row["label_member"] else ""
    return ": ".join(filter(None, (row["archive"], member, row["label_member"], row["detail"])))


def left_out(issues: pd.DataFrame, listing: Path) -> str:
    """Write the list, and describe it: how many photographs and labels for each reason, with an example of each.

    Args:
        issues: schema `ISSUES`.
        listing: written, CSV; no output of a rule, so that it survives the failed run.

    Returns:
        lines for the end of an error message; empty where nothing was quarantined.
    """
    rows = quarantined_rows(issues)
    if rows.empty:
        return ""
    listing.parent.mkdir(parents=True, exist_ok=True)
    write_csv(rows, listing)
    lines = ["", "Quarantined in all:"]
    lines += [f"  {number} {reason}, such as {example[:200]}" for reason, number, example in by_reason(rows)]
    return "\n".join([*lines, f"The whole list is {listing}; docs/quarantine.md explains the reasons."])
