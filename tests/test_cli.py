"""What commands say where a part of the package is not installed, or a path cannot be used."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.catalogues import make_catalogue
from tests.support.dataset_runs import aihub_run
from tests.support.workflow import PROJECT

ENVIRONMENT = os.environ | {"PYTHONPATH": str(PROJECT)}


@pytest.mark.parametrize(
    ("missing", "words", "extra"),
    [
        ("onnxruntime", ["predict", __file__], "pillsnap[cpu]"),
        ("onnxruntime", ["serve"], "pillsnap[gpu]"),
        ("uvicorn", ["serve"], "pillsnap[serve]"),
        ("yaml", ["doctor"], "pillsnap[pipeline]"),
        ("yaml", ["trace", __file__], "pillsnap[pipeline]"),
        ("pandas", ["data", "summary"], "pillsnap[pipeline]"),
    ],
)
def test_a_missing_package_is_named_with_its_extra(missing: str, words: list[str], extra: str) -> None:
    code = f"import sys; sys.modules[{missing!r}] = None; from pillsnap.cli import run; run()"
    done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"{missing} is not installed. ")
    assert extra in done.stderr and done.stderr.count("\n") == 1


OUTPUTS = [
    ["catalogue", "search", "--imprint", "GN"],
    ["catalogue", "search", "--imprint", "GN", "--json"],
    ["catalogue", "search", "--imprint", "QQQQ"],
    ["catalogue", "import", "identification.csv"],
    ["--help"],
]


@pytest.mark.parametrize("words", OUTPUTS, ids=" ".join)
def test_an_output_that_cannot_be_written_ends_the_command(words: list[str], tmp_path: Path) -> None:
    """By the status that `predict` has, without a traceback, however the output is printed."""
    make_catalogue(tmp_path)
    command = [sys.executable, "-c", "from pillsnap.cli import run; run()", *words]
    how = {"cwd": tmp_path, "env": ENVIRONMENT, "stderr": subprocess.PIPE, "text": True, "check": False}
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(command, stdout=full, **how)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
    assert done.stderr.startswith("The output cannot be written: [Errno 28] No space left on device")
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(command, stdout=writer, **how)
    os.close(writer)
    assert (done.returncode, done.stderr) == (141, "")


RUN = [sys.executable, "-c", "from pillsnap.cli import run; run()"]


@pytest.mark.parametrize(
    "words",
    [
        *OUTPUTS,
        ["data", "check", "."],
        ["data", "summary"],
        ["diff", "a", "b"],
        ["doctor", "--json"],
        ["enrol", "--list"],
        ["evaluate", "."],
        ["monitor", "--once"],
        ["predict", "missing.jpg"],
        ["predict", "."],
        ["serve"],
        ["trace", "identification.csv"],
        ["verify", "HEAD"],
    ],
    ids=" ".join,
)
def test_a_closed_output_ends_the_command(words: list[str], tmp_path: Path) -> None:
    """Before anything is made, whether or not standard error is closed, too."""
    make_catalogue(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    how = {"cwd": tmp_path, "env": ENVIRONMENT, "capture_output": True, "text": True, "check": False}
    done = subprocess.run(["sh", "-c", '"$@" >&-', "sh", *RUN, *words], **how)
    assert (done.returncode, done.stderr) == (
        2,
        "Standard output is closed. Send it somewhere, such as to /dev/null.\n",
    )
    done = subprocess.run(["sh", "-c", '"$@" >&- 2>&-', "sh", *RUN, *words], **how)
    assert done.returncode == 2 and sorted(tmp_path.rglob("*")) == before


def test_a_closed_standard_error_ends_no_command(tmp_path: Path) -> None:
    how = {"cwd": tmp_path, "env": ENVIRONMENT, "capture_output": True, "text": True, "check": False}
    done = subprocess.run(["sh", "-c", '"$@" 2>&-', "sh", *RUN, "predict", "--json", "."], **how)
    assert done.returncode == 2 and json.loads(done.stdout)[0]["error"]["reason"] == "photo_missing"


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made")
    aihub_run(folder).build_manifest()
    return folder / "results"


@pytest.mark.parametrize("encoding", ["euc_kr", "latin-1"])
@pytest.mark.parametrize(
    "words",
    [
        ["catalogue", "search", "--imprint", "GN", "--json"],
        ["data", "summary", "--json", "--results", "RESULTS"],
        *(["predict", "알약", "--format", name] for name in ("json", "jsonl", "csv")),
    ],
    ids=" ".join,
)
def test_output_for_programs_is_utf8(words: list[str], encoding: str, results: Path, tmp_path: Path) -> None:
    make_catalogue(tmp_path)
    (tmp_path / "알약").mkdir()
    words = [str(results) if word == "RESULTS" else word for word in words]
    said = [
        subprocess.run(
            [*RUN, *words], cwd=tmp_path, env=ENVIRONMENT | {"PYTHONIOENCODING": name}, capture_output=True, check=False
        ).stdout
        for name in ("utf-8", encoding)
    ]
    assert said[0] == said[1] and re.search("[가-힣]", said[0].decode()) and b"\\u" not in said[0]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["catalogue", "import", "missing"], "missing: no such file or directory. Check the path"),
        (["catalogue", "import", "folder"], "folder: is a directory. Check the path"),
        (["serve", "--api-key-file", "missing"], "missing: no such file or directory. Check the path"),
        (["data", "check", "folder", "--write", "file"], "file: exists, and was kept. Give --write another name."),
        (["serve", "--host", "nohost.invalid"], "--host nohost.invalid: "),
        (["serve", "--host", "a..b"], "--host a..b: no name of a host. Name an address of this machine"),
        (
            ["enrol", "file", "--models", "file", "--out", "x", "--k-code", "K-1", "--name", "a"],
            "file: is a file. Name",
        ),
        (
            ["enrol", "--remove", "K-1", "--models", "file", "--out", "x"],
            "file: is a file. Name the folder that export",
        ),
        (["data", "check", "missing"], "missing: there is no folder of this name. Correct the path, or mount"),
    ],
)
def test_a_path_that_cannot_be_used_is_named_first(words: list[str], says: str, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    code = "from pillsnap.cli import run; run()"
    done = subprocess.run(
        [sys.executable, "-c", code, *words], cwd=tmp_path, env=ENVIRONMENT, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (2, "") and done.stderr.count("\n") == 1
    assert says in done.stderr and "Errno" not in done.stderr
