"""docs/cluster.md shows what was measured and computed; the profiles ask for what it says."""

import re
from dataclasses import replace
from pathlib import Path

import cluster_page
import cluster_plan
import pytest
import slurm_jobs
import yaml

from pillsnap.files import read_json
from pillsnap.preflight.memory import memory_needs
from tests.support.aihub_files import write_zip
from tests.support.workflow import PROJECT, SCENE_RULES, Workflow

DETECTOR_ALONE = {"evaluate_detector", "write_detector_report"}
LATER = {"evaluate_away", "measure_references"}
"""Rules that came after the run through Slurm."""
GPU_LATER = {"export_onnx"}
"""Rules of the measured runs that ask for a GPU since then."""


@pytest.fixture(scope="module")
def measured() -> cluster_plan.Measured:
    return cluster_plan.Measured.read()


def _profile(name: str) -> dict:
    return yaml.safe_load((PROJECT / "profiles" / name / "config.yaml").read_text(encoding="utf-8"))


def _rules() -> set[str]:
    texts = [path.read_text(encoding="utf-8") for path in (PROJECT / "rules").glob("*.smk")]
    return {name for text in texts for name in re.findall(r"^ *rule (\w+):", text, re.MULTILINE)}


def _measured_rules() -> set[str]:
    """Rules of the measured run, which composed no scenes and had no report of a detector alone."""
    return _rules() - SCENE_RULES - DETECTOR_ALONE


def _gpu_rules() -> set[str]:
    texts = [path.read_text(encoding="utf-8") for path in (PROJECT / "rules").glob("*.smk")]
    rules = {name: body for text in texts for name, body in re.findall(r"rule (\w+):\n(.*?)(?=\n\n\n|\Z)", text, re.S)}
    return {name for name, body in rules.items() if re.search(r"^ +gpu=", body, re.MULTILINE)}


def test_the_page_is_computed_from_the_measurements(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also in a folder where a stage is made."""
    (tmp_path / "work/stage4/train_detector").mkdir(parents=True)
    (tmp_path / "work/stage4/train_detector/finished.json").write_text("{}")
    monkeypatch.chdir(tmp_path)
    text = cluster_page.PAGE.read_text(encoding="utf-8")
    assert text == cluster_page.page(text)
    assert text.count("<!-- end -->") == len(cluster_page.tables()) == 5


def test_plan_follows_from_the_rates(measured) -> None:
    config = cluster_plan.production()
    amounts = cluster_plan.full_amounts(config)
    planned = {step.rule: step for step in cluster_plan.steps(measured, config, amounts)}
    assert config.scenes.photos == 0 and set(planned) == _measured_rules() - {"make_synthetic_archive"}
    assert {rule for rule, step in planned.items() if step.gpu} == _gpu_rules() - DETECTOR_ALONE
    added = cluster_plan.added_seconds(measured)
    prepare = planned["prepare_archive"]
    # 200 jobs of one core on 128 cores are two rounds
    assert cluster_plan.hours(prepare, added) == pytest.approx(2 * (prepare.seconds + added) / 3600)
    assert cluster_plan.node_hours(prepare, added) == pytest.approx(200 / 16 * (prepare.seconds + added) / 3600)
    training = planned["train_detector"]
    assert cluster_plan.node_hours(training, added) == cluster_plan.hours(training, added)
    assert training.seconds == pytest.approx(50 * amounts.detector_photos * 0.8 * 3 * 86_815_129_600 / 30e12)
    # ten epochs each of 128, 192, 256, 320 and 384 pixels
    grown = 10 * sum((size / 384) ** 2 for size in (128, 192, 256, 320, 384))
    pictures = grown * amounts.trained_pills * 0.8
    assert planned["train_classifier"].seconds == pytest.approx(pictures * 3 * 71_807_856_128 / 30e12)


def test_profile_asks_for_what_every_rule_needs(measured) -> None:
    profile = _profile("slurm")
    asked = profile["set-resources"]
    assert set(asked) == _rules()
    assert {rule for rule, resources in asked.items() if resources.get("gres") == "gpu:1"} == _gpu_rules()
    config = cluster_plan.production()
    needs = memory_needs(cluster_plan.full_amounts(config), config, jobs=1, gpu=False)
    full = cluster_page.full_size_mb(measured, needs)
    for rule, resources in asked.items():
        demo = measured.rules["rules"][rule]["peak_mb"] if rule in _measured_rules() else 0
        need = max(demo, full.get(rule, 0)) + cluster_plan.EXECUTOR_MB
        assert cluster_page.asked_mb(rule) >= need, rule
        assert resources["mem_mb"].endswith(" * attempt") and resources["runtime"] >= 20
    planned = {step.rule: step for step in cluster_plan.steps(measured, config, cluster_plan.full_amounts(config))}
    assert all(asked[rule]["runtime"] * 60 > 3 * step.seconds for rule, step in planned.items())
    kubernetes = _profile("kubernetes")
    assert {rule: found["mem_mb"] for rule, found in kubernetes["set-resources"].items()} == {
        rule: found["mem_mb"] for rule, found in asked.items()
    }
    assert kubernetes["set-threads"] == profile["set-threads"]


def test_records_show_that_the_gpu_was_never_shared(measured) -> None:
    jobs = [slurm_jobs.SlurmJob(**job) for job in measured.slurm["jobs"]]
    assert {job.rule for job in jobs} >= _measured_rules() - LATER - {"make_synthetic_archive"}
    assert {job.rule for job in jobs if job.gpus} >= _gpu_rules() - DETECTOR_ALONE - LATER - GPU_LATER
    assert slurm_jobs.overlaps(jobs) == []


def test_two_jobs_on_the_gpu_at_one_time_are_noticed(measured) -> None:
    first, second = (slurm_jobs.SlurmJob(**job) for job in measured.slurm["jobs"][:2])
    on_gpu = [replace(first, gpus=1, started=10, ended=20), replace(second, gpus=1, started=19, ended=30)]
    assert slurm_jobs.overlaps(on_gpu) == [tuple(on_gpu)]
    assert slurm_jobs.overlaps([on_gpu[0], replace(on_gpu[1], started=20)]) == []
    assert slurm_jobs.overlaps([on_gpu[0], replace(on_gpu[1], gpus=0)]) == []


def test_costs_of_a_run_are_read(tmp_path) -> None:
    costs = read_json(PROJECT / "benchmarks" / "rule_costs.json")
    assert set(costs["rules"]) == _measured_rules()
    assert costs["rules"]["prepare_archive"]["jobs"] == 8


@pytest.mark.campaign
def test_operations_of_a_forward_pass_are_counted() -> None:
    import timm
    import torch
    from torch.utils.flop_counter import FlopCounterMode
    from ultralytics.nn.tasks import DetectionModel

    models = {
        "detector": (DetectionModel("yolo11l.yaml", nc=1, verbose=False).train(), 640),
        "classifier": (timm.create_model("tf_efficientnetv2_l", num_classes=4523).eval(), 384),
    }
    for name, (model, size) in models.items():
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            model(torch.zeros(1, 3, size, size))
        assert counter.get_total_flops() == cluster_plan.FORWARD[name]


def test_kubernetes_profile_passes_a_dry_run(tmp_path, monkeypatch) -> None:
    workflow = Workflow.copy_to(tmp_path / "project")
    for name in ("TS_1_단일", "TL_1_단일", "VS_1_조합", "VL_1_조합"):
        write_zip(workflow.folder / "data/raw/aihub" / f"{name}.zip", {})
    monkeypatch.setenv("PILLSNAP_VOLUME", str(workflow.folder))
    monkeypatch.setenv("PILLSNAP_IMAGE", "registry.example/pillsnap:1")
    monkeypatch.delenv("PILLSNAP_AIHUB", raising=False)
    words = ["snakemake", "-n", "--workflow-profile", "profiles/kubernetes", "--", "results/stage4/report.html"]
    said = workflow.run_quickly(*words)
    assert f"{workflow.folder}/results/stage4/report.html (send to storage)" in said
    training = said[said.index("rule train_classifier:") :]
    assert re.search(r"resources: .*mem_mb=16000.*gpu_manufacturer=nvidia.*gpu=1", training)
    assert re.search(r"^prepare_archive +2$", said, re.MULTILINE)
