"""Tables of class names: what a source calls a drug becomes its K-code."""

import re
from pathlib import Path

import pytest
from openpyxl import Workbook

from pillsnap.manifest.index_archive import index_archive
from pillsnap.sources.archives import SourceError
from pillsnap.sources.class_table import NamedDrug, read_class_table
from pillsnap.sources.registry import list_archives
from pillsnap.sources.settings import Source
from pillsnap.tables.files import read_table
from pillsnap.tables.schemas import ISSUES, PILLS
from tests.support.yolo_files import write_yolo_set

HEAD = "name,k_code,edi_codes,drug_name\n"


@pytest.mark.parametrize("separator", [";", "\t"])
def test_cells_may_be_separated_as_spreadsheets_do(tmp_path, separator) -> None:
    rows = [("name", "k_code", "edi_codes"), ("red, round", "K-000001", '"1;2"'), ("blue", "", "3,4")]
    (tmp_path / "table.csv").write_text("".join(f"{separator.join(row)}\n" for row in rows), encoding="utf-8-sig")
    found = read_class_table(tmp_path / "table.csv")
    assert found["red, round"] == NamedDrug("K-000001", "1,2", "red, round")
    assert found["blue"] == NamedDrug("blue", "3,4", "blue")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp949"])
def test_a_table_names_drugs(tmp_path: Path, encoding: str) -> None:
    rows = '타이레놀,K-000114,"643303740,A01200351",타이레놀정\r\n\r\nred pill,,,\r\n" blue ",K-000115,1;2 3.0,\r\n'
    (tmp_path / "drugs.csv").write_bytes((HEAD + rows).encode(encoding))
    assert read_class_table(tmp_path / "drugs.csv") == {
        "타이레놀": NamedDrug("K-000114", "643303740,A01200351", "타이레놀정"),
        "red pill": NamedDrug("red pill", "", "red pill"),
        "blue": NamedDrug("K-000115", "1,2,3", "blue"),
    }


@pytest.mark.parametrize("ending", ["xlsx", "csv"])
def test_a_spreadsheet_serves_as_well_whatever_its_name_ends_in(tmp_path: Path, ending: str) -> None:
    book = Workbook()
    for row in (["name", "k_code", "edi_codes", None], ["빨강", "K-000114", 643303740, None], [None], ["blue", None]):
        book.active.append(row)
    book.active.cell(9, 6, " ")
    book.save(tmp_path / "drugs.xlsx")
    (tmp_path / "drugs.xlsx").rename(tmp_path / f"drugs.{ending}")
    assert read_class_table(tmp_path / f"drugs.{ending}") == {
        "빨강": NamedDrug("K-000114", "643303740", "빨강"), "blue": NamedDrug("blue", "", "blue"),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, "there is no table of classes of this name. Correct the path."),
        (b"PK\x03\x04abc", "drugs.csv: is no spreadsheet that can be read"),
        (b"\xff\xd8\xff\xe0\x00\x10JFIF\x00\x81", "cannot be read as a table of classes"),
    ],
)
def test_what_is_no_table_is_told(tmp_path: Path, content: bytes | None, says: str) -> None:
    if content is not None:
        (tmp_path / "drugs.csv").write_bytes(content)
    with pytest.raises(SourceError, match=re.escape(says)):
        read_class_table(tmp_path / "drugs.csv")


def test_names_of_a_western_spreadsheet_stay_what_they_are(tmp_path: Path) -> None:
    (tmp_path / "drugs.csv").write_bytes((HEAD + "café,K-000114,,Solução 5 µg\r\n").encode("cp1252"))
    assert read_class_table(tmp_path / "drugs.csv") == {"café": NamedDrug("K-000114", "", "Solução 5 µg")}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "has the columns none. It must be CSV or a spreadsheet"),
        ("class,code\n", "has the columns class, code. It must be CSV"),
        ("name,k_code,k_code\n", "has the columns name, k_code, k_code"),
        ("name,k_code\nred,K-114\n", "line 2: name 'red', k_code 'K-114'. A row names a class"),
        ("name,k_code\nred,K-000114\n,K-000115\n", "line 3: name '', k_code 'K-000115'"),
        ("name,k_code\n\nred,K-000114\nred,K-000115\n", "line 4: the class 'red' has a row above"),
        ("name,k_code\ncafe\u0301,\ncaf\u00e9,\n", "line 3: the class 'caf\u00e9' has a row above"),
        ("name,k_code\nred\n", "line 2: has 1 cells, and 2 columns are named above"),
        ("name,k_code\nred,K-000114,1\n", "line 2: has 3 cells"),
        ('name,k_code\n"red,K-000114\n', "cannot be read as a table of classes"),
        ("name,k_code,edi_codes\nred,,6.43E+08\n", "line 2: the EDI code 6.43E+08 is a number that"),
        ('name,k_code,edi_codes\nred,,"643,303,740"\n', "line 2: the EDI code 643,303,740 is a number that"),
        ("name,k_code\nre\x07d,\n", "line 2: name 're\\x07d'"),
    ],
)
def test_what_is_malformed_is_refused_with_its_line(tmp_path: Path, text: str, says: str) -> None:
    (tmp_path / "drugs.csv").write_text(text, encoding="utf-8")
    with pytest.raises(SourceError) as error:
        read_class_table(tmp_path / "drugs.csv")
    assert says in str(error.value)


def indexed(folder: Path, table: str) -> dict[str, Path]:
    photos = {
        "a": "0 0.3 0.3 0.2 0.2\n1 0.7 0.7 0.2 0.2\n",
        "b": "2 0.5 0.5 0.3 0.3\n",
        "c": "0 0.5 0.5 0.3 0.3\n1 0.5 0.5 0.3 0.3\n",
    }
    write_yolo_set(folder, names=["red", "scarlet", "K-000500"], parts={"train": photos})
    (folder / "drugs.csv").write_text(table)
    source = Source(kind="yolo", root=str(folder), classes=str(folder / "drugs.csv"))
    archive = list_archives(source)["train"]
    assert f"{folder}/drugs.csv" in archive.descriptions
    paths = {name: folder / name for name in ("pills", "backgrounds", "looks", "issues", "counts")}
    index_archive(kind="yolo", archive=archive, **paths)
    return paths


def test_labels_get_the_tables_drugs(tmp_path: Path) -> None:
    paths = indexed(tmp_path, HEAD + "red,K-000114,123,Red\nscarlet,K-000114,,Scarlet\n")
    pills = read_table(paths["pills"], PILLS)
    assert pills[["k_code", "edi_codes", "drug_name"]].values.tolist() == [
        ["K-000114", "123", "Red"],
        ["K-000114", "", "Scarlet"],
        ["K-000500", "", "K-000500"],
        ["K-000114", "123", "Red"],
    ]
    # two names of one drug around one pill are one label too many, and no contradiction
    assert read_table(paths["issues"], ISSUES)["reason"].tolist() == ["label_duplicated"]


def test_classes_without_a_row_are_all_named(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"drugs\.csv: has no row for 2 classes of train: red, scarlet\. Add a row"):
        indexed(tmp_path, "name,k_code\nblue,K-000115\n")


def test_a_table_is_looked_at_before_the_first_job(tmp_path: Path) -> None:
    write_yolo_set(tmp_path, names=["red"], parts={"train": {"a": "0 0.5 0.5 0.3 0.3\n"}})
    with pytest.raises(SourceError, match=r"nowhere\.csv: there is no table of classes"):
        list_archives(Source(kind="yolo", root=str(tmp_path), classes=str(tmp_path / "nowhere.csv")))
