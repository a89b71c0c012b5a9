"""The tables between the rules: one pandera schema each, checked when written and when read."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pandera.pandas as pa
import pyarrow as arrow
from pyarrow import parquet

from pillsnap.files import replacing
from pillsnap.tables.csv_cells import as_given, defused
from pillsnap.tables.quarantine_reasons import QUARANTINED, REPAIRED, SKIPPED

ROW_GROUP = 10_000
"""Rows that a Parquet file keeps together: a reader of some rows of a sorted table skips all other groups."""


class TableError(ValueError):
    """A table that breaks its schema; the message lists the failures."""


def _text(**options: Any) -> pa.Column:
    return pa.Column(str, coerce=True, **options)


def _whole(**options: Any) -> pa.Column:
    return pa.Column("int64", coerce=True, **options)


def _number(**options: Any) -> pa.Column:
    return pa.Column("float64", coerce=True, **options)


def _schema(*checks: pa.Check, **columns: pa.Column) -> pa.DataFrameSchema:
    return pa.DataFrameSchema(columns, checks=list(checks), strict=True, ordered=True, coerce=True)


_PILL = {
    "image_id": _text(),
    "archive": _text(),
    "member": _text(),
    "label_member": _text(),
    "domain": _text(checks=pa.Check.isin(["single", "combo"])),
    "part": _text(checks=pa.Check.isin(["", "train", "val", "test"])),
    "group": _text(),
    "k_code": _text(),
    "edi_codes": _text(),
    "drug_name": _text(),
    "expected_pills": _whole(checks=pa.Check.ge(1)),
    "width": _whole(),
    "height": _whole(),
    "x": _number(),
    "y": _number(),
    "w": _number(checks=pa.Check.gt(0)),
    "h": _number(checks=pa.Check.gt(0)),
}
UNSEEN = ("unseen_val", "unseen_test")
"""Splits of drugs that the model never sees: one half to choose thresholds on, the other to measure on."""
_SPLIT = pa.Check.isin(["train", "val", "test"])
_ANY_SPLIT = pa.Check.isin(["train", "val", "test", *UNSEEN])
_SEEN_BEFORE_TEST = pa.Check.isin(["train", "val", "unseen_val"])
_NO_CLASS_UNSEEN = pa.Check(
    lambda table: (table["class_index"] == -1) == table["split"].isin(UNSEEN),
    name="class_index is -1 where, and only where, the drug is never seen",
)

PILLS = _schema(**_PILL)
"""One labelled pill a row, as `index_archive` found it, by photograph: boxes in pixels, width and height as the label
says (0 where it does not)."""

PLAN = _schema(**_PILL, split=_text(checks=_ANY_SPLIT))
"""The pills of the photographs that a stage uses, with their side of the split."""

ISSUES = _schema(
    archive=_text(),
    member=_text(),
    label_member=_text(),
    outcome=_text(checks=pa.Check.isin(["quarantined", "skipped", "repaired"])),
    reason=_text(checks=pa.Check.isin([*QUARANTINED, *SKIPPED, *REPAIRED])),
    detail=_text(),
)
"""What is not kept, or was repaired; a row without `label_member` is about the photograph itself."""

PHOTOS = _schema(
    image_id=_text(unique=True),
    sha256=_text(checks=pa.Check.str_length(64, 64)),
    phash=_text(checks=pa.Check.str_length(64, 64)),
    width=_whole(checks=pa.Check.ge(1)),
    height=_whole(checks=pa.Check.ge(1)),
    offset=_whole(),
    length=_whole(),
)
"""Prepared photographs: hash of the raw file, perceptual hash of the picture (256 bits in hexadecimal), native size,
place of the stored JPEG in `photos.bin`."""

CONTEXTS = _schema(
    image_id=_text(),
    label_member=_text(),
    x=_number(),
    y=_number(),
    w=_number(),
    h=_number(),
    left=_whole(),
    top=_whole(),
    offset=_whole(),
    length=_whole(),
)
"""Context crops at native resolution: the pill's box, the window's corner in the photograph, place in `crops.bin`."""

_LOOK = {
    "form": _text(),
    "shape": _text(),
    "colours": _text(),
    "imprint_front": _text(),
    "imprint_back": _text(),
}

LOOKS = _schema(k_code=_text(), **_LOOK, labels=_whole(checks=pa.Check.ge(1)))
"""How an archive's labels describe their drugs: one description a row, with the number of labels that say so."""

DRUGS = _schema(
    class_index=_whole(checks=pa.Check.ge(0), unique=True),
    k_code=_text(unique=True),
    edi_codes=_text(),
    drug_name=_text(),
    **_LOOK,
    train_pills=_whole(checks=pa.Check.ge(1)),
    val_pills=_whole(checks=pa.Check.ge(0)),
    test_pills=_whole(checks=pa.Check.ge(0)),
)
"""What people open to tell drugs apart: one class a row in class order, in the words of the source; empty where it
says nothing. Colours are separated by commas."""

MANIFEST = _schema(
    _NO_CLASS_UNSEEN,
    image_id=_text(),
    archive=_text(),
    member=_text(),
    label_member=_text(),
    domain=_text(),
    k_code=_text(),
    edi_codes=_text(),
    class_index=_whole(checks=pa.Check.ge(-1)),
    split=_text(checks=_ANY_SPLIT),
    group=_text(),
    width=_whole(),
    height=_whole(),
    x=_number(),
    y=_number(),
    w=_number(),
    h=_number(),
    sha256=_text(),
    drug_name=_text(),
    fully_labelled=pa.Column(bool, coerce=True),
)
"""What people open: one labelled pill a row; `class_index` is -1 for drugs that the model never sees."""

NEAR_DUPLICATES = _schema(
    first=_text(),
    first_split=_text(checks=_SPLIT),
    second=_text(),
    second_split=_text(checks=_SPLIT),
    distance=_whole(checks=pa.Check.ge(0)),
)
"""Photographs on two sides of the split that look alike: image_ids, and in how many bits their hashes differ."""
DETECTIONS = _schema(
    image_id=_text(),
    split=_text(checks=_SEEN_BEFORE_TEST),
    score=_number(checks=pa.Check.in_range(0, 1)),
    x=_number(),
    y=_number(),
    w=_number(checks=pa.Check.gt(0)),
    h=_number(checks=pa.Check.gt(0)),
)
"""What the detector found, one box a row, in pixels of the raw photograph; a photograph may have none."""

FINDINGS = _schema(
    image_id=_text(),
    archive=_text(),
    member=_text(),
    label_member=_text(),
    split=_text(checks=pa.Check.isin(["train", "val"])),
    domain=_text(),
    kind=_text(checks=pa.Check.isin(["detection_without_label", "label_without_detection"])),
    score=_number(nullable=True, checks=pa.Check.in_range(0, 1)),
    best_iou=_number(checks=pa.Check.in_range(0, 1)),
    x=_number(),
    y=_number(),
    w=_number(checks=pa.Check.gt(0)),
    h=_number(checks=pa.Check.gt(0)),
    k_code=_text(),
    fully_labelled=pa.Column(bool, coerce=True),
    suggested_k_codes=_text(),
    picture=_text(),
)
"""Where labels and detector disagree, one box a row, in the order in which a person should look.

`score` is that of the detection, or of the one that overlaps the label most, empty where none does; `best_iou` that
with the nearest box of the other side; `label_member` and `k_code` are empty for a detection, `suggested_k_codes` are
separated by commas.
"""

CROPS = _schema(
    _NO_CLASS_UNSEEN,
    pill_id=_text(),
    split=_text(checks=_SEEN_BEFORE_TEST),
    box_from=_text(checks=pa.Check.isin(["label", "detector"])),
    image_id=_text(),
    domain=_text(),
    k_code=_text(),
    class_index=_whole(checks=pa.Check.ge(-1)),
    iou=_number(checks=pa.Check.in_range(0, 1)),
    offset=_whole(),
    length=_whole(),
)
"""Crops for the classifier in the order in which they lie in `<split>.bin`; a pill has one from its labelled box and,
where the detector found it, one from the detected box."""


def make_table(rows: Iterable[Mapping[str, Any]], schema: pa.DataFrameSchema) -> pd.DataFrame:
    """Build a table from rows and check it; an empty one has the schema's columns all the same."""
    return check_table(pd.DataFrame(list(rows), columns=list(schema.columns)), schema, "rows")


def check_table(table: pd.DataFrame, schema: pa.DataFrameSchema, where: str | Path) -> pd.DataFrame:
    """Return the table with the schema's columns and types; raises `TableError` with every failure."""
    try:
        return schema.validate(table, lazy=True)
    except pa.errors.SchemaErrors as error:
        failures = error.failure_cases.head(10).to_string(index=False)
        raise TableError(f"{where}: the table breaks its contract (first failures):\n{failures}") from error


def write_table(table: pd.DataFrame, path: str | Path, schema: pa.DataFrameSchema) -> None:
    """Check and write Parquet or CSV (as `write_csv` has it), by the ending."""
    checked = check_table(table, schema, path)
    with replacing(path) as temporary:
        if Path(path).suffix == ".csv":
            _put_csv(checked, temporary)
        else:
            checked.to_parquet(temporary, index=False, row_group_size=ROW_GROUP)


def read_table(path: str | Path, schema: pa.DataFrameSchema, *, filters: list[tuple] | None = None) -> pd.DataFrame:
    """Read and check a table that `write_table` wrote; `filters` are pyarrow's and choose rows of a Parquet file."""
    if Path(path).suffix == ".csv":
        # texts stay as they are: an EDI code of digits is no number
        texts = {name: "str" for name, column in schema.columns.items() if str(column.dtype).startswith("str")}
        table = _each_text(pd.read_csv(path, encoding="utf-8-sig", keep_default_na=False, dtype=texts), as_given)
    else:
        table = pd.read_parquet(path, filters=filters)
    return check_table(table, schema, path)


def write_csv(table: pd.DataFrame, path: str | Path) -> None:
    """Write what people open: UTF-8 with byte-order mark, so that Excel shows Korean, and no cell that is a formula."""
    with replacing(path) as temporary:
        _put_csv(table, temporary)


def read_texts(path: str | Path, columns: Sequence[str] | None = None) -> pd.DataFrame:
    """All columns, or some, of a CSV file that `write_csv` wrote, as texts."""
    return _each_text(
        pd.read_csv(path, encoding="utf-8-sig", keep_default_na=False, dtype=str, usecols=columns), as_given
    )


def _put_csv(table: pd.DataFrame, path: Path) -> None:
    _each_text(table, defused).to_csv(path, index=False, encoding="utf-8-sig", lineterminator="\n")


def _each_text(table: pd.DataFrame, change: Callable[[str], str]) -> pd.DataFrame:
    columns = [name for name in table.columns if pd.api.types.is_string_dtype(table[name].dtype)]
    return table.assign(**{name: table[name].map(change) for name in columns})


def read_split(path: str | Path, split: str) -> pd.DataFrame:
    """Rows of one split of a manifest file, schema `MANIFEST`; `unseen.csv` holds two."""
    table = read_table(path, MANIFEST)
    return table[table["split"] == split].reset_index(drop=True)


def read_tables(paths: Sequence[str | Path], schema: pa.DataFrameSchema) -> pd.DataFrame:
    """Read Parquet tables of one schema one after the other into one, and check it."""
    tables = [read_columns(path, list(schema.columns)) for path in paths]
    return check_table(arrow.concat_tables(tables).to_pandas(), schema, f"{paths[0]} and {len(paths) - 1} more")


def read_columns(path: str | Path, columns: Sequence[str]) -> arrow.Table:
    """Some columns of a Parquet table that `write_table` wrote and checked, as Arrow: for tables of millions of rows.

    Raises `TableError` where the file lacks one.
    """
    missing = set(columns) - set(parquet.read_schema(path).names)
    if missing:
        raise TableError(f"{path}: has no column {', '.join(sorted(missing))}. Make the table again with its rule.")
    return parquet.read_table(path, columns=list(columns))
