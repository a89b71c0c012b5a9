"""Where only a part of the package is installed, a command says which extra it needs."""

import subprocess
import sys

import pytest


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
