"""`pillsnap catalogue`: the commands of docs/catalogue.md run, and say what became of each row."""

import errno
import json
import shlex
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

from pillsnap.catalogue.records import CatalogueError
from pillsnap.catalogue.search import Catalogue
from pillsnap.cli import app
from tests.support.catalogues import DRUGS, make_catalogue, write_table
from tests.support.documents import FENCE, fenced_commands, text_of
from tests.support.workflow import PROJECT

PAGE = "docs/catalogue.md"
COMMANDS = [command for command in fenced_commands(PAGE) if command.startswith("pillsnap catalogue")]


def run(*words: str) -> Result:
    return CliRunner().invoke(app, ["catalogue", *words], env={"COLUMNS": "160"})


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the tables that the documents name, and the catalogue that their first command makes."""
    found = tmp_path_factory.mktemp("documented")
    (found / "data").mkdir()
    write_table(found / "data/identification.csv")
    (found / "data/pillbox.csv").write_text("ndc,name,imprint,colour,shape\n0071-1014,Any,PGN 75,orange,capsule\n")
    stage = found / "results/stage4/manifest"
    stage.mkdir(parents=True)
    (stage / "drugs.csv").write_text("k_code,drug_name,shape,colours,imprint_front\nK-000114,가정,원형,하양,IDG\n")
    return found


def test_documented_commands_run(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    assert len(COMMANDS) > 3
    for command in COMMANDS:
        done = run(*shlex.split(command)[2:])
        assert done.exit_code == 0, done.output
        assert "drugs\n" in done.output if " import " in command else "a look-up is no answer" in done.output
    (example,) = [block for language, block in FENCE.findall(text_of(PAGE)) if language == "python"]
    exec(example, {})


def test_every_option_has_a_row() -> None:
    search = typer.main.get_command(app).commands["catalogue"].commands["search"]
    options = {option for each in search.params for option in each.opts}
    assert [option for option in options - {"--help"} if f"`{option}" not in text_of(PAGE)] == []


def test_import_says_what_became_of_each_row(tmp_path: Path) -> None:
    rows = [*DRUGS, {"품목일련번호": "1", "표시앞": "A"}, {"품목명": "라정", "표시앞": "L", "색상앞": "무지개"}]
    table = write_table(tmp_path / "table.csv", rows=rows)
    done = run("import", str(table), "--out", str(tmp_path / "catalogue.sqlite"))
    account, used, left_out, refused, unread, written = done.output.splitlines()
    assert account == "table.csv: 6 rows = 5 kept + 1 quarantined"
    assert used.startswith("  columns used: 품목일련번호, 품목명, 업소명, 표시앞, ") and used.endswith(", 보험코드")
    assert left_out.startswith("  columns left out: 업소일련번호, 성상, ") and left_out.endswith(", 품목영문명")
    assert refused.startswith("  quarantined 1 name_missing: The drug has no name. (line 6: 1 | -")
    assert unread == "  not understood, and left empty: 1 of colours (line 7: 무지개)"
    assert written == f"{tmp_path / 'catalogue.sqlite'}: written, 5 drugs"


def test_columns_that_fill_no_line_are_counted(tmp_path: Path) -> None:
    more = ",".join(f"more {number}" for number in range(30))
    (tmp_path / "table.csv").write_text(f"name,imprint,{more}\nany,A{',' * 30}\n")
    done = run("import", str(tmp_path / "table.csv"), "--out", str(tmp_path / "catalogue.sqlite"))
    assert done.output.splitlines()[1] == "  columns used: name, imprint"
    assert done.output.splitlines()[2].endswith("more 22, more 23 and 6 more")


def test_search_prints_a_table_or_json(tmp_path: Path) -> None:
    path = str(make_catalogue(tmp_path))
    done = run("search", "--catalogue", path, "--imprint", "6N", "--colour", "white", "--length", "7.5")
    assert "가나정 5mg" in done.output and "GN / 5" in done.output and "199900001" in done.output
    assert "다라캡슐" not in done.output and "a look-up is no answer" in done.output
    found = json.loads(run("search", "--catalogue", path, "--imprint", "SI-8B50", "--json").output)
    assert found["read"]["imprint"] == "SI8B50" and "no answer" in found["notice"]
    assert [(each["drug"]["name"], each["score"]) for each in found["alike"]] == [("다라캡슐", 0)]
    none = run("search", "--catalogue", path, "--imprint", "QQQQ")
    assert none.exit_code == 0 and none.output.startswith("No drug of the catalogue looks like this.")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["search", "--catalogue", "no.sqlite", "--imprint", "A"], "no.sqlite: there is no such file. Make one"),
        (["search", "--catalogue", "no.sqlite"], "Nothing to look up"),
        (["search", "--colour", "puce"], "is not known. Give one of"),
        (["search", "--colour", "white,red,blue"], "names 3. Give the one or two"),
        (["import", "nothing.csv"], "nothing.csv: no such file or directory. Check the path"),
    ],
)
def test_errors_exit_with_status_2(
    words: list[str], says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = run(*words)
    assert (done.exit_code, done.stdout) == (2, "") and says in done.stderr
    assert list(tmp_path.iterdir()) == []


def _overwrite(text: bytes, other: bytes) -> Callable[[bytes], bytes]:
    """Change of a file's bytes that SQLite does not notice."""
    assert len(text) == len(other)
    return lambda data: data.replace(text, other)


DAMAGES: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "cut off": (lambda data: data[:-4096], "is no catalogue. Make one"),
    "a page of zeros": (lambda data: data[:8192] + bytes(4096) + data[12288:], "is damaged"),
    "its schema": (_overwrite(b"CREATE TABLE drug", b"CREATE TABLE grud"), "is damaged (malformed database schema"),
    "a text": (_overwrite("가나정".encode(), b"\xff" * 9), "is damaged (Could not decode to UTF-8"),
    "a list": (_overwrite(b'["643303740"]', b'["643303740" '), "is damaged (Expecting"),
    "its header": (lambda data: bytes(100) + data[100:], "is no catalogue. Make one"),
}


@pytest.mark.parametrize(("damage", "says"), DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_catalogue_is_told(damage: Callable[[bytes], bytes], says: str, tmp_path: Path) -> None:
    path = make_catalogue(tmp_path)
    path.write_bytes(damage(path.read_bytes()))
    (tmp_path / "photo.png").write_bytes(b"no matter")
    for words in (
        ["catalogue", "search", "--imprint", "GN"],
        ["predict", str(tmp_path / "photo.png")],
        ["serve", "--port", "0"],
    ):
        done = CliRunner().invoke(app, [*words, "--catalogue", str(path)])
        assert (done.exit_code, done.stdout) == (2, "") and f"{path}: {says}" in done.stderr, words


def test_imprints_of_drugs_that_are_not_there_are_damage(tmp_path: Path) -> None:
    path = make_catalogue(tmp_path)
    with closing(sqlite3.connect(path)) as database:
        database.execute("DELETE FROM drug WHERE id = 4")
        database.commit()
    with pytest.raises(CatalogueError, match=r"is damaged \(its tables do not fit together\)"):
        Catalogue(path)


def test_a_catalogue_that_may_not_be_read_is_no_damage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path, mode: str) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    path = make_catalogue(tmp_path)
    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(CatalogueError, match=r"catalogue\.sqlite: cannot be read \(Permission denied\)\. Check who"):
        Catalogue(path)


def test_nothing_heavy_is_loaded(tmp_path: Path) -> None:
    """A look-up needs what `pillsnap predict` needs, without ONNX Runtime."""
    make_catalogue(tmp_path)
    code = (
        "import sys; from pillsnap.cli import app\n"
        "app(['catalogue', 'search', '--catalogue', sys.argv[1], '--imprint', 'GN'], standalone_mode=False)\n"
        "heavy = {'torch', 'pandas', 'onnxruntime', 'fastapi', 'pyarrow'} & set(sys.modules)\n"
        "sys.exit(', '.join(heavy) or 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "catalogue.sqlite")], cwd=PROJECT, capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (0, "") and "GN / 5" in done.stdout
