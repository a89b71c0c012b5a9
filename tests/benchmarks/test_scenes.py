"""benchmarks/scenes.py: how its page is computed, and the script at a tiny size."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pillsnap.config.data import Scenes
from pillsnap.files import read_json
from pillsnap.pictures.decode import decode_jpeg
from pillsnap.scenes import canvas as canvas_module
from pillsnap.scenes import scene as scene_module
from pillsnap.scenes.cut_outs import CutOuts
from pillsnap.scenes.draw_cut_outs import draw_cut_outs
from pillsnap.scenes.grounds import PLAIN
from pillsnap.scenes.scene import PIECES, Pieces, Scene, compose_scene
from tests.support.workflow import PROJECT

FIGURES: dict[str, Any] = {
    "command": "python benchmarks/scenes.py --drugs=1",
    "date": "2026-01-02",
    "device": "CPU: one",
    "commit": {"hash": "0123456789abcdef", "dirty": False},
    "versions": {"python": "3.11"},
    "speed": {"scenes": 1000, "processor": "one", "per_second": 8.04, "ms": {"p5": 40.2, "p50": 101.7, "p95": 300.1}},
    "cut_outs": {"photos": 200, "mean_iou": 0.9761, "lowest_iou": 0.9, "refused": {"faint": 3, "hole": 1}},
    "training": {"model": "yolo11n.yaml", "scenes": 1000, "epochs": 4, "image_size": 320},
    "real": {"pushin-pill": {"photos": 103, "pills": 557, "recall": 0.5, "precision": 0.25, "score": 0.123}},
    "without": {},
}


@pytest.fixture
def scenes_page(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(PROJECT / "benchmarks")
    import scenes_page

    return scenes_page


@pytest.mark.parametrize(
    "words",
    [
        "**8.0 a second** on one core of one (processor time, one thread),\n102 ms each in the median, 40 to 300 ms",
        "true ones is **0.976**, the lowest\n0.900; 2.0% were refused (3 `faint`, 1 `hole`).",
        "yolo11n from scratch at 320 pixels, 1,000 scenes of drawn pills, 4 epochs: 4,000 pictures\nin all.",
        "| pushin-pill | 103 | 557 | 0.500 | 0.250 | 0.12 | 0.80 / 0.80 |",
    ],
)
def test_page_follows_from_the_figures(scenes_page: Any, words: str) -> None:
    assert words in scenes_page.page(FIGURES)


def test_page_without_real_photographs_and_refusals(scenes_page: Any) -> None:
    told = scenes_page.page(FIGURES | {"real": {}, "cut_outs": FIGURES["cut_outs"] | {"refused": {}}})
    assert "none was refused." in told and "| none was there |" in told


def test_best_threshold(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(PROJECT / "benchmarks")
    from scenes import best_threshold

    found = [(0.2, False), (0.9, True), (0.5, True), (0.6, False)]
    assert best_threshold(found, 4) == {"recall": 0.5, "precision": 0.667, "score": 0.5}
    assert best_threshold([], 4) == {"recall": 0.0, "precision": 0.0, "score": 0.0}


def test_page_tells_what_each_piece_gives(scenes_page: Any) -> None:
    less = {"pushin-pill": FIGURES["real"]["pushin-pill"] | {"recall": 0.4, "precision": 0.4}}
    without = {"clutter": {"words": "no things", "real": less}}
    told = scenes_page.page(FIGURES | {"without": without})
    assert "| left out | meaning | pushin-pill: recall | precision | F1 |\n|---|---|---|---|---|" in told
    assert "| nothing | all pieces | 0.500 | 0.250 | 0.333 |\n| clutter | no things | 0.400 | 0.400 | 0.400 |" in told
    assert "left out" not in scenes_page.page(FIGURES)
    assert "left out" not in scenes_page.page(FIGURES | {"without": without, "real": {}})


@pytest.fixture
def without(monkeypatch: pytest.MonkeyPatch) -> dict[str, tuple[str, Pieces]]:
    monkeypatch.syspath_prepend(PROJECT / "benchmarks")
    from scenes_without import WITHOUT

    return WITHOUT


@pytest.fixture
def composed(without: dict[str, tuple[str, Pieces]], tmp_path: Path) -> Callable[[str], list[Scene]]:
    """Some scenes without a piece."""
    draw_cut_outs(folder=tmp_path / "drawn", drugs=3, views=1, scale=6, seed=1)
    pills = CutOuts([tmp_path / "drawn"])

    def compose(name: str) -> list[Scene]:
        pieces = without[name][1] if name else PIECES
        generators = (np.random.default_rng((1, number)) for number in range(12))
        settings = Scenes(photos=1)
        return [compose_scene(pills, side=96, settings=settings, rng=rng, pieces=pieces) for rng in generators]

    return compose


def test_scenes_lack_what_is_left_out(
    composed: Callable[[str], list[Scene]], without: dict[str, tuple[str, Pieces]], monkeypatch: pytest.MonkeyPatch
) -> None:
    things: list[str] = []
    add = scene_module._add_thing
    monkeypatch.setattr(scene_module, "_add_thing", lambda *a, **k: things.append("thing") or add(*a, **k))
    whole = composed("")
    assert things and {scene.ground for scene in whole} - set(PLAIN) and max(len(scene.pills) for scene in whole) > 1
    things.clear()
    assert composed("clutter") and not things
    assert {scene.ground for scene in composed("grounds")} <= set(PLAIN)
    assert max(len(scene.pills) for scene in composed("number")) == 1
    grey = np.full((40, 60, 3), 120, np.float32)
    jpeg, photo = without["camera"][1].camera(grey, np.random.default_rng(0))
    assert composed("camera") and (photo == 120).all() and np.abs(decode_jpeg(jpeg).astype(int) - 120).max() <= 1
    assert (PIECES.camera(grey, np.random.default_rng(0))[1] != 120).any()
    shadows: list[int] = []
    monkeypatch.setattr(canvas_module, "cast_shadows", lambda *words: shadows.append(len(words[-1].lamps)))
    assert composed("light") and shadows and not any(shadows)


@pytest.mark.campaign
def test_the_script_measures(tmp_path: Path) -> None:
    sizes = {"drugs": 3, "speed": 3, "photos": 4, "scenes": 8, "epochs": 1, "image-size": 64}
    words = [f"--{name}={value}" for name, value in sizes.items()]
    words += ["--without", "clutter", "--out", str(tmp_path / "out")]
    done = subprocess.run(
        [sys.executable, "benchmarks/scenes.py", *words],
        cwd=PROJECT,
        env=os.environ | {"PILLSNAP_REAL_DATA": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    figures = read_json(tmp_path / "out.json")
    assert figures["speed"]["scenes"] == 3 and figures["speed"]["per_second"] > 0
    assert figures["cut_outs"]["photos"] == 4 and figures["cut_outs"]["mean_iou"] > 0.9
    assert figures["real"] == {} and list(figures["without"]) == ["clutter"]
    assert (tmp_path / "out.md").read_text(encoding="utf-8").startswith("# Composed scenes: measured")
