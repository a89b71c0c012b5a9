"""One unbroken run for all faults, and the account at the end."""

import os

import pytest

from faults.ledger import LEDGER, Ledger
from faults.runs import Unbroken


@pytest.fixture(scope="session")
def unbroken(tmp_path_factory: pytest.TempPathFactory) -> Unbroken:
    """The run that all others are compared with."""
    return Unbroken.run(tmp_path_factory.mktemp("unbroken") / "project")


@pytest.fixture(scope="session")
def ledger() -> Ledger:
    """The account of faults and losses."""
    return LEDGER


@pytest.fixture(scope="session")
def seed() -> int:
    """Of everything that is drawn; PILLSNAP_FAULTS_SEED sets it."""
    return int(os.environ.get("PILLSNAP_FAULTS_SEED", "576"))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Tell the account, also where pytest is quiet."""
    if LEDGER.faults:
        terminalreporter.section("fault campaign")
        for line in LEDGER.lines():
            terminalreporter.write_line(line)
        LEDGER.write()
