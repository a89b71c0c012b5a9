"""The class list, and the table of drugs that shows how classes differ, by what most of a drug's labels say."""

from collections.abc import Sequence

import pandas as pd

from pillsnap.reader.looks import Looks, looks_of
from pillsnap.tables.classes import DrugClass
from pillsnap.tables.files import check_table
from pillsnap.tables.schemas import DRUGS

LOOK = ("form", "shape", "colours", "imprint_front", "imprint_back")


def drug_classes(kept: pd.DataFrame) -> list[DrugClass]:
    """Make the class list, ordered by K-code, from manifest rows.

    Where a drug's labels differ in name or EDI codes, the most frequent value is taken; empty ones do not count. Codes
    of different labels are never joined.
    """
    rows = kept.assign(labels=1)
    names, codes = (_most_frequent(rows, column) for column in ("drug_name", "edi_codes"))
    return [
        DrugClass(index, k_code, tuple(dict.fromkeys(code for code in codes.get(k_code, "").split(",") if code)), name)
        for index, k_code in enumerate(sorted(set(kept["k_code"])))
        for name in [names.get(k_code, "")]
    ]


def drug_table(classes: Sequence[DrugClass], kept: pd.DataFrame, looks: pd.DataFrame) -> pd.DataFrame:
    """Make the table of drugs, one row a class, schema `DRUGS`.

    Where a drug's labels differ, the most frequent value is taken, column by column; empty ones do not count.

    Args:
        classes: the class list.
        kept: manifest rows, with `k_code` and `split`.
        looks: schema `LOOKS`, of all archives.
    """
    values = {column: _most_frequent(looks, column) for column in LOOK}
    pills = kept.groupby(["k_code", "split"]).size()
    rows = [
        {
            "class_index": drug.index,
            "k_code": drug.k_code,
            "edi_codes": ",".join(drug.edi_codes),
            "drug_name": drug.name,
            **{column: values[column].get(drug.k_code, "") for column in LOOK},
            **{f"{split}_pills": int(pills.get((drug.k_code, split), 0)) for split in ("train", "val", "test")},
        }
        for drug in classes
    ]
    return check_table(pd.DataFrame(rows, columns=list(DRUGS.columns)), DRUGS, "drugs")


def looks_by_drug(looks: pd.DataFrame) -> dict[str, Looks]:
    """Looks of every drug of tables of schema `LOOKS`, by K-code, by what most of its labels say."""
    values = {column: _most_frequent(looks, column) for column in LOOK}
    drugs = sorted(set(looks["k_code"]))
    table = pd.DataFrame({column: [values[column].get(drug, "") for drug in drugs] for column in LOOK})
    return dict(zip(drugs, looks_of(table), strict=True))


def _most_frequent(rows: pd.DataFrame, column: str) -> dict[str, str]:
    """Return for each K-code the value of `column` with most `labels` in `rows`; where two tie, the first by name."""
    counted = rows[rows[column] != ""].groupby(["k_code", column])["labels"].sum().reset_index()
    counted = counted.sort_values(["k_code", "labels", column], ascending=[True, False, True])
    return dict(counted.drop_duplicates("k_code")[["k_code", column]].itertuples(index=False, name=None))
