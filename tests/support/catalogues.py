"""Invented drugs in a table as Korea's open data of identification marks is downloaded, and catalogues of it."""

from collections.abc import Sequence
from pathlib import Path

import openpyxl
import xlwt

from pillsnap.catalogue.import_tables import import_tables
from pillsnap.catalogue.search import Catalogue

HEADER = (
    "품목일련번호,품목명,업소일련번호,업소명,성상,큰제품이미지,표시앞,표시뒤,의약품제형,색상앞,색상뒤,분할선앞,분할선뒤,크기장축,크기단축,"
    "크기두께,이미지생성일자(약학정보원),분류번호,분류명,전문일반구분,품목허가일자,제형코드명,표기내용앞,표기내용뒤,표기이미지앞,표기이미지뒤,"
    "표기코드앞,표기코드뒤,변경일자,사업자번호,품목영문명,보험코드"
)
COLUMNS = HEADER.split(",")
DRUGS: tuple[dict[str, str], ...] = (
    {"품목일련번호": "199900001", "품목명": "가나정 5mg", "업소명": "가온누리제약", "표시앞": "GN", "표시뒤": "5",
     "의약품제형": "원형", "색상앞": "하양", "분할선뒤": "+", "크기장축": "7.6", "크기단축": "7.6", "크기두께": "3.6",
     "보험코드": "643303740"},
    {"품목일련번호": "199900002", "품목명": "다라캡슐", "업소명": "새빛헬스팜", "표시앞": "8B50", "표시뒤": "SI",
     "의약품제형": "장방형", "색상앞": "빨강|투명", "색상뒤": "하양", "크기장축": "19.4", "크기단축": "6.9",
     "성상": "상부빨강|하부하양의경질캡슐제"},
    {"품목일련번호": "199900003", "품목명": "마바정", "표시앞": "마크V분할선T", "의약품제형": "타원형",
     "색상앞": "분홍|진한", "표기내용앞": "HM", "성상": "한면에“SZ\"와다른한면에새겨진정제"},
    {"품목일련번호": "199900004", "품목명": "사아정", "표시앞": "MW6", "의약품제형": "팔각형", "색상앞": "노랑",
     "크기장축": "7.9mm", "성상": "\"MW\"가음각된정제"},
)  # fmt: skip
"""Rows; what is left out is `-` in the file. Quotes that no other one matches are as in the real file."""


def table_text(rows: Sequence[dict[str, str]] = DRUGS) -> str:
    """The text of the file."""
    return "\r\n".join([HEADER, *(",".join(row.get(column, "-") for column in COLUMNS) for row in rows), ""])


def write_table(path: Path, encoding: str = "cp949", rows: Sequence[dict[str, str]] = DRUGS) -> Path:
    """Write the file."""
    # cp949 has no code for some quotation marks of other encodings; these it has
    path.write_bytes(table_text(rows).encode(encoding))
    return path


def _cells() -> list[list[str | float]]:
    rows = [[_cell(column, row.get(column, "-")) for column in COLUMNS] for row in DRUGS]
    return [list(COLUMNS), *rows]


def _cell(column: str, text: str) -> str | float:
    return float(text) if column in ("품목일련번호", "크기장축", "보험코드") and text[-1].isdigit() else text


def write_xls(path: Path) -> Path:
    """Write the table as Excel 97 does, behind an empty sheet."""
    workbook = xlwt.Workbook()
    workbook.add_sheet("empty")
    sheet = workbook.add_sheet("drugs")
    for number, row in enumerate(_cells()):
        for column, cell in enumerate(row):
            sheet.write(number, column, cell)
    workbook.save(path)
    return path


def write_xlsx(path: Path) -> Path:
    """Write the table as newer ones do."""
    workbook = openpyxl.Workbook()
    sheet = workbook.create_sheet("drugs")
    for row in _cells():
        sheet.append(row)
    workbook.save(path)
    return path


def make_catalogue(folder: Path) -> Path:
    """A catalogue of `DRUGS`."""
    folder.mkdir(exist_ok=True)
    import_tables([write_table(folder / "identification.csv")], folder / "catalogue.sqlite")
    return folder / "catalogue.sqlite"


def opened_catalogue(folder: Path) -> Catalogue:
    """Likewise, in memory."""
    return Catalogue(make_catalogue(folder))
