"""The table of drugs that people open: what the source says of each class, so that look-alikes can be told apart."""

import re
from collections.abc import Callable, Sequence
from pathlib import Path

import pandas as pd

from pillsnap.classes import DrugClass
from pillsnap.tables import DRUGS, check_table, read_table, write_table

LOOK = ("form", "shape", "colours", "imprint_front", "imprint_back")
_FORMULA = re.compile(r"'*[=+\-@\t\r]")
_DEFUSED = re.compile(r"'+[=+\-@\t\r]")


def drug_table(classes: Sequence[DrugClass], kept: pd.DataFrame, looks: pd.DataFrame) -> pd.DataFrame:
    """One row a class, schema `DRUGS`.

    Where a drug's labels differ in what they say, the value of most of them holds, column by column; one that is
    missing does not count.

    Args:
        classes: the class list.
        kept: manifest rows, with `k_code` and `split`.
        looks: schema `LOOKS`, of all archives.
    """
    said = {column: most_frequent(looks, column) for column in LOOK}
    pills = kept.groupby(["k_code", "split"]).size()
    rows = [
        {
            "class_index": drug.index,
            "k_code": drug.k_code,
            "edi_codes": ",".join(drug.edi_codes),
            "drug_name": drug.name,
            **{column: said[column].get(drug.k_code, "") for column in LOOK},
            **{f"{split}_pills": int(pills.get((drug.k_code, split), 0)) for split in ("train", "val", "test")},
        }
        for drug in classes
    ]
    return check_table(pd.DataFrame(rows, columns=list(DRUGS.columns)), DRUGS, "drugs")


def most_frequent(rows: pd.DataFrame, column: str) -> dict[str, str]:
    """For each K-code the value of `column` that most `labels` of `rows` have; the first by name where two tie."""
    counted = rows[rows[column] != ""].groupby(["k_code", column])["labels"].sum().reset_index()
    counted = counted.sort_values(["k_code", "labels", column], ascending=[True, False, True])
    return dict(counted.drop_duplicates("k_code")[["k_code", column]].itertuples(index=False, name=None))


def write_drugs(drugs: pd.DataFrame, path: Path) -> None:
    """Write the table as CSV; a text that a spreadsheet would take for a formula gets an apostrophe before it."""
    write_table(_texts(drugs, lambda text: f"'{text}" if _FORMULA.match(text) else text), path, DRUGS)


def read_drugs(path: Path) -> pd.DataFrame:
    """Read what `write_drugs` wrote, schema `DRUGS`."""
    return _texts(read_table(path, DRUGS), lambda text: text[1:] if _DEFUSED.match(text) else text)


def _texts(drugs: pd.DataFrame, change: Callable[[str], str]) -> pd.DataFrame:
    columns = [name for name, column in DRUGS.columns.items() if str(column.dtype).startswith("str")]
    return drugs.assign(**{name: drugs[name].map(change) for name in columns})
