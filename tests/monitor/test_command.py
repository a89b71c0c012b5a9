"""`pillsnap monitor`: what it shows of trainings that run, have ended, were killed, or left damaged files."""

import functools
import json
import os
import platform
import re
import signal
import subprocess
import sys
from datetime import datetime
from pathlib import Path

import pytest
from click.testing import Result
from rich.console import Console
from typer.testing import CliRunner

from pillsnap.cli import app
from pillsnap.config.load import load_config, read_config
from pillsnap.files import write_json, write_text
from pillsnap.monitor.trainings import LARGEST, SILENT_SECONDS, TrainingStatus, stage_status
from pillsnap.monitor.view import StageView, sparkline
from pillsnap.training.milestones import milestone_results
from tests.support.terminal import Terminal
from tests.support.trainings import STEERING, classifier_rows, detector_rows, write_training
from tests.support.workflow import PROJECT

STAGE = {"images": 100, "classes": 5}
CONFIG = {
    "source": {"kind": "synthetic"},
    "stages": {f"stage{n}": STAGE for n in (1, 2, 3, 4)},
    "steering": STEERING,
}


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project's folder with a configuration, made the current one."""
    write_json(tmp_path / "config.yaml", CONFIG)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def training(project: Path, model: str, done: int, **facts: object) -> Path:
    """The folder of a training; `facts` are laid over its `progress.json`."""
    folder = project / "work" / "stage4" / f"train_{model}"
    write_training(folder, model, done)
    progress = json.loads((folder / "progress.json").read_text())
    write_json(folder / "progress.json", progress | facts)
    write_text(project / "logs" / "stage4" / f"train_{model}.log", f"12:00 epoch {done}/12  Loss: 1.2  mAP@0.5 0.8\n")
    return folder


def monitor(*words: str, columns: int = 100) -> Result:
    return CliRunner().invoke(app, ["monitor", *words], env={"COLUMNS": str(columns)})


def states() -> dict[str, str]:
    return {one.model: one.state for one in stage_status("stage4", load_config(CONFIG)).trainings}


def test_a_running_stage_is_told_in_full(project: Path) -> None:
    training(project, "detector", 12)
    write_json(project / "work" / "stage4" / "train_detector" / "finished.json", {"epochs": 12})
    training(project, "classifier", 7, running=True, epoch=8, step=15, loss=1.234, seconds_left=190, steps_per_second=2)
    done = monitor()
    assert done.exit_code == 0
    text = " ".join(re.sub(r"[│╭╮╰╯─]", " ", done.stdout).split())
    for words in (
        "Detector: finished",
        "12 of 12 finished",
        "Classifier: running",
        "8 of 12",
        "step 15 of 30",
        "2.0 steps/s, 16 pictures/s, 38 s the last epoch",
        "3 min 10 s, ends about ",
        "loss now 1.234",
        "top-1 validation",
        "mAP@0.5:0.95",
        "epoch 2: target 40 %, reached 62.6 %, 22.6 points ahead",
        "epoch 6: target 97 %, reached 94.1 %, 2.9 points behind",
        "epoch 50: target 90 %",
        "phase fine-tuning",
        "after epoch 1: classifier is weak: val_top1 is 0.2101, below 0.3; now, learning rate 0.002",
        "no GPU in use",
        "GB free",
        "epoch 7/12 Loss: 1.2 mAP@0.5 0.8",
    ):
        assert words in text.replace("\u202f", " "), words
    assert "\x1b" not in done.stdout, "a pipe gets no escape sequence"


@pytest.mark.parametrize(
    ("facts", "finished", "state"),
    [
        ({"running": True}, None, "running"),
        ({"running": True, "pid": 2**22 + 1}, None, "stopped"),
        ({"running": True, "pid": 2**70}, None, "stopped"),
        ({"running": True, "pid": "7"}, None, "stopped"),
        ({"running": True, "pid": 2**22 + 1}, {"epochs": 12}, "finished"),
        ({"running": True, "pid": 2**22 + 1}, {"epochs": 8}, "stopped"),
        ({"running": False}, {"epochs": 12}, "finished"),
        ({"running": False}, None, "running"),
        ({"running": True, "host": "another"}, None, "running"),
        ({"running": False, "host": "another"}, None, "stopped"),
    ],
)
def test_state(project: Path, facts: dict, finished: dict | None, state: str) -> None:
    """This process wrote the files, and is alive; a finished training that is asked for more is not finished."""
    folder = training(project, "detector", 12, **facts)
    if finished:
        write_json(folder / "finished.json", finished)
    assert states() == {"detector": state, "classifier": "waiting"}


def test_a_training_of_another_machine_that_is_silent_has_stopped(project: Path) -> None:
    folder = training(project, "detector", 3, running=True, host="another")
    old = datetime.now().timestamp() - SILENT_SECONDS - 1
    for name in ("progress.json", "resources.csv"):
        os.utime(folder / name, (old, old))
    assert states()["detector"] == "stopped"


def test_a_number_that_another_process_took_over_is_no_training(project: Path) -> None:
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    folder = training(project, "detector", 3, running=True, pid=child.pid)
    os.utime(folder / "progress.json", (1e9, 1e9))
    assert states()["detector"] == "stopped"
    child.communicate(b"\n")


GARBAGE = {
    "missing": None,
    "empty": b"",
    "half": b'{"model": "detector", "epochs": 12, "ste',
    "list": b"[1, 2, null]",
    "binary": bytes(range(256)),
    "number": b"7",
    "half row": b"epoch,seconds,map50\n1,2.0,0.5\n2,",
    "odd cells": b"epoch,seconds,map50,loss\nx,nan,inf,-inf\n,,,\n1e400,1,2,3\n",
    "odd values": json.dumps(
        dict.fromkeys(("epochs", "epoch", "step", "steps", "pictures", "pid", "loss", "phase", "host"), "x")
        | {"seconds_left": 1e300, "steps_per_second": -1, "running": True}
    ).encode(),
    "nulls": json.dumps(dict.fromkeys(("epochs", "epoch", "step", "steps", "pid", "loss", "seconds_left"))).encode(),
    "zeros": json.dumps(
        dict.fromkeys(("epochs", "epoch", "step", "steps", "pictures", "seconds_left", "steps_per_second"), 0)
        | {"running": True, "pid": os.getpid(), "host": platform.node()}
    ).encode(),
    "endless": b'{"epochs": Infinity, "seconds_left": NaN, "epoch": 1e308, "step": -5}',
    "odd events": b'[{"said": "[bold]a[/nothing]", "epoch": "x"}, {"said": 3}, 4, {"epoch": 1}]',
}


@pytest.mark.parametrize("content", GARBAGE.values(), ids=list(GARBAGE))
@pytest.mark.parametrize(
    "name", ["progress.json", "history.csv", "events.json", "resources.csv", "finished.json", "log", "all"]
)
def test_damaged_files_are_survived(project: Path, name: str, content: bytes | None) -> None:
    """Whatever is in them: the other training, and what the other files say, is there."""
    training(project, "classifier", 5)
    folder = training(project, "detector", 7, running=True)
    names = ["progress.json", "history.csv", "events.json", "resources.csv", "finished.json", "log"]
    for one in names if name == "all" else [name]:
        path = project / "logs" / "stage4" / "train_detector.log" if one == "log" else folder / one
        path.unlink(missing_ok=True)
        if content is not None:
            path.write_bytes(content)
    done = monitor()
    assert done.exit_code == 0, done.output
    assert "Detector: " in done.stdout and "Classifier: running" in done.stdout
    assert ("after epoch 0: phase baseline begins" in done.stdout.split("Classifier")[0]) == (
        name not in ("events.json", "all")
    )
    assert ("7/12  Loss: 1.2" in done.stdout) == (name not in ("log", "all"))


def test_a_folder_where_a_file_should_be_is_survived(project: Path) -> None:
    for name in ("progress.json", "history.csv", "events.json", "resources.csv", "finished.json"):
        (project / "work" / "stage4" / "train_detector" / name).mkdir(parents=True)
    done = monitor()
    assert done.exit_code == 0
    assert "Detector: starting" in done.stdout


def test_escape_sequences_of_a_log_do_not_reach_the_terminal(project: Path) -> None:
    training(project, "detector", 2)
    (project / "logs" / "stage4" / "train_detector.log").write_text("\x1b[31mred\x1b[0m \x1b]0;title\x07 [bold]정[/]\n")
    done = monitor()
    assert "\x1b" not in done.stdout and "\x07" not in done.stdout
    assert "[bold]정[/]" in done.stdout


def test_before_the_trainings_the_newest_log_tells_what_runs(project: Path) -> None:
    write_text(project / "logs" / "stage4" / "prepare_archive" / "TS_1.log", "x\n")
    done = monitor()
    assert done.exit_code == 0
    assert "newest log: logs/stage4/prepare_archive/TS_1.log" in done.stdout
    assert done.stdout.count("not started") == 2


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--stage", "stage5"], "--stage stage5: unknown stage. Allowed: stage1, stage2, stage3, stage4."),
        (["--stage", "../stage4"], "unknown stage"),
        (
            ["--stage", "stage1"],
            "stage1 is not started: neither work/stage1 nor logs/stage1 exists. "
            "Start it with `snakemake --cores all -- results/stage1/report.html`.",
        ),
        (["--work", "elsewhere", "--stage", "stage2"], "neither elsewhere/stage2 nor logs/stage2"),
        (
            ["--config", "none.yaml"],
            "none.yaml: no such file or directory. Correct the path, or give the command",
        ),
        (["--config", "wrong.yaml"], "devise: unknown key"),
    ],
)
def test_what_cannot_be_shown_is_said(project: Path, words: list[str], said: str) -> None:
    write_json(project / "wrong.yaml", CONFIG | {"devise": "cpu"})
    done = monitor(*words)
    assert (done.exit_code, done.stdout) == (2, "")
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_folders_follow_the_configuration_and_the_option(project: Path) -> None:
    training(project, "detector", 3)
    (project / "work").rename(project / "other")
    (project / "logs").rename(project / "elsewhere")
    assert monitor().exit_code == 2
    assert "3 of 12" in monitor("--work", "other").stdout
    write_json(project / "overlay.yaml", {"pathvars": {"work": "other", "logs": "elsewhere"}})
    shown = monitor("--config", "config.yaml", "--config", "overlay.yaml", "--once").stdout
    assert "3 of 12" in shown and "3/12  Loss: 1.2" in shown


@pytest.mark.parametrize("columns", [40, 60, 80, 130, 250])
def test_every_line_fits_the_terminal(project: Path, columns: int) -> None:
    training(project, "detector", 12)
    training(project, "classifier", 7, running=True, seconds_left=1e6)
    lines = monitor(columns=columns).stdout.splitlines()
    assert max(map(len, lines)) <= columns
    beside = any("Detector" in line and "Classifier" in line for line in lines)
    assert beside == (columns >= 130)


@pytest.mark.parametrize(("width", "height"), [(60, 24), (80, 24), (100, 40), (140, 30), (60, 200)])
def test_what_runs_is_on_the_screen(project: Path, width: int, height: int) -> None:
    training(project, "detector", 12)
    write_json(project / "work" / "stage4" / "train_detector" / "finished.json", {"epochs": 12})
    training(project, "classifier", 7, running=True, epoch=8, step=15, seconds_left=60)
    console = Console(width=width, height=height, force_terminal=True, color_system=None)
    stage = stage_status("stage4", read_config("config.yaml"))
    with console.capture() as shown:
        console.print(StageView(stage, now=datetime(2026, 1, 1, 23, 59, 30), height=height))
    lines = shown.get().splitlines()
    assert len(lines) <= height
    assert lines[-1].strip().startswith("╰") or width >= 130
    text = shown.get()
    for words in ("Detector: finished", "Classifier: running", "ends about 00:00", "top-1 validation", "RAM"):
        assert words in text, words


@pytest.mark.parametrize(
    ("values", "blocks"),
    [
        ([1.0], "▁"),
        ([1.0, 1.0], "▁▁"),
        ([0.0, 1.0], "▁█"),
        ([3.0, 2.0, 1.0, 0.0], "█▆▃▁"),
        ([0.0] * 40 + [1.0] * 40, "▁▁██"),
    ],
)
def test_sparkline(values: list[float], blocks: str) -> None:
    assert sparkline(values, 4) == blocks


def test_milestones_are_judged_by_the_newest_validation() -> None:
    stones = [{"epoch": 5, "map50": 0.5, "top1": None}, {"epoch": 2, "map50": 0.9}, {"epoch": 9, "map50": 0.9}]
    found = milestone_results(stones, detector_rows(6, validate_every=2), model="detector")
    assert [(one.epoch, one.verdict) for one in found] == [
        (2, "27.4 points behind"),
        (5, "35.6 points ahead"),
        (9, ""),
    ]
    assert milestone_results(stones, classifier_rows(6), model="classifier") == []


def test_numbers_that_are_none_are_unknown() -> None:
    values = {"a": "3", "b": True, "c": float("nan"), "d": LARGEST, "e": 4}
    one = TrainingStatus("detector", "running", values, [], [], [], [], [])
    assert [one.number(key) for key in "abcdef"] == [None, None, None, None, 4, None]


def test_live_view_follows_a_growing_training_and_ends_with_ctrl_c(project: Path) -> None:
    training(project, "detector", 3, running=True)
    with Terminal() as terminal:
        words = [sys.executable, "-m", "pillsnap.cli", "monitor"]
        environment = os.environ | {"TERM": "xterm", "PYTHONPATH": str(PROJECT)}
        # a shell's background jobs, as tests may be, pass on that they ignore Ctrl-C
        heeds = functools.partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
        view = subprocess.Popen(words, stdout=terminal.writing, env=environment, preexec_fn=heeds)
        try:
            terminal.read_until("3 of 12")
            training(project, "detector", 4, running=True)
            terminal.read_until("4 of 12")
        finally:
            view.send_signal(signal.SIGINT)
        assert view.wait(timeout=20) == 0
        assert "\x1b[?1049h" in terminal.shown and "\x1b[?1049l" in terminal.wait(view), "the screen is given back"


def test_starting_is_fast_since_nothing_heavy_is_imported() -> None:
    heavy = ("torch", "tensorboard", "pandas", "numpy", "cv2", "scipy")
    code = f"import pillsnap.cli, pillsnap.monitor.view, sys; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=PROJECT)
    assert done.stdout == "[]\n"
