"""The folder of a training's state: one run at a time, and only what the same settings made is taken over."""

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from pillsnap.config.training import Classifier
from pillsnap.files import read_json
from pillsnap.training.state import locked_state, training_signature
from pillsnap.workflow.arithmetic import PORTABLE

SIGNATURE = {"dataset": "ab" * 32, "settings": {"epochs": 2}, "seed": 1}


def holder(work: Path, body: str) -> subprocess.Popen:
    """Another process that holds `work` while it runs `body`, which it begins when it has the lock."""
    code = f"""
        import time
        from pathlib import Path
        from pillsnap.training.state import locked_state
        with locked_state(Path({str(work)!r}), {SIGNATURE!r}) as state:
            print("held", flush=True)
            {body}
    """
    process = subprocess.Popen([sys.executable, "-c", textwrap.dedent(code)], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "held\n"
    return process


def test_nothing_is_finished_until_it_is_marked(tmp_path: Path) -> None:
    work = tmp_path / "work"
    with locked_state(work, SIGNATURE) as state:
        assert not state.finished(2)
        (work / "last.pt").write_bytes(b"weights")
    with locked_state(work, SIGNATURE) as state:
        assert not state.finished(2)
        state.mark_finished(2)
    with locked_state(work, SIGNATURE) as state:
        assert state.finished(2)
        assert not state.finished(3), "more epochs were asked for"
        assert (state.folder / "last.pt").read_bytes() == b"weights"


@pytest.mark.parametrize(
    "changed",
    [{"seed": 2}, {"settings": {"epochs": 3}}, {"dataset": "cd" * 32}, {"device": "cuda"}],
    ids=lambda changed: next(iter(changed)),
)
def test_another_signature_sets_the_state_aside(tmp_path: Path, changed: dict) -> None:
    work, previous = tmp_path / "work", tmp_path / "work.previous"
    with locked_state(work, SIGNATURE) as state:
        (work / "last.pt").write_bytes(b"weights")
        state.mark_finished(2)
    with locked_state(work, SIGNATURE | changed) as state:
        assert not state.finished(2)
        assert not (work / "last.pt").exists()
    assert (previous / "last.pt").read_bytes() == b"weights"
    assert [read_json(folder / "signature.json") for folder in (previous, work)] == [SIGNATURE, SIGNATURE | changed]


@pytest.mark.parametrize(
    ("change", "same"),
    [
        ({"epochs": 100}, True),
        ({"checkpoint_every": 1, "keep_checkpoints": 9}, True),
        ({"smallest_batch": 4}, True),
        ({"horizon": 100}, False),
        ({"batch": 16}, False),
        ({"patience": 3}, False),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else str(value),
)
def test_what_leaves_the_past_as_it_is_keeps_the_signature(tmp_path: Path, change: dict, same: bool) -> None:
    (tmp_path / "data").write_text("pills")
    recipe = Classifier()
    first, second = (
        training_signature("hash_order", {"data": tmp_path / "data"}, settings, seed=1)
        for settings in (recipe, recipe.model_copy(update=change))
    )
    assert (first == second) is same


def test_other_arithmetic_is_another_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "data").write_text("pills")
    monkeypatch.delenv("ATEN_CPU_CAPABILITY", raising=False)
    own = training_signature("hash_order", {"data": tmp_path / "data"}, Classifier(), seed=1)
    for name, value in PORTABLE.items():
        monkeypatch.setenv(name, value)
    portable = training_signature("hash_order", {"data": tmp_path / "data"}, Classifier(), seed=1)
    assert own | {"portable": True} == portable and own != portable


@pytest.mark.parametrize(
    ("changed", "resume", "kept"),
    [
        ({"inputs": {"crops": "ef"}}, True, True),
        ({"inputs": {"crops": "ef"}}, False, False),
        ({"inputs": {"crops": "ef"}, "seed": 2}, True, False),
    ],
)
def test_cycles_resume_with_other_data(tmp_path: Path, changed: dict, resume: bool, kept: bool) -> None:
    signature = SIGNATURE | {"inputs": {"crops": "cd"}}
    work = tmp_path / "work"
    with locked_state(work, signature) as state:
        (work / "last.pt").write_bytes(b"weights")
        state.mark_finished(2)
    with locked_state(work, signature | changed, resume_with_new_inputs=resume) as state:
        assert state.new_inputs is kept
        assert (work / "last.pt").exists() is kept
        assert not state.finished(2)
        assert read_json(work / "signature.json") == signature | changed
    with locked_state(work, signature | changed, resume_with_new_inputs=resume) as state:
        assert not state.new_inputs


def test_only_one_previous_state_is_kept(tmp_path: Path) -> None:
    for seed in (1, 2, 3):
        with locked_state(tmp_path / "work", SIGNATURE | {"seed": seed}):
            pass
    seeds = {path.name: read_json(path / "signature.json")["seed"] for path in tmp_path.iterdir() if path.is_dir()}
    assert seeds == {"work": 3, "work.previous": 2}


def test_waits_for_the_process_that_holds_it(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The second run gets the lock when the first has ended, and finds its finished state."""
    caplog.set_level("INFO")
    with holder(tmp_path / "work", "time.sleep(0.5); state.mark_finished(2)") as other:
        began = time.monotonic()
        with locked_state(tmp_path / "work", SIGNATURE, poll_seconds=0.1) as state:
            assert state.finished(2)
        assert time.monotonic() - began > 0.3
    assert f"locked by process {other.pid}" in caplog.text
    assert other.returncode == 0


def test_killed_holder_leaves_no_lock(tmp_path: Path) -> None:
    with holder(tmp_path / "work", "time.sleep(60)") as other:
        os.kill(other.pid, signal.SIGKILL)
        other.wait()
        with locked_state(tmp_path / "work", SIGNATURE, poll_seconds=0.1) as state:
            assert not state.finished(2)


def test_error_frees_the_lock(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), locked_state(tmp_path / "work", SIGNATURE):
        raise RuntimeError("out of memory")
    with holder(tmp_path / "work", "pass") as other:
        assert other.wait() == 0
