"""One unbroken run for all faults, and the account at the end."""

import os

import pytest

from tests.support.faults.ledger import LEDGER, Ledger
from tests.support.faults.runs import Unbroken
from tests.support.workflow import Workflow


@pytest.fixture(scope="session")
def unbroken(made: Workflow) -> Unbroken:
    """The run that all others are compared with."""
    return Unbroken.of(made)


@pytest.fixture(scope="session")
def ledger() -> Ledger:
    """The account of faults and losses."""
    return LEDGER


@pytest.fixture(scope="session")
def seed() -> int:
    """Of everything that is drawn; PILLSNAP_FAULTS_SEED sets it."""
    return int(os.environ.get("PILLSNAP_FAULTS_SEED", "576"))
