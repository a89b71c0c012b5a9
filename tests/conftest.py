"""What several test modules need, and which tests belong to the campaign."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import pytest

from tests.support.chromium import Chromium, find_browser
from tests.support.faults.ledger import LEDGER
from tests.support.workflow import PROJECT, Workflow, made_workflow

CAMPAIGN = Path(__file__).parent / "campaign"
ONE_OF_SEVERAL = "PYTEST_XDIST_WORKER" in os.environ
if ONE_OF_SEVERAL:
    os.environ["OMP_NUM_THREADS"] = "1"  # the cores are the other processes' too; a project's commands do without it
cv2.setNumThreads(1)  # a data loader's forked processes would wait for OpenCV's threads, which a fork does not copy
LONGEST = "test_slurm.py", "test_kills.py"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what lies in tests/campaign; what starts the workflow comes first, since other tests can run beside it, then
    the longest modules: begun last, they leave the other process without work."""
    for item in items:
        if CAMPAIGN in item.path.parents:
            item.add_marker("campaign")
    items.sort(key=lambda item: (item.path.parent.name != "workflow", item.path.name not in LONGEST))


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Hand the account of faults to the process that tells it."""
    if ONE_OF_SEVERAL:
        session.config.workeroutput["faults"] = LEDGER.account()


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Take the account of one of pytest-xdist's processes, once: its end is told twice. One that died has none."""
    if account := getattr(node, "workeroutput", {}).pop("faults", None):
        LEDGER.add(account)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Tell the account of faults, also where pytest is quiet."""
    if LEDGER.faults:
        terminalreporter.section("fault campaign")
        for line in LEDGER.lines():
            terminalreporter.write_line(line)
        LEDGER.write()


@pytest.fixture(scope="session")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for what is made once in a run, see `once.once_in_a_run`: the same for all processes of pytest-xdist.

    Where `PILLSNAP_TESTS_MADE` names a folder, runs that follow each other share it: the second finds what the first
    made.
    """
    if shared := os.environ.get("PILLSNAP_TESTS_MADE"):
        return Path(shared)
    own = tmp_path_factory.getbasetemp()
    return own.parent if ONE_OF_SEVERAL else own


@pytest.fixture(scope="session")
def real_photos() -> Path:
    """The folder of the real photographs; the test is skipped where they are absent."""
    root = Path(os.environ.get("PILLSNAP_REAL_DATA") or PROJECT.parent / "shared" / "data") / "pushin-pill"
    if not root.is_dir():
        pytest.skip(f"needs the real photographs: no {root} (set PILLSNAP_REAL_DATA to their folder)")
    return root


@pytest.fixture(scope="session")
def browser() -> str:
    """A headless browser's path, see `chromium.find_browser`."""
    return find_browser()


@pytest.fixture(scope="session")
def chromium(browser: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chromium]:
    """A browser to steer."""
    with Chromium(browser, tmp_path_factory.mktemp("profile")) as started:
        yield started


@pytest.fixture(scope="session")
def made(base: Path) -> Workflow:
    """A project in which `dvc repro` made stage4 at the tiny size; tests leave it as it is, and clone or copy it."""
    return made_workflow(base)
