"""Answers away from the studio: composed scenes of test pills, sets of real photographs, and what stops nothing."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from pillsnap.config.config import Away
from pillsnap.config.data import Scenes
from pillsnap.config.load import read_config
from pillsnap.evaluate import composed
from pillsnap.evaluate.evaluate_away import evaluate_away
from pillsnap.files import read_json, sha256_of
from pillsnap.scenes.cut_outs import CutOuts
from pillsnap.scenes.scene import compose_scene
from pillsnap.tables.files import read_table, write_table
from pillsnap.tables.schemas import MANIFEST
from tests.support.models import onnx_models, tiny_stage
from tests.support.workflow import PROJECT
from tests.support.yolo_files import write_yolo_set

SCENES = Scenes(max_pills=6)


def job(base: Path, away: Path, **changes: Any) -> dict[str, Any]:
    """Arguments of `evaluate_away` on the tiny stage, four scenes and no real set."""
    stage = tiny_stage(base)
    return {
        "models": onnx_models(base),
        "test": stage.manifest["test"],
        "prepared": [stage.prepared],
        "photos": [],
        "away": away,
        "scenes": 4,
        "side": 96,
        "context": 0.6,
        "settings": SCENES,
        "seed": 3,
        "device": "cpu",
        "threads": 1,
    } | changes


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """A set of photographs, and a folder that is none."""
    root = tmp_path_factory.mktemp("real")
    write_yolo_set(root / "hands", names=["red"], parts={"train": {"a": "0 0.24 0.19 0.32 0.19\n", "b": ""}})
    (root / "notes").mkdir()
    (root / "notes/notes.txt").write_text("pills")
    return [root / "hands", root / "notes"]


def test_composed_scenes_and_real_sets_are_measured(base: Path, real: list[Path], tmp_path: Path) -> None:
    evaluate_away(**job(base, tmp_path / "away", photos=real))
    scenes, hands, notes = read_json(tmp_path / "away/evaluation.json")["sets"]
    assert scenes["data"] == {"name": "composed", "kind": "composed"}
    assert scenes["cut_outs"]["read"] == scenes["cut_outs"]["cut_out"] + sum(scenes["cut_outs"]["refused"].values())
    assert scenes["cut_outs"]["read"] == 3, "the test part has one photograph of each drug alone"
    assert scenes["found"]["photos"] == 4 and scenes["found"]["boxes"] > 0
    assert scenes["drugs"]["pills"] == scenes["found"]["pills"] > 0, "the models know every pill of the test part"
    assert (hands["data"], hands["found"]["photos"]) == ({"name": "hands", "kind": "yolo"}, 2)
    assert notes["data"]["name"] == "notes" and "is no data set that is known" in notes["problem"]
    shown = [one["file"] for one in (*scenes["worst"], *hands["worst"])]
    files = {path.relative_to(tmp_path / "away").as_posix() for path in (tmp_path / "away").rglob("*.jpg")}
    assert shown and set(shown) == files


def test_links_to_folders_of_one_name_are_two_sets(base: Path, real: list[Path], tmp_path: Path) -> None:
    links = [tmp_path / name for name in ("first", "second")]
    for link in links:
        link.symlink_to(real[0])
    evaluate_away(**job(base, tmp_path / "away", photos=links, scenes=0))
    sets = read_json(tmp_path / "away/evaluation.json")["sets"]
    assert [one["data"]["name"] for one in sets] == ["first", "second"]


def test_threads_change_no_byte_and_the_seed_does(base: Path, real: list[Path], tmp_path: Path) -> None:
    for name, changes in {"one": {}, "two": {"threads": 2}, "other": {"seed": 4}}.items():
        evaluate_away(**job(base, tmp_path / name, photos=real, **changes))
    hashes = [sha256_of(tmp_path / name) for name in ("one", "two", "other")]
    assert hashes[0] == hashes[1] != hashes[2]


def test_more_scenes_begin_with_the_same_ones_and_none_is_one_to_train_on(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[bytes] = []

    def noted(cut_outs: CutOuts, **words: Any) -> Any:
        made.append(compose_scene(cut_outs, **words).jpeg)
        trained = compose_scene(cut_outs, **words | {"rng": np.random.default_rng((3, len(made) - 1))})
        assert trained.jpeg != made[-1]
        return compose_scene(cut_outs, **words | {"rng": np.random.default_rng((3, len(made) - 1, 1))})

    monkeypatch.setattr(composed, "compose_scene", noted)
    evaluate_away(**job(base, tmp_path / "two", scenes=2))
    first = list(made)
    made.clear()
    evaluate_away(**job(base, tmp_path / "three", scenes=3))
    assert len(first) == 2 and made[:2] == first


def test_nothing_to_compose_stops_nothing(base: Path, tmp_path: Path) -> None:
    test = read_table(tiny_stage(base).manifest["test"], MANIFEST)
    write_table(test[test["domain"] == "combo"].reset_index(drop=True), tmp_path / "combos.csv", MANIFEST)
    evaluate_away(**job(base, tmp_path / "combos", test=tmp_path / "combos.csv"))
    (scenes,) = read_json(tmp_path / "combos/evaluation.json")["sets"]
    assert scenes["cut_outs"] == {"read": 0, "cut_out": 0, "refused": {}} and "found" not in scenes
    evaluate_away(**job(base, tmp_path / "none", scenes=0))
    assert read_json(tmp_path / "none/evaluation.json") == {"sets": []}


def test_real_data_is_named_by_a_variable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("b", "a", ".cache"):
        (tmp_path / name).mkdir()
    (tmp_path / "README.md").write_text("no set")
    monkeypatch.setenv("PILLSNAP_REAL_DATA", str(tmp_path))
    assert Away().sets == [str(tmp_path / "a"), str(tmp_path / "b")]
    assert Away(real_data="").sets == []
    monkeypatch.delenv("PILLSNAP_REAL_DATA")
    assert Away().sets == []
    with pytest.raises(ValueError, match=r"there is no folder .*missing\. Mount the data"):
        Away(real_data=str(tmp_path / "missing"))


@pytest.mark.parametrize(
    ("kind", "root", "left"),
    [
        ("yolo", "data/a", ["b"]),
        ("yolo", "data/a/train", ["b"]),
        ("yolo", "${AWAY_DATA}/a", ["b"]),
        ("yolo", "link", ["b"]),
        ("yolo", "data", []),
        ("yolo", "elsewhere", ["a", "b"]),
        ("aihub", "s3://bucket/a", ["a", "b"]),
        ("synthetic", "data/raw/synthetic", ["a", "b"]),
    ],
)
def test_what_a_source_reads_is_not_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, root: str, left: list[str]
) -> None:
    """Not its folder, nor one in it or around it: its photographs are trained on."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AWAY_DATA", str(tmp_path / "data"))
    for name in ("a/train", "b"):
        (tmp_path / "data" / name).mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "data/a")
    overlay = {"source": {"kind": kind, "root": root}, "away": {"real_data": "data"}}
    (tmp_path / "overlay.yaml").write_text(yaml.safe_dump(overlay))
    config = read_config(PROJECT / "config.yaml", tmp_path / "overlay.yaml")
    assert [Path(path).name for path in config.away_sets] == left
