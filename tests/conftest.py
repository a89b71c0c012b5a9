"""What several test modules need: real photographs, and AIHub-shaped archives made by hand."""

import json
import os
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from chromium import Chromium, find_browser
from workflow import Workflow

PROJECT = Path(__file__).parents[1]


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


def png(width: int = 97, height: int = 128, seed: int = 0) -> bytes:
    """A PNG of noise."""
    pixels = np.random.default_rng(seed).integers(0, 255, (height, width, 3), dtype=np.uint8)
    return cv2.imencode(".png", pixels)[1].tobytes()


def label(name: str, k_code: str, bbox: Any = (10, 20, 30, 40), **image: Any) -> bytes:
    """A label JSON with AIHub's fields that matter."""
    facts = {
        "file_name": name,
        "width": 97,
        "height": 128,
        "drug_N": k_code,
        "dl_mapping_code": k_code,
        "dl_name": "시험정",
        "di_edi_code": "643303740,A01200351",
        "id": 1,
    }
    annotation = {"bbox": list(bbox) if isinstance(bbox, tuple) else bbox, "category_id": 1, "image_id": 1, "id": 1}
    value = {"images": [facts | image], "annotations": [annotation], "categories": [{"id": 1, "name": "Drug"}]}
    return json.dumps(value, ensure_ascii=False).encode()


def write_zip(path: Path, members: dict[str, bytes]) -> Path:
    """A zip of the given members."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path
