"""The benchmark on a tiny stage, with real models that know nothing."""

import json
from pathlib import Path
from typing import Any

import pytest

from pillsnap.benchmark.run_benchmark import run_benchmark
from pillsnap.config.config import Benchmark
from pillsnap.files import read_json, write_json
from pillsnap.pages.states import UNMEASURED
from pillsnap.report.facts.verdicts import verdicts
from pillsnap.tables.files import make_table, read_table, write_table
from pillsnap.tables.schemas import MANIFEST, MANIFEST_BACKGROUNDS
from tests.support.models import DRUGS, PHOTOS_OF, onnx_models, tiny_stage, trained_classifier, untrained_checkpoint
from tests.support.played_card import PlayedCard


def benchmark(base: Path, folder: Path, **changes: Any) -> dict[str, Any]:
    """Arguments of `run_benchmark` that write into `folder`."""
    stage = tiny_stage(base)
    write_json(folder / "summary.json", {"photos": {"kept": sum(PHOTOS_OF.values())}})
    written = {name: folder / f"{name}.json" for name in ("accuracy", "latency", "resources", "metrics")}
    backgrounds = folder / "backgrounds.csv"
    write_table(make_table([], MANIFEST_BACKGROUNDS), backgrounds, MANIFEST_BACKGROUNDS)
    return {
        "models": onnx_models(base),
        "detector": untrained_checkpoint(base),
        "classifier": trained_classifier(base)["best"],
        "manifest": stage.manifest["test"],
        "unseen": stage.manifest["unseen"],
        "backgrounds": backgrounds,
        "summary": folder / "summary.json",
        "prepared": [stage.prepared],
        "looks": [stage.looks],
        **written,
        "examples": folder / "examples",
        "work": folder / "work",
        "settings": Benchmark(latency_photos=5, warmup=0, threads=1),
        "min_iou": 0.5,
        "device": "cpu",
        "source_of": {},
    } | changes


@pytest.fixture(scope="module")
def measured(base: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    job = benchmark(base, tmp_path_factory.mktemp("benchmark"))
    run_benchmark(**job)
    return job


def test_metrics_are_those_that_others_rely_on(measured: dict[str, Any]) -> None:
    metrics = read_json(measured["metrics"])
    assert metrics["data"] == {"photos": 21, "classes": 3, "test_photos": 6}
    assert set(metrics["detector"]) == {"map50", "map50_95"}
    for part in (metrics["classifier"], metrics["classifier"]["single"], metrics["classifier"]["combo"]):
        assert 0 <= part["top1"] <= part["top5"] == 1, "three drugs are among the best five"
        assert 0 <= part["macro_f1"] <= 1
    assert 0 <= metrics["pipeline"]["combo_correct"] <= metrics["pipeline"]["combo_found"] <= 1
    for mode in ("single", "combo"):
        assert set(metrics["latency"][mode]) == {"p50_ms", "p95_ms", "p99_ms"}
    assert metrics["environment"]["device"].startswith("CPU")


def test_trust_is_measured_on_answers_and_on_drugs_never_seen(measured: dict[str, Any]) -> None:
    accuracy = read_json(measured["accuracy"])
    trust = accuracy["trust"]
    assert sum(verdict["share"] for verdict in trust["verdicts"].values()) == pytest.approx(1)
    assert trust["unseen"]["pills"] == 4, "one pill in each photograph of the half that is for measuring"
    assert (trust["unseen"]["auroc"], trust["sets"]) == (None, {}), "an untrained detector's boxes are no pills"
    assert accuracy["fused"]["photos"] == 6
    metrics = read_json(measured["metrics"])["trust"]
    assert metrics["ece"] == trust["ece"]["after"]
    assert metrics["unseen_not_known"] == 1, "so few validation pills promise nothing"


def test_ways_to_an_answer_are_timed_side_by_side(measured: dict[str, Any]) -> None:
    latency = read_json(measured["latency"])
    assert set(latency["side_by_side"]) == {"1"}, "no photograph of the tiny stage shows four pills"
    ways = latency["side_by_side"]["1"]
    assert ways["fused"]["times"] == 1 and {"int8", "steps", "pytorch"} < set(ways)
    assert set(latency["steps"]) == set(latency["throughput"]) == {"single", "combo"}
    assert latency["throughput"]["combo"]["photos_per_second"] > 0


def test_accuracy_is_told_drug_by_drug(measured: dict[str, Any]) -> None:
    accuracy = read_json(measured["accuracy"])
    by_drug = accuracy["by_drug"]
    assert {drug["k_code"] for drug in by_drug} == {drug.k_code for drug in DRUGS}
    assert sum(drug["pills"] for drug in by_drug) == accuracy["classifier"]["pills"] == 3 + 3 * 3
    right = sum(drug["pills"] * drug["top1"] for drug in by_drug)
    assert right / 12 == pytest.approx(accuracy["classifier"]["top1"])
    assert 12 - right == pytest.approx(sum(pair["count"] for pair in accuracy["confused"]))


def test_examples_are_what_their_index_says(measured: dict[str, Any]) -> None:
    index = read_json(measured["examples"] / "index.json")
    assert [sample["domain"] for sample in index["samples"]] == ["combo"] * 3 + ["single"] * 3
    assert all(sample["right"] <= min(sample["pills"], sample["answered"]) for sample in index["samples"])
    named = {sample["file"] for sample in index["samples"]}
    named |= {pair[key] for pair in index["confused"] for key in ("true_file", "named_file") if pair[key]}
    files = {path.relative_to(measured["examples"]).as_posix() for path in measured["examples"].rglob("*.jpg")}
    assert named == files


def test_without_fully_labelled_photographs_the_detector_is_not_measured(
    measured: dict[str, Any], tmp_path: Path, base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pills = read_table(measured["manifest"], MANIFEST).assign(fully_labelled=False)
    write_table(pills, tmp_path / "test.csv", MANIFEST)
    job = benchmark(base, tmp_path, manifest=tmp_path / "test.csv")
    # the times of the first run: they need no labels
    latency = read_json(measured["latency"])
    monkeypatch.setattr("pillsnap.benchmark.run_benchmark.measure_speed", lambda *_, **__: latency)
    run_benchmark(**job)
    metrics = json.loads(job["metrics"].read_text(), parse_constant=lambda word: pytest.fail(f"{word} is no JSON"))
    assert metrics["detector"] == {"map50": None, "map50_95": None}
    states = {one.key: one.state for one in verdicts({"map50": 0.3, "map50_95": 0.3}, metrics)}
    assert (states["map50"], states["map50_95"]) == (UNMEASURED, UNMEASURED)
    assert metrics["classifier"] == read_json(measured["metrics"])["classifier"]


def test_on_a_gpu_the_figures_are_those_of_the_cpu_and_the_fused_graph_answers_some(
    measured: dict[str, Any], tmp_path: Path, base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected, latency = read_json(measured["accuracy"]), read_json(measured["latency"])
    card = PlayedCard().plug_in(monkeypatch, "pillsnap.predict.model", "pillsnap.predict.unfused")
    monkeypatch.setattr("torch.cuda.get_device_name", lambda index: "Test card")
    monkeypatch.setattr("pillsnap.benchmark.run_benchmark.FUSED_PHOTOS", 3)
    monkeypatch.setattr("pillsnap.benchmark.run_benchmark.measure_speed", lambda *_, **__: latency)
    monkeypatch.setattr("pillsnap.benchmark.run_benchmark.compare_devices", lambda *_, **__: {})
    job = benchmark(base, tmp_path, device="cuda")
    run_benchmark(**job)
    found = read_json(job["accuracy"])
    assert card.batches["detector.onnx"] == [PHOTOS_OF["test"], 4]
    assert card.batches["pipeline.onnx"] == [1] * 5, "three test photographs of six, two of the four never seen"
    assert found["fused"]["photos"] == 3 and expected["fused"]["photos"] == 6
    assert found["devices"] == {}
    for part in ("classifier", "pipeline", "by_drug", "confused"):
        assert found[part] == expected[part]
    assert found["detector"]["map50"] == pytest.approx(expected["detector"]["map50"], abs=1e-6)
