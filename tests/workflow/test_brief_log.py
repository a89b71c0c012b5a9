"""`make report` shows a line for each job; errors stay whole, and so does Snakemake's log file."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.terminal import JOB, ROWS, Terminal
from tests.support.workflow import PROJECT

SNAKEFILE = """
rule all:
    input: "b_x.txt"
rule first:
    output: "a_{name}.txt"
    shell: "echo from the job >&2; touch {output}"
rule second:
    input: "a_{name}.txt"
    output: "b_{name}.txt"
    shell: "echo before it ends >&2; COMMAND {output}"
"""
SNAKEMAKE = ("snakemake", "--logger", "brief", "--cores", "1")


def environment() -> dict[str, str]:
    return os.environ | {"TERM": "xterm", "PYTHONPATH": f"{PROJECT / 'plugins'}{os.pathsep}{PROJECT}"}


def run(folder: Path, command: str) -> tuple[int, str, str]:
    """Run the two rules, the second with `command`; returns the status, the terminal's text and the log file's."""
    (folder / "Snakefile").write_text(SNAKEFILE.replace("COMMAND", command), encoding="utf-8")
    done = subprocess.run(SNAKEMAKE, cwd=folder, env=environment(), capture_output=True, text=True, check=False)
    (log,) = (folder / ".snakemake/log").iterdir()
    assert not done.stdout
    return done.returncode, done.stderr, log.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def good(tmp_path_factory) -> tuple[int, str, str]:
    return run(tmp_path_factory.mktemp("good"), "touch")


def test_each_job_is_a_line(good) -> None:
    status, shown, _ = good
    assert status == 0
    *lines, last = re.sub(r"\d\d:\d\d:\d\d", "TIME", shown).splitlines()
    # Snakemake logs in a thread: what a job says may overtake its line
    said = ["from the job", "before it ends"]
    assert [line for line in lines if line in said] == said
    assert [line for line in lines if line not in said] == [
        "Jobs: 3 (1 x first, 1 x second, 1 x all)",
        "TIME [1/3] first x",
        "TIME [2/3] second x",
        "TIME [3/3] all",
    ]
    assert last.startswith("Complete log(s): ")


def test_the_log_file_has_everything(good) -> None:
    _, _, log = good
    for words in ("rule first:", "output: a_x.txt", "reason: ", "Finished jobid: 0", "3 of 3 steps (100%) done"):
        assert words in log


def test_an_error_is_shown_whole(tmp_path: Path) -> None:
    status, shown, log = run(tmp_path, "false")
    assert status == 1
    for words in ("Error in rule second:", "input: a_x.txt", "false b_x.txt", "Exiting because a job execution failed"):
        assert words in shown
        assert words in log


def test_bars_of_jobs_stand_below_the_lines(tmp_path: Path) -> None:
    (tmp_path / "job.py").write_text(JOB, encoding="utf-8")
    snakefile = SNAKEFILE.replace("COMMAND", f"{sys.executable} job.py title 0.1; touch")
    (tmp_path / "Snakefile").write_text(snakefile, encoding="utf-8")
    started = f"import subprocess; subprocess.run({SNAKEMAKE}, cwd={str(tmp_path)!r}, env={environment()})"
    with Terminal() as terminal:
        shown = terminal.wait(terminal.start(code=started))
    assert re.search(rf"\[2/3\] second x.*\x1b\[{ROWS};1H\x1b\[2Ktitle .* of 12 photos.*\[3/3\] all", shown, re.DOTALL)


def test_make_report_says_what_it_does_and_how_long_it_took() -> None:
    words = ("make", "--dry-run", "--old-file=.venv/installed", "report", "STAGE=stage2")
    planned = subprocess.run(words, cwd=PROJECT, capture_output=True, text=True, check=True).stdout
    assert "results/stage2/report.html" in planned
    assert "snakemake --logger brief --cores all -- results/stage2/report.html" in planned
    times = (PROJECT / "benchmarks/report_times.txt").read_text(encoding="utf-8").splitlines()
    assert "cat benchmarks/report_times.txt" in planned
    assert all(re.match(r"[\d.]+ min on ", line) for line in times) and len(times) > 1
