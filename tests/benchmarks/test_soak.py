"""benchmarks/soak.py for a minute: nothing is lost, nothing wrong, memory stays, and how its page is computed."""

import subprocess
import sys
from pathlib import Path

import pytest

from pillsnap.files import read_json
from tests.support.models import onnx_models, tiny_stage
from tests.support.workflow import PROJECT

pytestmark = pytest.mark.campaign


def test_mixed_requests_at_twice_the_capacity(base: Path, tmp_path: Path) -> None:
    stage = tiny_stage(base).classes.parent
    words = ["--seconds=60", f"--stage={stage}", f"--models={onnx_models(base)}", f"--out={tmp_path / 'out'}"]
    done = subprocess.run(
        [sys.executable, "benchmarks/soak.py", "--workers=2", "--queue=2", *words],
        cwd=PROJECT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    result = read_json(tmp_path / "out.json")
    assert (result["lost"], result["wrong"], result["status"]) == (0, {}, 0)
    assert sum(result["statuses"].values()) == result["requests"] == sum(result["kinds"].values())
    assert {"200", "400", "413", "422", "429"} <= result["statuses"].keys()
    assert result["memory_growth"] < 0.05
    assert result["stop_seconds"] < 10
    assert done.returncode == 0, done.stderr
    page = (tmp_path / "out.md").read_text(encoding="utf-8")
    assert "short run of 60 s" in page and f"p99 {result['accepted_ms']['p99']} ms" in page
