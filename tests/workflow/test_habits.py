"""What runs on a commit and on GitHub is what the project has: hooks, make targets, files, commands."""

import ast
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

from pillsnap.cli import app
from tests.support import workflow as support
from tests.support.workflow import PROJECT

GITHUB = yaml.safe_load((PROJECT / ".github/workflows/tests.yml").read_text(encoding="utf-8"))["jobs"]["run"]
HOOKS = yaml.safe_load((PROJECT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))["repos"][0]["hooks"]
COMMANDS = {entry["name"]: entry["command"] for entry in GITHUB["strategy"]["matrix"]["include"]}


@pytest.mark.parametrize("hook", HOOKS, ids=lambda hook: hook["id"])
def test_hook_runs_a_tool_of_the_environment(hook: dict[str, Any]) -> None:
    program, *options = shlex.split(hook["entry"])
    assert hook["language"] == "system"
    done = subprocess.run(
        [Path(sys.executable).parent / program, *options, "--help"], cwd=PROJECT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_github_runs_what_ci_runs() -> None:
    """The two commands of `.ci/run`, and the pipeline by DVC."""
    local = re.findall(r"^make \w+$", (PROJECT / ".ci/run").read_text(encoding="utf-8"), re.MULTILINE)
    assert [name for name in COMMANDS if name.startswith("make ")] == local
    for command in (*local, *(step["run"] for step in GITHUB["steps"] if step.get("run", "").startswith("make "))):
        done = subprocess.run([*shlex.split(command), "--dry-run"], cwd=PROJECT, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    assert GITHUB["steps"][-1]["run"].splitlines() == ["source .venv/bin/activate", "${{ matrix.command }}"]


def test_github_makes_a_stage_in_a_copy_of_tiny_size() -> None:
    copy, _, repro = COMMANDS["dvc repro"].splitlines()
    imports, *_ = ast.parse(shlex.split(copy)[2]).body[1:]
    assert isinstance(imports, ast.ImportFrom) and imports.module == support.__name__
    assert all(hasattr(support, alias.name) for alias in imports.names) and hasattr(support.Workflow, "copy_to")
    stages = yaml.safe_load((PROJECT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
    stage, item = shlex.split(repro)[-1].split("@")
    assert item in stages[stage]["foreach"]


def test_github_keeps_the_environment_by_its_lock() -> None:
    (cache,) = [step for step in GITHUB["steps"] if step.get("uses", "").startswith("actions/cache@")]
    keyed = re.findall(r"'([^']+)'", cache["with"]["key"])
    made = re.search(r"^(\.venv/installed): (.*)$", (PROJECT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    assert set(keyed) == set(made[2].split()), "a change of what the environment is made from must miss the cache"
    assert all((PROJECT / name).is_file() for name in keyed)
    (kept,) = [step for step in GITHUB["steps"] if "cache-hit" in step.get("if", "")]
    assert kept["run"] == f"touch {made[1]}" and f"steps.{cache['id']}." in kept["if"]


@pytest.mark.parametrize("form", ["bug", "feature"])
def test_issue_form_asks_for_the_doctor(form: str) -> None:
    fields = yaml.safe_load((PROJECT / f".github/ISSUE_TEMPLATE/{form}.yml").read_text(encoding="utf-8"))["body"]
    (doctor,) = [field for field in fields if field.get("id") == "doctor"]
    _, command, option = re.search(r"`([^`]+)`", doctor["attributes"]["label"])[1].split()
    parameters = typer.main.get_command(app).commands[command].params
    assert [parameter for parameter in parameters if option in parameter.opts]
    assert doctor["attributes"]["render"] == "json"
