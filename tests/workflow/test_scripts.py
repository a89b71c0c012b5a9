"""Rules, scripts and functions: one name for three things, and a log that is open before anything can fail."""

import ast
import importlib
import inspect
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from pillsnap.workflow.log import job_log
from pillsnap.workflow.rules import RULES
from tests.support.workflow import PROJECT

SCRIPTS = sorted((PROJECT / "scripts").glob("*.py"))
TRAININGS = ("train_detector", "train_classifier")


def rules() -> dict[str, str]:
    """Name and text of every rule in `rules/`."""
    text = "\n".join(path.read_text(encoding="utf-8") for path in sorted((PROJECT / "rules").glob("*.smk")))
    parts = re.split(r"^[ \t]*rule (\w+):[ \t]*$", text, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def test_every_rule_has_its_script_and_every_script_its_rule() -> None:
    assert {path.stem for path in SCRIPTS} == set(rules())


@pytest.mark.parametrize("name", rules())
def test_rule_runs_the_script_of_its_name(name: str) -> None:
    named = re.findall(r"scripts/(\w+)\.py", rules()[name])
    assert set(named) == {name}


@pytest.mark.parametrize("name", rules())
def test_rule_has_docstring_log_and_duration(name: str) -> None:
    text = rules()[name]
    assert text.lstrip().startswith('"""')
    for key in ("log:", "benchmark:", "conda:", "record=", *(["code="] if name != "check_machine" else [])):
        assert key in text, f"rule {name} has no {key}"


def test_report_knows_every_rule_but_its_own() -> None:
    assert set(RULES) == set(rules()) - {"write_report"}
    assert len(RULES) == len(set(RULES))


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_script_opens_its_log_first_and_is_short(script: Path) -> None:
    """Before the log is open, only the modules that open it are imported; all else happens inside."""
    text = script.read_text(encoding="utf-8")
    docstring, *before, body = ast.parse(text).body
    assert isinstance(docstring, ast.Expr)
    assert isinstance(docstring.value, ast.Constant)
    assert docstring.value.value.startswith(f"Rule {script.stem}: ")
    imported = {node.module for node in before if isinstance(node, ast.ImportFrom)}
    assert imported in ({"pillsnap.workflow.job"}, {"pillsnap.workflow.command_line"})
    assert not any(isinstance(node, ast.Import) for node in before)
    assert isinstance(body, ast.With)
    assert body.items[0].context_expr.func.id in ("job", "worded_job")
    assert len(text.splitlines()) <= 25


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_script_calls_the_function_of_its_name(script: Path) -> None:
    """It is imported from the package, takes keywords alone, and every keyword that the script writes is one of its."""
    tree = ast.parse(script.read_text(encoding="utf-8"))
    homes = [node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) for one in node.names
             if one.name == script.stem]  # fmt: skip
    assert len(homes) == 1
    function = getattr(importlib.import_module(homes[0]), script.stem)
    parameters = inspect.signature(function).parameters
    assert all(parameter.kind is inspect.Parameter.KEYWORD_ONLY for parameter in parameters.values())
    calls = [
        node for node in ast.walk(tree) if isinstance(node, ast.Call) and getattr(node.func, "id", "") == script.stem
    ]
    assert len(calls) == 1
    assert not calls[0].args
    assert {word.arg for word in calls[0].keywords if word.arg} <= set(parameters)


def run(name: str, *words: str) -> subprocess.CompletedProcess:
    command = [sys.executable, str(PROJECT / "scripts" / f"{name}.py"), *words]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("name", TRAININGS)
def test_training_scripts_explain_themselves(name: str) -> None:
    done = run(name, "--help")
    assert done.returncode == 0
    assert f"python scripts/{name}.py" in done.stdout, "the help opens with a command that can be copied"
    assert "--settings" in done.stdout


def test_failing_training_script_leaves_its_reason_in_the_log(tmp_path: Path) -> None:
    names = ("crops", "classes", "best", "history", "events", "resources", "record", "work")
    paths = [word for name in names for word in (f"--{name}", str(tmp_path / name))]
    done = run("train_classifier", *paths, "--settings", '{"epochs": 0}', "--log", str(tmp_path / "job.log"))
    assert done.returncode == 1
    for text in (done.stderr, (tmp_path / "job.log").read_text(encoding="utf-8")):
        assert "Traceback" in text
        assert "greater than or equal to 1" in text


@pytest.mark.parametrize("words", [[], ["--crops", "x"], ["--no-such-word", "1"]])
def test_training_script_refuses_other_words(words: list[str]) -> None:
    assert run("train_classifier", *words).returncode == 2


def test_log_has_messages_and_the_whole_error(tmp_path: Path) -> None:
    code = f"""
import logging
from pillsnap.job_log import job_log
with job_log({json.dumps(str(tmp_path / "logs" / "job.log"))}):
    logging.getLogger("pillsnap").info("정 1")
    import no_such_module
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    written = (tmp_path / "logs" / "job.log").read_text(encoding="utf-8")
    assert done.returncode == 1
    for text in (written, done.stderr):
        assert "정 1" in text
        assert "ModuleNotFoundError: No module named 'no_such_module'" in text
    assert re.match(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} 정 1\n", written)


def test_log_needs_the_standard_library_alone() -> None:
    names = set(sys.stdlib_module_names)
    for module in ("job_log", "job", "job_words"):
        body = ast.parse((PROJECT / "pillsnap" / f"{module}.py").read_text(encoding="utf-8")).body
        imported = {alias.name for node in body if isinstance(node, ast.Import) for alias in node.names}
        imported |= {node.module for node in body if isinstance(node, ast.ImportFrom)} - {job_log.__module__}
        assert {name.split(".")[0] for name in imported} <= names
