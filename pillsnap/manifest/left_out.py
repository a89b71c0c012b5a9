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
    examples = rows.drop_duplicates("reason").set_index("reason")
    lines = ["", "Quarantined in all:"]
    for reason, count in rows["reason"].value_counts().items():
        archive, member, label_member, detail = examples.loc[reason, ["archive", "member", "label_member", "detail"]]
        place = ": ".join(filter(None, (archive, label_member or member, detail)))
        lines.append(f"  {count} {reason}, such as {place[:200]}")
    return "\n".join([*lines, f"The whole list is {listing}; docs/quarantine.md explains the reasons."])
