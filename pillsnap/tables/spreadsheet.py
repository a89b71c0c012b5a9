"""Read tables in spreadsheets: XLS, XLSX, XLSB and ODS."""

import io
from collections.abc import Iterator
from datetime import date, datetime
from typing import Any

_MARKS = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0")
"""First bytes of a ZIP archive (XLSX, XLSB, ODS), and of a compound file (XLS)."""


class SpreadsheetError(ValueError):
    """Bytes that are no spreadsheet, or one without a row; the message says why, and names the cure."""


def is_spreadsheet(data: bytes) -> bool:
    """Whether a file's content is a spreadsheet's."""
    return data.startswith(_MARKS)


def read_rows(data: bytes) -> Iterator[tuple[int, tuple[str, ...]]]:
    """Read the rows of the first sheet that has any, the header first, each with its number; empty rows are none.

    Numbers become text without a needless fraction (`200611524.0` is a code), dates become ISO 8601.

    Raises:
        SpreadsheetError: the bytes are damaged, encrypted or no spreadsheet, or no sheet has a row.
    """
    for rows in _sheets(data):
        texts = ((number, tuple(_text(cell) for cell in row)) for number, row in enumerate(rows, start=1))
        filled = [(number, cells) for number, cells in texts if any(cells)]
        if filled:
            yield from filled
            return
    raise SpreadsheetError("no sheet of the spreadsheet has a row. Download it again.")


def _sheets(data: bytes) -> Iterator[list[list[Any]]]:
    from python_calamine import CalamineError, CalamineWorkbook

    try:
        with CalamineWorkbook.from_filelike(io.BytesIO(data)) as workbook:
            for name in workbook.sheet_names:
                # rows above and left of the first cell count, so that a row has the number that people see
                yield workbook.get_sheet_by_name(name).to_python(skip_empty_area=False)
    except CalamineError as error:
        raise SpreadsheetError(
            f"is no spreadsheet that can be read ({error}). Open it in a spreadsheet program and save the "
            "table as CSV UTF-8 or as XLSX, without a password."
        ) from error


def _text(cell: Any) -> str:
    if isinstance(cell, float) and cell.is_integer():
        return str(int(cell))
    if isinstance(cell, datetime) and not (cell.hour or cell.minute or cell.second):
        return cell.date().isoformat()
    return cell.isoformat() if isinstance(cell, date) else str(cell).strip()
