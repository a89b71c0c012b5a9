"""benchmarks/serve.py at a tiny size: every request is accounted for, and how its page is computed."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pillsnap.files import read_json
from tests.support.models import onnx_models, tiny_stage
from tests.support.workflow import PROJECT

pytestmark = pytest.mark.campaign

REQUESTS, OVERLOAD = 30, 12


@pytest.fixture(scope="module")
def out(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the script writes, without its ending."""
    folder = tmp_path_factory.mktemp("serve")
    stage = tiny_stage(base).classes.parent
    sizes = {"requests": REQUESTS, "overload": OVERLOAD, "queue": 0, "workers": 1, "stage": stage}
    words = [f"--{name}={value}" for name, value in (sizes | {"models": onnx_models(base)}).items()]
    done = subprocess.run(
        [sys.executable, "benchmarks/serve.py", *words, "--clients", "1", "3", "--out", str(folder / "out")],
        cwd=PROJECT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return folder / "out"


@pytest.fixture(scope="module")
def result(out: Path) -> dict[str, Any]:
    return read_json(out.with_suffix(".json"))


def test_every_request_is_accounted_for(result: dict[str, Any]) -> None:
    assert [run["clients"] for run in result["runs"]] == [1, 3]
    assert all(run["statuses"] == {"200": REQUESTS} and run["lost"] == 0 for run in result["runs"])
    over = result["overload"]
    assert sum(over["statuses"].values()) == REQUESTS and over["lost"] == 0
    assert set(over["statuses"]) == {"200", "429"}
    for run in (*result["runs"], over):
        assert run["answers_per_second"] == pytest.approx(run["statuses"]["200"] / run["seconds"], rel=0.05)
        assert 0 < run["answered_ms"]["p50"] <= run["answered_ms"]["p95"] <= run["answered_ms"]["p99"]


def test_page_tells_every_figure(out: Path, result: dict[str, Any]) -> None:
    page = out.with_suffix(".md").read_text(encoding="utf-8")
    for run in result["runs"]:
        assert f"| {run['clients']} | {run['answers_per_second']} | {run['answered_ms']['p50']} |" in page
    refused = result["overload"]["statuses"]["429"]
    assert f"| {refused} ({refused / REQUESTS:.1%}) |" in page
    assert "synthetic" in page and f"In all, {3 * REQUESTS} requests were sent and 0 were lost." in page
    assert str(out.parent) not in page
