"""Tables as Parquet and CSV, checked on read and on write."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pandera.pandas as pa
import pyarrow as arrow
from pyarrow import parquet

from pillsnap.files import replacing
from pillsnap.tables.csv_cells import FORMULA, escape_formula, unescape_formula
from pillsnap.tables.schemas import MANIFEST

ROW_GROUP = 10_000
"""Rows of a Parquet row group: a reader of some rows of a sorted table skips all other groups."""


class TableError(ValueError):
    """A table that breaks its schema; the message lists the failures."""


def make_table(rows: Iterable[Mapping[str, Any]], schema: pa.DataFrameSchema) -> pd.DataFrame:
    """Build a table from rows and check it; an empty one has the schema's columns too."""
    return check_table(_table_of(rows, schema), schema, "rows")


def _table_of(rows: Iterable[Mapping[str, Any]], schema: pa.DataFrameSchema) -> pd.DataFrame:
    return pd.DataFrame(list(rows), columns=list(schema.columns))


def check_table(table: pd.DataFrame, schema: pa.DataFrameSchema, where: str | Path) -> pd.DataFrame:
    """Return the table with the schema's columns and types; raises `TableError` with every failure."""
    try:
        return schema.validate(table, lazy=True)
    except pa.errors.SchemaErrors as error:
        failures = error.failure_cases.head(10).to_string(index=False)
        raise TableError(f"{where}: the table breaks its schema (first failures):\n{failures}") from error


def write_table(table: pd.DataFrame, path: str | Path, schema: pa.DataFrameSchema) -> None:
    """Check a table and write Parquet or CSV (like `write_csv`), by the ending."""
    checked = check_table(table, schema, path)
    with replacing(path) as temporary:
        if Path(path).suffix == ".csv":
            _to_csv(checked, temporary)
        else:
            checked.to_parquet(temporary, index=False, row_group_size=ROW_GROUP)


def write_rows(rows: Iterable[Mapping[str, Any]], path: str | Path, schema: pa.DataFrameSchema) -> None:
    """Write a table of rows like `write_table`; an empty one has the schema's columns too."""
    write_table(_table_of(rows, schema), path, schema)


def read_table(path: str | Path, schema: pa.DataFrameSchema, *, filters: list[tuple] | None = None) -> pd.DataFrame:
    """Read and check a table of `write_table`; `filters` are pyarrow's and choose rows of a Parquet file."""
    if Path(path).suffix == ".csv":
        # texts are not parsed: an EDI code of digits is no number
        texts = {name: "str" for name, column in schema.columns.items() if str(column.dtype).startswith("str")}
        table = pd.read_csv(path, encoding="utf-8-sig", keep_default_na=False, dtype=texts)
        table = _changed(table, f"'{FORMULA}", unescape_formula)
    else:
        table = pd.read_parquet(path, filters=filters)
    return check_table(table, schema, path)


def write_csv(table: pd.DataFrame, path: str | Path) -> None:
    """Write CSV for spreadsheets: UTF-8 with byte-order mark, so that Excel shows Korean, and no cell is a formula."""
    with replacing(path) as temporary:
        _to_csv(table, temporary)


def read_texts(path: str | Path, columns: Sequence[str] | None = None) -> pd.DataFrame:
    """Read all columns, or some, of a CSV file of `write_csv`, as texts."""
    texts = pd.read_csv(path, encoding="utf-8-sig", keep_default_na=False, dtype=str, usecols=columns)
    return _changed(texts, f"'{FORMULA}", unescape_formula)


def _to_csv(table: pd.DataFrame, path: Path) -> None:
    _changed(table, FORMULA, escape_formula).to_csv(path, index=False, encoding="utf-8-sig", lineterminator="\n")


def _changed(table: pd.DataFrame, which: str, change: Callable[[str], str]) -> pd.DataFrame:
    """Change the texts that begin with a regular expression; Arrow finds these few."""
    changed = {}
    for name in table.columns:
        if pd.api.types.is_string_dtype(table[name].dtype) and (found := table[name].str.match(which)).any():
            changed[name] = table[name].where(~found, table.loc[found, name].map(change))
    return table.assign(**changed)


def read_split(path: str | Path, split: str) -> pd.DataFrame:
    """Read the rows of one split of a manifest file, schema `MANIFEST`; `unseen.csv` holds two."""
    table = read_table(path, MANIFEST)
    return table[table["split"] == split].reset_index(drop=True)


def read_tables(paths: Sequence[str | Path], schema: pa.DataFrameSchema) -> pd.DataFrame:
    """Read Parquet tables of one schema, concatenate and check them."""
    tables = [read_columns(path, list(schema.columns)) for path in paths]
    return check_table(arrow.concat_tables(tables).to_pandas(), schema, f"{paths[0]} and {len(paths) - 1} more")


def read_columns(path: str | Path, columns: Sequence[str]) -> arrow.Table:
    """Read some columns of a Parquet table of `write_table` as Arrow, unchecked: for millions of rows.

    Raises `TableError` where the file lacks one.
    """
    missing = set(columns) - set(parquet.read_schema(path).names)
    if missing:
        raise TableError(f"{path}: has no column {', '.join(sorted(missing))}. Make the table again with its rule.")
    return parquet.read_table(path, columns=list(columns))
