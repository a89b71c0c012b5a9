"""A stage's amounts, configurations and findings for the tests of preflight."""

from typing import Any

import yaml

from pillsnap.config.config import Config
from pillsnap.config.load import load_config, merge_into, read_config
from pillsnap.preflight.amounts import Amounts
from pillsnap.preflight.findings import Finding
from tests.support.workflow import PROJECT

AMOUNTS = Amounts(
    photos=1000,
    pills=1500,
    largest=1_249_280,
    test_pixels=2e8,
    small_pixels=1e8,
    context_pixels=3e8,
    trained_pills=1200,
    detector_photos=400,
    detector_pixels=5e7,
    drugs=40,
)


def config(**changes: Any) -> Config:
    """The project's configuration with some values changed."""
    values = yaml.safe_load((PROJECT / "config.yaml").read_text(encoding="utf-8"))
    merge_into(values, changes)
    return load_config(values)


PRODUCTION = read_config(PROJECT / "config.yaml", PROJECT / "profiles" / "production" / "pillsnap.yaml")


def ends(found: Finding) -> str:
    """The verdict; a problem has a cure, and only a problem."""
    assert bool(found.cure) == (found.verdict != "ok")
    return found.verdict.value
