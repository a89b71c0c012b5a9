"""What commands say where a part of the package is not installed, or a path cannot be used."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.catalogues import make_catalogue
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


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["catalogue", "import", "missing"], "missing: no such file or directory. Check the path"),
        (["catalogue", "import", "folder"], "folder: is a directory. Check the path"),
        (["serve", "--api-key-file", "missing"], "missing: no such file or directory. Check the path"),
        (["data", "check", "folder", "--write", "file"], "file: exists, and was kept. Give --write another name."),
        (["data", "check", "missing"], "no folder missing. Mount or fetch the data, or correct the path"),
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
