"""What several test modules need: real photographs, and AIHub-shaped archives made by hand."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.chromium import Chromium, find_browser
from tests.support.workflow import PROJECT, Workflow


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Fast tests first."""
    items.sort(key=lambda item: item.get_closest_marker("slow") is not None)


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
def made(tmp_path_factory: pytest.TempPathFactory) -> Workflow:
    """A project in which `dvc repro` made stage4 at the tiny size; tests leave it as it is, and clone or copy it."""
    workflow = Workflow.copy_to(tmp_path_factory.mktemp("made") / "project")
    workflow.run("dvc", "repro", "stage@stage4")
    return workflow
