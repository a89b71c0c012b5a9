"""Progress: a row of its own for each job on a terminal, rare plain lines elsewhere."""

import logging
import re
import time

import pytest

from pillsnap import progress as module
from pillsnap.progress import progress
from tests.support.terminal import ROWS, Terminal

EPOCHS = """
import time
from pillsnap.progress import counting
with counting() as counter:
    for epoch in (1, 2):
        counter.begin(total=4, title=f"epoch {epoch}", unit="steps")
        for step in range(4):
            time.sleep(0.3)
            counter.update()
"""


def rows_of(shown: str, title: str) -> set[int]:
    return {int(row) for row in re.findall(rf"\x1b\[(\d+);1H\x1b\[2K{title}", shown)}


def scroll_regions(shown: str) -> list[str]:
    return re.findall(r"\x1b\[(?:1;(\d+))?r", shown)


def test_a_bar_counts_photographs_and_tells_rate_and_time_left() -> None:
    with Terminal() as terminal:
        shown = terminal.wait(terminal.start("TS_1", "0.3"))
    assert re.search(r"TS_1 .*█.* [1-9]\d? of 12 photos, +\d\.\d\d photos/s, 00:0\d left", shown)
    assert rows_of(shown, "TS_1") == {ROWS}
    assert scroll_regions(shown) == [str(ROWS - 1), ""]


def test_two_jobs_take_two_rows_and_the_last_gives_the_screen_back() -> None:
    with Terminal() as terminal:
        jobs = [terminal.start(name, seconds) for name, seconds in (("first", "0.15"), ("second", "0.3"))]
        shown = terminal.wait(*jobs)
        assert sorted([*rows_of(shown, "first"), *rows_of(shown, "second")]) == [ROWS - 1, ROWS]
        assert scroll_regions(shown) == [str(ROWS - 1), str(ROWS - 2), ""]
        shown = terminal.wait(terminal.start("third", "0.05"))
        assert rows_of(shown, "third") == {ROWS}
        assert scroll_regions(shown)[-1] == ""


def test_a_counter_keeps_its_row_from_one_thing_to_the_next() -> None:
    with Terminal() as terminal:
        shown = terminal.wait(terminal.start(code=EPOCHS))
    for epoch in (1, 2):
        assert re.search(rf"epoch {epoch} .*█.* [1-4] of 4 steps", shown)
        assert rows_of(shown, f"epoch {epoch}") == {ROWS}
    assert scroll_regions(shown) == [str(ROWS - 1), ""]


def test_a_job_that_fails_gives_its_row_back() -> None:
    with Terminal() as terminal:
        shown = terminal.wait(terminal.start("TS_1", "0.01", "fail"))
    assert scroll_regions(shown) == [str(ROWS - 1), ""]


def test_a_killed_job_does_not_keep_its_row() -> None:
    with Terminal() as terminal:
        job = terminal.start("killed", "5")
        deadline = time.monotonic() + 60
        while "killed" not in terminal.shown and time.monotonic() < deadline:
            terminal.wait()
        job.kill()
        job.wait()
        shown = terminal.wait(terminal.start("next", "0.3"))
    assert rows_of(shown, "next") == {ROWS}
    assert scroll_regions(shown)[-1] == ""


def test_a_dumb_terminal_gets_no_escape_sequence() -> None:
    with Terminal() as terminal:
        assert "\x1b" not in terminal.wait(terminal.start("TS_1", "0.01", term="dumb"))


def test_elsewhere_there_are_rare_lines(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter(range(0, 10_000, 7))
    monkeypatch.setattr(module.time, "monotonic", lambda: float(next(clock)))
    with caplog.at_level(logging.INFO, logger=module.__name__):
        assert list(progress(iter(range(20)), total=20, title="TS_1")) == list(range(20))
    assert len(caplog.messages) == 3
    assert caplog.messages[0] == "TS_1: 9 of 20 photos, 0.1 photos/s, 01:17 left"
    assert re.fullmatch(r"TS_1: 20 photos in 0\d:\d\d, 0\.1 photos/s", caplog.messages[-1])


def test_a_short_job_logs_one_line_and_draws_nothing(caplog, capfd) -> None:
    with caplog.at_level(logging.INFO, logger=module.__name__):
        list(progress(range(5), total=5, title="test part", unit="labels"))
    assert [re.sub(r"[\d.]+ labels/s", "N labels/s", line) for line in caplog.messages] == [
        "test part: 5 labels in 00:00, N labels/s"
    ]
    assert capfd.readouterr() == ("", "")
