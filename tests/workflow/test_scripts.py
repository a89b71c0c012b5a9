"""Rules, scripts and functions: one name for three things, and a log that is open before anything can fail."""

import ast
import importlib
import inspect
import json
import logging
import re
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from pillsnap.config.training import Classifier
from pillsnap.files import read_json, sha256_of
from pillsnap.workflow.arithmetic import keep_portable
from pillsnap.workflow.command_line import job_arguments, logged_job
from pillsnap.workflow.log import job_log
from pillsnap.workflow.rules import RULES
from tests.support.workflow import PROJECT

SCRIPTS = sorted((PROJECT / "scripts").glob("*.py"))
BY_SHELL = ("check_machine", "train_detector", "train_classifier")
"""Rules that start their script by `shell:`; the others by `script:`."""


def rules(files: Iterable[Path]) -> dict[str, str]:
    """Name and text of every rule that runs something."""
    text = "\n".join(path.read_text(encoding="utf-8") for path in sorted(files))
    parts = re.split(r"^[ \t]*rule (\w+):[ \t]*$", text, flags=re.MULTILINE)
    return {name: body for name, body in zip(parts[1::2], parts[2::2], strict=True) if name != "all"}


PIPELINE = rules((PROJECT / "rules").glob("*.smk"))
PRETRAINING = rules([PROJECT / "weights/Snakefile"])
EVERY = [*PIPELINE.items(), *PRETRAINING.items()]
NAMES = [*PIPELINE, *(f"weights: {name}" for name in PRETRAINING)]


def test_every_rule_has_its_script_and_every_script_its_rule() -> None:
    assert {path.stem for path in SCRIPTS} == {name for name, _ in EVERY}


@pytest.mark.parametrize(("name", "text"), EVERY, ids=NAMES)
def test_rule_runs_the_script_of_its_name(name: str, text: str) -> None:
    named = re.findall(r"scripts/(\w+)\.py", text)
    assert set(named) == {name}


@pytest.mark.parametrize(("name", "text"), EVERY, ids=NAMES)
def test_rule_has_docstring_log_and_duration(name: str, text: str) -> None:
    assert text.lstrip().startswith('"""')
    for key in ("log:", "benchmark:", "conda:", "record=", *(["code="] if name != "check_machine" else [])):
        assert key in text, f"rule {name} has no {key}"


def test_report_knows_every_rule_but_its_own() -> None:
    assert set(RULES) == set(PIPELINE) - {"write_report", "write_detector_report"}
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
    opener = "logged_job" if script.stem in BY_SHELL else "job"
    assert imported == {f"pillsnap.workflow.{'command_line' if script.stem in BY_SHELL else 'job'}"}
    assert not any(isinstance(node, ast.Import) for node in before)
    assert isinstance(body, ast.With)
    assert body.items[0].context_expr.func.id == opener
    assert len(text.splitlines()) <= 25


def function_of(script: Path) -> Any:
    """The function of the script's name, which it imports from the package."""
    homes = [
        node.module
        for node in ast.walk(ast.parse(script.read_text(encoding="utf-8")))
        if isinstance(node, ast.ImportFrom) and script.stem in [one.name for one in node.names]
    ]
    assert len(homes) == 1
    return getattr(importlib.import_module(homes[0]), script.stem)


def call_in(script: Path, name: str) -> ast.Call:
    """The one call of `name` in a script."""
    nodes = ast.walk(ast.parse(script.read_text(encoding="utf-8")))
    (call,) = [node for node in nodes if isinstance(node, ast.Call) and getattr(node.func, "id", "") == name]
    return call


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_script_calls_the_function_of_its_name(script: Path) -> None:
    """It takes keywords alone, and every keyword that the script writes is one of its."""
    parameters = inspect.signature(function_of(script)).parameters
    assert all(parameter.kind is inspect.Parameter.KEYWORD_ONLY for parameter in parameters.values())
    call = call_in(script, "run_job" if script.stem in BY_SHELL else script.stem)
    if script.stem in BY_SHELL:
        assert [word.id for word in call.args if isinstance(word, ast.Name)] == [script.stem]
        assert {name for word in call.keywords for name in ast.literal_eval(word.value)} <= set(parameters)
    else:
        assert not call.args
        assert {word.arg for word in call.keywords if word.arg} <= set(parameters)


@pytest.mark.parametrize("name", BY_SHELL)
def test_rule_gives_every_option_of_its_job_and_no_other(name: str) -> None:
    parameters = inspect.signature(function_of(PROJECT / f"scripts/{name}.py")).parameters
    given = re.findall(r"--(\w+) [{]", PIPELINE[name])
    everywhere = ["record", "log"] if name == "check_machine" else ["record", "log", "portable"]
    assert sorted(given) == sorted([*parameters, *everywhere])


@pytest.mark.parametrize("name", BY_SHELL)
def test_command_by_hand_is_one_that_the_job_takes(name: str) -> None:
    """Its options are there, and their values are of the parameters' types."""
    script = PROJECT / f"scripts/{name}.py"
    description = ast.get_docstring(ast.parse(script.read_text(encoding="utf-8"))) or ""
    _, command = description.split(f"python scripts/{name}.py ")
    shell = ["bash", "-c", f"printf '%s\\0' {command}"]
    words = subprocess.run(shell, cwd=PROJECT, capture_output=True, text=True, check=True).stdout.split("\0")[:-1]
    arguments, record = job_arguments(function_of(script), description, words)
    assert sorted(arguments) == sorted(inspect.signature(function_of(script)).parameters)
    assert record.suffix == ".json"


def work(*, source: Path, out: Path, state: Path, settings: Classifier, seed: int, threads: int) -> None:
    """A job that writes what it was given."""
    out.write_text(f"{source.read_text()} {settings.epochs} {settings.image_size} {seed + threads}", encoding="utf-8")


def words_of(folder: Path, **changes: str) -> list[str]:
    (folder / "in.txt").write_text("pills", encoding="utf-8")
    given = {
        "source": str(folder / "in.txt"),
        "out": str(folder / "out.txt"),
        "state": str(folder / "state"),
        "settings": '{"epochs": 3, "weights": "' + str(folder / "in.txt") + '"}',
        "seed": "7",
        "threads": "2",
        "record": str(folder / "record.json"),
        "log": str(folder / "job.log"),
    }
    return [word for name, value in (given | changes).items() for word in (f"--{name}", value)]


def test_job_runs_with_typed_arguments_and_leaves_log_and_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pillsnap.workflow.code_inputs.code_of", lambda rule, **_: ["pillsnap/files.py"])
    monkeypatch.chdir(PROJECT)
    with logged_job("Work.", words_of(tmp_path)) as run_job:
        logging.getLogger("pillsnap").info("at work")
        run_job(work, outputs=["out"], unrecorded=["state", "threads"])
    assert (tmp_path / "out.txt").read_text(encoding="utf-8") == f"pills 3 {Classifier().image_size} 9"
    assert "at work" in (tmp_path / "job.log").read_text(encoding="utf-8")
    record = read_json(tmp_path / "record.json")
    assert (record["rule"], record["seed"]) == ("work", 7)
    assert record["inputs"] == {str(tmp_path / "in.txt"): sha256_of(tmp_path / "in.txt")}
    assert record["outputs"] == {str(tmp_path / "out.txt"): sha256_of(tmp_path / "out.txt")}
    assert record["settings"] == {"settings": {"epochs": 3, "weights": str(tmp_path / "in.txt")}, "seed": 7}
    assert record["code"] == {"pillsnap/files.py": sha256_of(PROJECT / "pillsnap/files.py")}


def test_other_processes_than_the_first_write_no_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RANK", "1")
    with logged_job("Work.", words_of(tmp_path)) as run_job:
        run_job(work, outputs=["out"])
    assert (tmp_path / "out.txt").is_file() and not (tmp_path / "record.json").exists()
    assert (tmp_path / "job.log.1").is_file() and not (tmp_path / "job.log").exists()


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"settings": '{"epochs": 0}'}, "greater than or equal to 1"),
        ({"settings": '{"epoch": 3}'}, "Extra inputs are not permitted"),
        ({"seed": "many"}, "valid integer"),
    ],
)
def test_wrong_value_is_an_error_in_the_log(tmp_path: Path, changes: dict[str, str], says: str) -> None:
    with pytest.raises(ValidationError, match=says), logged_job("Work.", words_of(tmp_path, **changes)) as run_job:
        run_job(work, outputs=["out"])
    assert says in (tmp_path / "job.log").read_text(encoding="utf-8")
    assert not (tmp_path / "out.txt").exists()


@pytest.mark.parametrize("words", [[], ["--source", "x"], ["--no_such_option", "1"]])
def test_missing_and_unknown_options_are_refused(words: list[str]) -> None:
    with pytest.raises(SystemExit) as raised:
        job_arguments(work, "Work.", words)
    assert raised.value.code == 2


def test_script_explains_itself() -> None:
    command = [sys.executable, "scripts/check_machine.py", "--help"]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)
    assert done.returncode == 0
    assert "python scripts/check_machine.py" in done.stdout, "the help opens with a command that can be copied"
    assert "--record" in done.stdout


def test_log_has_messages_and_the_whole_error(tmp_path: Path) -> None:
    code = f"""
import logging
from pillsnap.workflow.log import job_log
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


@pytest.mark.parametrize("module", ["log", "job", "command_line", "arithmetic"])
def test_log_needs_the_standard_library_alone(module: str) -> None:
    body = ast.parse((PROJECT / "pillsnap" / "workflow" / f"{module}.py").read_text(encoding="utf-8")).body
    imported = {alias.name for node in body if isinstance(node, ast.Import) for alias in node.names}
    imported |= {node.module or "" for node in body if isinstance(node, ast.ImportFrom)} - {
        job_log.__module__,
        keep_portable.__module__,
    }
    assert {name.split(".")[0] for name in imported} <= set(sys.stdlib_module_names)
