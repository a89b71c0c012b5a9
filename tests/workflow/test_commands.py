"""Every command in the documents is one that the programs know, and Snakemake can plan."""

import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from itertools import pairwise
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import typer
import yaml
from dvc.cli.parser import get_main_parser
from PIL import Image
from snakemake.cli import get_argument_parser
from tensorboard.program import TensorBoard

from pillsnap.cli import app
from pillsnap.config.config import Config
from pillsnap.config.load import read_config
from pillsnap.detector.yolo_shards import count_pictures
from tests.support.aihub_files import write_zip
from tests.support.catalogues import make_catalogue
from tests.support.detectors import tiny_yolo
from tests.support.documents import (
    FENCE,
    PAGES,
    fenced_commands,
    in_pages,
    inline_code,
    program_and_words,
    rules,
    text_of,
)
from tests.support.enrolled import one_box
from tests.support.models import draw_photo, onnx_models
from tests.support.workflow import PROJECT, Workflow


def test_commands_stand_in_bash_blocks_only() -> None:
    others = [block for page in PAGES for language, block in FENCE.findall(text_of(page)) if language != "bash"]
    languages = {language for page in PAGES for language, _ in FENCE.findall(text_of(page))}
    assert languages <= {"bash", "json", "mermaid", "python", "text", "yaml", ""}
    assert not [
        block
        for block in others
        if re.search(r"^(\$|snakemake|pillsnap|make|dvc|tensorboard|tail|grep) ", block, re.MULTILINE)
    ]


def test_yaml_blocks_are_overlays_that_can_be_used(tmp_path) -> None:
    blocks = [block for page in PAGES for language, block in FENCE.findall(text_of(page)) if language == "yaml"]
    for block in blocks:
        (tmp_path / "overlay.yaml").write_text(block)
        assert isinstance(read_config(PROJECT / "config.yaml", tmp_path / "overlay.yaml"), Config)
    assert blocks


@pytest.fixture(scope="module")
def environment(tmp_path_factory) -> dict[str, str]:
    """Variables that lead to a stand-in of every source that the documents name: only names are looked at."""
    root = tmp_path_factory.mktemp("sources")
    for name in ("TS_1_단일", "TL_1_단일", "VS_1_조합", "VL_1_조합"):
        write_zip(root / "aihub" / f"{name}.zip", {})
    for part in ("train", "val", "test"):
        for kind in ("images", "labels"):
            (root / "real" / "pushin-pill" / kind / part).mkdir(parents=True)
    (root / "real" / "pushin-pill" / "data.yaml").write_text("names: [a, b]\n")
    return {"PILLSNAP_AIHUB": str(root / "aihub"), "PILLSNAP_REAL_DATA": str(root / "real")}


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Workflow:
    """A copy with the default configuration, in which nothing is made yet."""
    workflow = Workflow.copy_to(tmp_path_factory.mktemp("documented") / "project")
    shutil.copy2(PROJECT / "config.yaml", workflow.folder)
    return workflow


def _dry_run(project: Workflow, words: list[str], environment: dict[str, str]) -> str:
    return Workflow(project.folder, environment).run_quickly("snakemake", "--dry-run", *words)


def _check_pillsnap(words: list[str], complete: bool) -> None:
    command = typer.main.get_command(app)
    while words and hasattr(command, "commands"):
        name, *words = words
        command = command.commands[name]
    if not hasattr(command, "commands"):
        options = {option for parameter in command.params for option in parameter.opts}
        assert {word for word in words if word.startswith("-") and word != "-"} <= options | {"--help"}
        if complete:
            command.make_context(command.name, words)


def _check_make(words: list[str]) -> None:
    done = subprocess.run(["make", "--dry-run", *words], cwd=PROJECT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def _check_dvc(words: list[str]) -> None:
    parsed = get_main_parser().parse_args(words)
    stages = yaml.safe_load((PROJECT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
    known = {f"{name}@{item}" for name, stage in stages.items() for item in stage.get("foreach", [])}
    assert set(getattr(parsed, "targets", None) or []) <= known | set(stages)


def _check_tensorboard(words: list[str]) -> None:
    """It takes the words; the folder is one of trainings' states."""
    board = TensorBoard()
    board.configure(["tensorboard", *words])
    assert re.fullmatch(r"work/stage[1-4]", board.flags.logdir)


def _check_curl(words: list[str]) -> None:
    """It asks a path that the service has; tests/serve/test_documents.py runs it."""
    (address,) = [word for word in words if word.startswith("http")]
    assert urlsplit(address).path in (
        "/v1/identify",
        "/v1/model",
        "/v1/catalogue",
        "/v1/health",
        "/metrics",
        "/openapi.json",
    )


def _check_python(words: list[str], complete: bool) -> None:
    """It runs a script or a module of this project; what stands after it may be a command of its own."""
    if words[0] == "-m":
        words = [f"{words[1].replace('.', '/')}.py", *words[2:]]
    script, *command = words
    assert (PROJECT / script).is_file()
    if command:
        check_command(shlex.join(command), complete=complete)


def _check_search(program: str, words: list[str]) -> None:
    """Run it on a log with the lines of both trainings; the log that it names is a rule's, and it finds something."""
    log = words[-1]
    rule = re.fullmatch(r"logs/stage[1-4]/(\w+)\.log", log)[1]
    assert f'"<logs>/{{stage}}/{rule}.log"' in rules()[rule]
    figures = {"train_detector": "mAP@0.5 0.81  mAP@0.5:0.95 0.52", "train_classifier": "Accuracy: 0.81"}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / log
        path.parent.mkdir(parents=True)
        path.write_text(f"12:00:00,000 epoch 3/12  Loss: 1.234  {figures[rule]}\n")
        # what follows a file does not end by itself
        words = [word for word in words if word != "-F"]
        done = subprocess.run([program, *words], cwd=folder, capture_output=True, text=True, timeout=20)
    assert (done.returncode, done.stdout.count("epoch 3/12")) == (0, 1), done.stderr


def _check_tool(program: str, words: list[str]) -> None:
    """The environment has the tool, and it takes the options; test_style.py runs what it checks."""
    paths = [word for word in words if "/" in word or (PROJECT / word).exists()]
    assert all((PROJECT / path).exists() for path in paths)
    words = [word for word in words if word not in paths]
    if program == "pytest" and not words:
        return  # its help imports every plugin and conftest.py
    done = subprocess.run([Path(sys.executable).parent / program, *words, "--help"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def check_command(command: str, *, complete: bool) -> None:
    """Fail where a program has no such command, option or target; a `complete` command can be run as it is."""
    program, words = program_and_words(command)
    if program == "snakemake":
        get_argument_parser().parse_args(words)
    elif program == "pillsnap":
        _check_pillsnap(words, complete)
    elif program == "make":
        _check_make(words)
    elif program == "dvc":
        _check_dvc(words)
    elif program == "tensorboard":
        _check_tensorboard(words)
    elif program == "curl":
        _check_curl(words)
    elif program in ("grep", "tail"):
        _check_search(program, words)
    elif program == "python":
        _check_python(words, complete)
    elif program in ("codespell", "mypy", "pre-commit", "pytest", "ruff", "snakefmt"):
        _check_tool(program, words)
    elif program == "source":
        assert words == [".venv/bin/activate"]
    else:
        assert not complete, f"no check covers the command: {command}"


@pytest.mark.parametrize("command", in_pages(fenced_commands))
def test_command_is_known(command: str) -> None:
    check_command(command, complete=True)


@pytest.mark.parametrize(
    "command",
    in_pages(
        lambda page: [
            code for code in inline_code(page) if re.match(r"(snakemake|pillsnap|make|dvc|tensorboard) ", code)
        ]
    ),
)
def test_command_in_a_sentence_is_known(command: str) -> None:
    check_command(command, complete=False)


@pytest.mark.parametrize(
    ("command", "error"),
    [
        ("snakemake --no-such-option", "SystemExit"),
        ("pillsnap predict a.jpg --best", "AssertionError"),
        ("pillsnap predict", "MissingParameter"),
        ("pillsnap guess a.jpg", "KeyError"),
        ("pillsnap data guess", "KeyError"),
        ("pillsnap data summary --best", "AssertionError"),
        ("make no-such-target", "AssertionError"),
        ("dvc repro stage@stage5", "AssertionError"),
        ("dvc fetchall", "DvcParserError"),
        ("pillsnap monitor --all", "AssertionError"),
        ("tensorboard --logdir work/stage4 --no-such-option", "SystemExit"),
        ("tensorboard --logdir runs", "AssertionError"),
        ("grep mAP logs/stage4/train_classifier.log", "AssertionError"),
        ("tail -F logs/stage4/no_such_rule.log", "KeyError"),
        ("pillsnap serve --prot 8000", "AssertionError"),
        ("python tests/no_such_script.py", "AssertionError"),
        ("python -m tests.support.local_slurm snakemake --no-such-option", "SystemExit"),
        ("curl -s http://127.0.0.1:8000/v2/identify", "AssertionError"),
        ("wget file", "AssertionError"),
        ("pytest tests/no_such_folder/", "AssertionError"),
        ("pre-commit no-such-command", "AssertionError"),
        ("ruff check --no-such-option", "AssertionError"),
        ("source .venv/bin/start", "AssertionError"),
    ],
)
def test_unknown_command_is_noticed(command: str, error: str) -> None:
    with pytest.raises(BaseException) as raised:
        check_command(command, complete=True)
    assert raised.typename == error


def test_python_example_runs(tmp_path, base: Path, monkeypatch, capsys) -> None:
    examples = [block for language, block in FENCE.findall(text_of("docs/predict.md")) if language == "python"]
    shutil.copytree(onnx_models(base), tmp_path / "results" / "stage4" / "onnx")
    make_catalogue(tmp_path / "data")
    Image.fromarray(draw_photo([0, 1, 2], seed=5)[0]).save(tmp_path / "data" / "photo.jpg")
    monkeypatch.chdir(tmp_path)
    for example in examples:
        exec(example, {})
    told = capsys.readouterr().out
    # models of six training pills may know none of what they see
    assert examples and ("K-" in told or "unlike every drug" in told)
    assert "photo.jpg" in told


def test_the_detectors_dataset_is_unpacked_as_told(tmp_path, base: Path, monkeypatch) -> None:
    (example,) = [block for language, block in FENCE.findall(text_of("docs/pipeline.md")) if language == "python"]
    shutil.copytree(tiny_yolo(base), tmp_path / "results" / "stage4" / "yolo")
    monkeypatch.chdir(tmp_path)
    exec(example, {})
    for split in ("train", "val"):
        pictures, labels = (
            {path.stem for path in (tmp_path / f"work/yolo/{kind}/{split}").iterdir()} for kind in ("images", "labels")
        )
        assert pictures == labels and len(pictures) == count_pictures(tmp_path / "results/stage4/yolo", split)


PREDICTS = [
    line
    for page in PAGES
    for language, block in FENCE.findall(text_of(page))
    for line in block.splitlines()
    if language == "bash" and line.startswith("pillsnap predict ")
]


@pytest.mark.parametrize("line", dict.fromkeys(PREDICTS))
def test_predict_command_runs(line: str, tmp_path, base: Path) -> None:
    for stage in ("stage1", "stage4"):
        place = tmp_path / "results" / stage / "onnx"
        one_box(base, place) if "--same-pill" in line else shutil.copytree(onnx_models(base), place)
    (tmp_path / "data/photos/sub").mkdir(parents=True)
    make_catalogue(tmp_path / "data")
    (tmp_path / "data/test_images").mkdir()
    for place in ("data/photo.jpg", "data/photos/1.jpg", "data/photos/sub/2.jpg", "data/test_images/12.jpg"):
        Image.fromarray(draw_photo([0, 1, 2], seed=5)[0]).save(tmp_path / place)
    for seed, side in enumerate(("front", "back")):
        Image.fromarray(draw_photo([0], seed=seed)[0]).save(tmp_path / "data" / f"{side}.jpg")
    # the command of this environment and this checkout
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-c", line], cwd=tmp_path, env=os.environ | {"PATH": path, "PYTHONPATH": str(PROJECT)},
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    answers = done.stdout + "".join(file.read_text() for file in tmp_path.glob("*.csv"))
    assert "K-00000" in answers or "\n1,12," in answers  # a submission has numbers only
    assert all((tmp_path / word).exists() for option, word in pairwise(line.split()) if option == "--annotated")


def _snakemake_commands(page: str) -> list[str]:
    return [command for command in fenced_commands(page) if program_and_words(command)[0] == "snakemake"]


@pytest.mark.parametrize("command", in_pages(_snakemake_commands))
def test_snakemake_command_can_be_planned(command: str, project: Workflow, environment: dict[str, str]) -> None:
    _dry_run(project, program_and_words(command)[1], environment)


def test_production_profile_lays_its_recipe_over_the_configuration(project, environment) -> None:
    words = ["--workflow-profile", "profiles/production", "--printshellcmds", "--", "results/stage4/report.html"]
    planned = _dry_run(project, words, environment)
    assert '"model":"yolo11l.yaml","image_size":640' in planned
    assert '"model":"tf_efficientnetv2_l"' in planned and "--device cuda --threads 8" in planned
    assert "results/index/VS_1_combo.parquet" in planned
