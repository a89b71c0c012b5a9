"""Formatters and linters agree with every file."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.workflow import PROJECT

BIN = Path(sys.executable).parent


@pytest.mark.parametrize(
    "words",
    [
        ("ruff", "check", "."),
        ("ruff", "format", "--check", "."),
        ("snakefmt", "--check", "Snakefile", "rules"),
        ("snakemake", "--lint"),
    ],
    ids=" ".join,
)
def test_checker_finds_nothing(words) -> None:
    done = subprocess.run([BIN / words[0], *words[1:]], cwd=PROJECT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
