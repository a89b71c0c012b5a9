"""Tables as people have them: what is read of each, and that every row is kept or quarantined with its reason."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from openpyxl import Workbook

from pillsnap.catalogue.drug import Drug
from pillsnap.catalogue.import_tables import REASONS, import_tables
from pillsnap.catalogue.records import CatalogueError
from pillsnap.catalogue.store import open_catalogue, read_drugs
from pillsnap.files import sha256_of
from tests.support.catalogues import DRUGS, HEADER, make_catalogue, table_text, write_table, write_xls, write_xlsx
from tests.support.workflow import PROJECT


def drugs_of(path: Path) -> list[Drug]:
    with closing(open_catalogue(path)) as database:
        return read_drugs(database)


@pytest.mark.parametrize("encoding", ["cp949", "utf-8", "utf-8-sig", "utf-16"])
def test_open_data_are_read_in_any_encoding(tmp_path: Path, encoding: str) -> None:
    table = write_table(tmp_path / "table.csv", encoding)
    (imported,) = import_tables([table], tmp_path / "catalogue.sqlite")
    assert (imported.rows, imported.kept, imported.quarantined, imported.unread) == (4, 4, {}, {})
    first, second, third, fourth = drugs_of(tmp_path / "catalogue.sqlite")
    assert first == Drug(
        code_kind="item_seq", code="199900001", name="가나정 5mg", maker="가온누리제약", edi_codes=("643303740",),
        front="GN", back="5", shape="round", colours=("white",), score_line="cross",
        length=7.6, width=7.6, thickness=3.6,
    )  # fmt: skip
    assert second.colours == ("red", "transparent", "white") and second.score_line is None
    assert (third.colours, third.score_line, third.front) == (("pink",), "line", "마크V분할선T")
    assert fourth.length == 7.9


@pytest.mark.parametrize("write", [write_xls, write_xlsx])
def test_spreadsheets_give_the_same_drugs(tmp_path: Path, write: Callable[[Path], Path]) -> None:
    """Codes and sizes are numbers in them, `-` is as in the CSV, and what comes before the table is an empty sheet."""
    (imported,) = import_tables([write(tmp_path / "table")], tmp_path / "catalogue.sqlite")
    assert (imported.rows, imported.kept, imported.quarantined, imported.unread) == (4, 4, {}, {})
    make_catalogue(tmp_path / "csv")
    assert drugs_of(tmp_path / "catalogue.sqlite") == drugs_of(tmp_path / "csv/catalogue.sqlite")


def test_a_spreadsheet_without_a_row(tmp_path: Path) -> None:
    Workbook().save(tmp_path / "table.xlsx")
    with pytest.raises(CatalogueError, match="no sheet of the spreadsheet has a row"):
        import_tables([tmp_path / "table.xlsx"], tmp_path / "catalogue.sqlite")


def test_what_spreadsheets_make_of_it(tmp_path: Path) -> None:
    """Quoted cells, with separators, quotes and line breaks inside, and semicolons; empty cells instead of dashes."""
    (tmp_path / "table.csv").write_text(
        "품목일련번호;품목명;성상;표시앞;의약품제형;색상앞;분할선앞;크기장축\n"
        '"1";"가;나정";"한 면에 ""A""\n다른 면";"A";"원형";"하양, 투명";"-";"7,5"\n'
        "2;다정;;B;원형;;;0\n;;;;;;;\n\n",
        encoding="utf-8-sig",
    )
    (imported,) = import_tables([tmp_path / "table.csv"], tmp_path / "catalogue.sqlite")
    assert (imported.rows, imported.kept) == (2, 2)
    first, second = drugs_of(tmp_path / "catalogue.sqlite")
    assert (first.name, first.colours, first.length) == ("가;나정", ("transparent", "white"), 7.5)
    assert (first.score_line, second.score_line) == ("line", "none"), "no dash is for nothing, so a dash is a line"


def test_tables_of_the_united_states(tmp_path: Path) -> None:
    (tmp_path / "pillbox.tab").write_bytes(
        "medicine_name\tproduct_code\tsplimprint\tsplcolor_text\tsplshape_text\tsplsize\tsplscore\tauthor\n"
        "Lyrica® 75\t0071-1014\tPfizer;PGN;75\tORANGE;WHITE\tCAPSULE\t14\t1\tPfizer\n"
        "Other\t1\tX 1\tGRAY\tBULLET\t\t2\t\n".encode("cp1252")
    )
    import_tables([tmp_path / "pillbox.tab"], tmp_path / "catalogue.sqlite")
    first, second = drugs_of(tmp_path / "catalogue.sqlite")
    assert (first.name, first.code_kind, first.code) == ("Lyrica® 75", "ndc", "0071-1014")
    assert (first.front, first.back, first.shape, first.score_line) == ("Pfizer;PGN;75", "", "oblong", "none")
    assert (second.colours, second.shape, second.score_line, second.length) == (("grey",), "other", "line", None)


WESTERN = "ndc,name,imprint,color\n"
KOREAN = "ITEM_SEQ,ITEM_NAME,PRINT_FRONT,COLOR_CLASS1\n"
BROKEN = b"9,\xff\xfe\xff,C,\n"


@pytest.mark.parametrize(
    ("data", "names"),
    [
        ((WESTERN + "1,Levo 50µg tablet,A,\n").encode("cp1252"), ["Levo 50µg tablet"]),
        (
            (WESTERN + "1,Zürich 5 mg,A,\n2,Fosé®– Tylenol®.PM,B,\n").encode("cp1252"),
            ["Zürich 5 mg", "Fosé®– Tylenol®.PM"],
        ),
        ((WESTERN + "1,Åse,A,\n2,“Thé” ½,B,\n").encode("cp1252"), ["Åse", "“Thé” ½"]),
        ((KOREAN + "1,가나정 5mg,A,하양\n2,비타민C정,B,\n").encode("cp949"), ["가나정 5mg", "비타민C정"]),
        ((KOREAN + "1,뷁정 ㎍,A,하양\n2,다정,B,노랑\n").encode("cp949"), ["뷁정 ㎍", "다정"]),
        ("품목명,표시앞\n뷁a,A\n".encode("cp949"), ["뷁a"]),
        ((KOREAN + "1,가나정,A,하양\n2,다정,B,\n").encode("cp949") + BROKEN, ["가나정", "다정"]),
        ((KOREAN + "1,가나정,A,하양\n2,다정,B,\n").encode() + BROKEN, ["가나정", "다정"]),
        ((WESTERN + "1,Solução,A,\n").encode("cp1252"), ["Solução"]),
        ((WESTERN + "1,SOLUÇÃO Nº 2,A,\n2,ÇÃ,B,\n").encode("cp1252"), None),
        ((WESTERN + "1,가,A,\n2,나é정,B,\n").encode("cp949", errors="ignore") + b"3,\xb5g,D,\n", None),
    ],
)
def test_an_encoding_is_told_by_the_bytes_or_refused(tmp_path: Path, data: bytes, names: list[str] | None) -> None:
    (tmp_path / "table.csv").write_bytes(data)
    if names is None:
        with pytest.raises(
            CatalogueError, match=r"may be CP949 \(Korean\) or Windows-1252 .*save the table as CSV UTF-8"
        ):
            import_tables([tmp_path / "table.csv"], tmp_path / "catalogue.sqlite")
    else:
        import_tables([tmp_path / "table.csv"], tmp_path / "catalogue.sqlite")
        assert [drug.name for drug in drugs_of(tmp_path / "catalogue.sqlite")] == names


@pytest.mark.parametrize("encoding", ["utf-8", "cp949", "utf-16"])
@pytest.mark.parametrize(
    "rows",
    [
        ["품목명,표시앞,색상앞,비고", '가정,A1,하양,"첫 줄\n둘째 줄"', "나정,B2,노랑,y"],
        ["품목명,표시앞,색상앞,비고", '가정,A1,하양,"첫, 줄\n\n""둘째"", 줄"', "나정,B2,노랑,y"],
        ["품목명,표시앞,색상앞,비고", '가정,A1,하양,"첫 줄', '나정,B2,노랑,y"'],
        ['품목명,"표시\n앞",색상앞', "가정,A1,하양", "나정,B2,노랑"],
        ['"품목\n명";"표시\n앞";색상앞', "가정;A1;하양", "나정;B2;노랑"],
        ["표시앞,색상앞,품목명", 'A1,하양,"가\n정"', 'B2,노랑,"나정"'],
    ],
    ids=["last column", "quotes and separators", "quotes that open nothing", "header", "semicolons", "name"],
)
@pytest.mark.parametrize("ends", ["\n", "\r\n", "\r"])
def test_line_breaks_in_cells_and_any_line_ends(tmp_path: Path, encoding: str, rows: list[str], ends: str) -> None:
    (tmp_path / "table.csv").write_bytes(ends.join([*rows, ""]).encode(encoding))
    (imported,) = import_tables([tmp_path / "table.csv"], tmp_path / "catalogue.sqlite")
    assert (imported.rows, imported.kept) == (2, 2)
    drugs = drugs_of(tmp_path / "catalogue.sqlite")
    assert [(drug.name.replace(" ", ""), drug.front, drug.colours) for drug in drugs] == [
        ("가정", "A1", ("white",)),
        ("나정", "B2", ("yellow",)),
    ]


@pytest.mark.parametrize(
    "length",
    [
        "크기장축(mm)",
        '"크기 (장축)\n[mm]"',
        "크기장축[단위: ㎜]",
        "크기장축 mm",
        "LENG_LONG(mm)",
        "Length, mm",
        "size_mm",
    ],
)
@pytest.mark.parametrize("colour", ["색상(앞)", "색상 [앞]", "color"])
def test_columns_with_brackets_and_units_are_known(tmp_path: Path, length: str, colour: str) -> None:
    header = f"품목명;표시(앞);{length};{colour};비고;길이(cm);"
    (tmp_path / "table.csv").write_text(f"{header}\n가정;A;7.5;하양;x;0.75;\n", encoding="utf-8")
    (imported,) = import_tables([tmp_path / "table.csv"], tmp_path / "catalogue.sqlite")
    (drug,) = drugs_of(tmp_path / "catalogue.sqlite")
    assert (drug.front, drug.length, drug.colours) == ("A", 7.5, ("white",))
    assert (len(imported.used), imported.left_out) == (4, ["비고", "길이(cm)"])


def test_drugs_of_a_stage(tmp_path: Path) -> None:
    """Cells that a spreadsheet would run are escaped there, and read as they were."""
    (tmp_path / "drugs.csv").write_text(
        "class_index,k_code,edi_codes,drug_name,form,shape,colours,imprint_front,imprint_back,train_pills\n"
        '0,K-000114,"643303740,A01200351",가정 5mg,나정,장방형,"하양,노랑",\'-A1,,3\n',
        encoding="utf-8-sig",
    )
    import_tables([tmp_path / "drugs.csv"], tmp_path / "catalogue.sqlite")
    (drug,) = drugs_of(tmp_path / "catalogue.sqlite")
    assert (drug.code_kind, drug.code, drug.edi_codes) == ("k_code", "K-000114", ("643303740", "A01200351"))
    assert (drug.front, drug.colours, drug.score_line) == ("-A1", ("white", "yellow"), None)


def test_every_row_is_kept_or_quarantined(tmp_path: Path) -> None:
    good = table_text().encode("cp949")
    bad = [
        {"품목일련번호": "1", "표시앞": "A"},
        {"품목일련번호": "2", "품목명": "다정", "표시앞": "마크", "분할선앞": "+"},
        {
            "품목일련번호": "3",
            "품목명": "라정",
            "표시앞": "L",
            "색상앞": "무지개",
            "의약품제형": "구름",
            "크기장축": "99",
        },
        DRUGS[0],
    ]
    more = table_text(bad).encode("cp949").split(b"\r\n", 1)[1]
    (tmp_path / "table.csv").write_bytes(good + more + b"4,\xb0\xa1\r\n" + b"\xff\xff" * 40 + b"\r\n")
    (imported,) = import_tables([tmp_path / "table.csv"], tmp_path / "catalogue.sqlite")
    told = {"name_missing": 1, "looks_missing": 1, "duplicated": 1, "cells": 1, "undecodable": 1}
    assert (imported.rows, imported.kept, imported.quarantined) == (10, 5, told)
    assert imported.rows == imported.kept + imported.quarantined.total()
    assert imported.unread == {"colours": 1, "shape": 1, "length": 1}
    assert imported.examples["cells"] == "line 10: 4 | 가" and set(told) == set(REASONS)
    with closing(sqlite3.connect(tmp_path / "catalogue.sqlite")) as database:
        lines = database.execute("SELECT line, reason FROM quarantine ORDER BY line").fetchall()
        assert lines[0] == (6, "name_missing") and len(lines) == 5
        words = {words for (words,) in database.execute("SELECT words FROM unread")}
        assert words == {"무지개", "구름", "99"}
        assert database.execute("SELECT rows, kept, quarantined FROM source").fetchall() == [(10, 5, 5)]


def test_codes_that_a_spreadsheet_took_for_numbers(tmp_path: Path) -> None:
    rows = ["200611524.0,643303740.0", '2.00612E+08,"643303740,6.43E+08"', "0093-7214,A01200351", '4,"643,303,740"']
    lines = [f"{row},{name},{name}" for row, name in zip(rows, "ABCD", strict=True)]
    (tmp_path / "table.csv").write_text("\n".join(["item_seq,edi_codes,name,imprint", *lines]))
    (imported,) = import_tables([tmp_path / "table.csv"], tmp_path / "catalogue.sqlite")
    assert [(drug.code, drug.edi_codes) for drug in drugs_of(tmp_path / "catalogue.sqlite")] == [
        ("200611524", ("643303740",)),
        ("", ("643303740",)),
        ("0093-7214", ("A01200351",)),
        ("4", ()),
    ]
    assert imported.unread == {"item_seq": 1, "edi_codes": 2}


def test_several_tables_make_one_catalogue_always_the_same(tmp_path: Path) -> None:
    tables = [write_table(tmp_path / "a.csv"), write_table(tmp_path / "b.csv", rows=DRUGS[:2])]
    import_tables(tables, tmp_path / "first.sqlite")
    import_tables(tables, tmp_path / "second.sqlite")
    assert len(drugs_of(tmp_path / "first.sqlite")) == 6, "the same row of another table is another row"
    assert sha256_of(tmp_path / "first.sqlite") == sha256_of(tmp_path / "second.sqlite")
    import_tables(tables[1:], tmp_path / "first.sqlite")
    assert len(drugs_of(tmp_path / "first.sqlite")) == 2, "a newer catalogue takes the older one's place"


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "is empty"),
        (b"PK\x03\x04abc", "is no spreadsheet that can be read .*save the table as CSV"),
        (b"\xd0\xcf\x11\xe0abc", "is no spreadsheet that can be read"),
        (b"\n<table><tr>", "is neither CSV nor a spreadsheet"),
        (b"\xff\xd8\xff\xe0\x00\x10JFIF\x00", "is neither CSV nor a spreadsheet"),
        (b"a,b\n1,2\n", "no column of the first line tells the name"),
        ("의약품 목록\n품목명,모양\n가,원형\n".encode(), "The first line is: 의약품 목록. Where a title stands above"),
        ("품목명,크기장축\n가,1\n".encode("cp949"), "tells the front or back or imprint or shape or colours"),
        (HEADER.encode(), "no row can be read .*no rows"),
        ((HEADER + "\n1,2\n").encode(), "no row can be read .*'cells': 1"),
    ],
)
def test_what_is_no_such_table(tmp_path: Path, content: bytes, says: str) -> None:
    (tmp_path / "table.csv").write_bytes(content)
    with pytest.raises(CatalogueError, match=says):
        import_tables([tmp_path / "table.csv"], tmp_path / "catalogue.sqlite")
    assert [path.name for path in tmp_path.iterdir()] == ["table.csv"]


def test_another_file_is_never_replaced(tmp_path: Path) -> None:
    table = write_table(tmp_path / "table.csv")
    with pytest.raises(CatalogueError, match=r"is no catalogue.* exists, and was kept: name another file with --out"):
        import_tables([table], table)
    assert table.read_bytes() == table_text().encode("cp949")
    path = make_catalogue(tmp_path)
    with closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA user_version = 9")
    with pytest.raises(CatalogueError, match="a catalogue of version 9, not 1"):
        open_catalogue(path)
    (tmp_path / "folder").mkdir()
    with pytest.raises(
        CatalogueError, match=r"^\S+folder: is a folder, and no catalogue\. .* and was kept: name another"
    ):
        import_tables([table], tmp_path / "folder")
    with pytest.raises(CatalogueError, match="there is no such file"):
        open_catalogue(tmp_path / "nothing.sqlite")


def test_a_file_that_appears_meanwhile_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table, out = write_table(tmp_path / "table.csv"), tmp_path / "catalogue.sqlite"

    def hashed(path: Path) -> str:
        out.write_text("kept")
        return sha256_of(path)

    monkeypatch.setattr("pillsnap.catalogue.import_tables.sha256_of", hashed)
    with pytest.raises(CatalogueError, match=r"is no catalogue.* exists, and was kept: name another file with --out"):
        import_tables([table], out)
    assert out.read_text() == "kept"


def test_reasons_and_columns_are_documented() -> None:
    page = (PROJECT / "docs/catalogue.md").read_text(encoding="utf-8")
    assert all(f"\n| `{reason}` | {meaning} |" in page for reason, meaning in REASONS.items())
