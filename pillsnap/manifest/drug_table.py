"""The table of drugs that people open: what the source says of each class, so that look-alikes can be told apart."""

from collections.abc import Sequence

import pandas as pd

from pillsnap.tables.classes import DrugClass
from pillsnap.tables.files import check_table
from pillsnap.tables.schemas import DRUGS

LOOK = ("form", "shape", "colours", "imprint_front", "imprint_back")


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
