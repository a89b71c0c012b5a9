"""Formatters, linters and the type checker find nothing in any file."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.workflow import PROJECT

BIN = Path(sys.executable).parent
FORMS = sorted(path.relative_to(PROJECT).as_posix() for path in PROJECT.glob(".github/ISSUE_TEMPLATE/*.yml"))


@pytest.mark.parametrize(
    "words",
    [
        ("ruff", "check", "."),
        ("ruff", "format", "--check", "."),
        ("snakefmt", "--check", "Snakefile", "rules", "weights/Snakefile"),
        ("snakemake", "--lint"),
        ("mypy",),
        ("codespell",),
        ("pre-commit", "validate-config"),
        ("check-jsonschema", "--builtin-schema", "vendor.github-workflows", ".github/workflows/tests.yml"),
        ("check-jsonschema", "--builtin-schema", "vendor.github-issue-forms", *FORMS),
    ],
    ids=" ".join,
)
def test_checker_finds_nothing(words) -> None:
    done = subprocess.run([BIN / words[0], *words[1:]], cwd=PROJECT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
