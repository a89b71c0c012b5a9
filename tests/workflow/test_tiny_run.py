"""The whole workflow for real, at a tiny size: once, again, and again with one thing changed."""

import json
import os
import re
import subprocess

import pandas as pd
import pytest

from pillsnap.reproduce.verify import Outcome, compare_with_recorded
from tests.support.surroundings import other_surroundings
from tests.support.workflow import (
    AFTER_BENCHMARK,
    AFTER_CROPS,
    AFTER_DETECTOR,
    AFTER_EXPORT,
    AFTER_MANIFEST,
    AFTER_YOLO,
    DATA_RULES,
    SCENE_RULES,
    Workflow,
)


@pytest.fixture(scope="module")
def finished(made: Workflow, tmp_path_factory) -> Workflow:
    """A copy in which everything was made with as many cores as there are."""
    return made.copy(tmp_path_factory.mktemp("finished") / "project")


def test_everything_is_made_and_nothing_is_left_half_written(finished) -> None:
    results = finished.folder / "results" / "stage4"
    made = {path.relative_to(results).as_posix() for path in results.rglob("*") if path.is_file()}
    expected = {
        "plan.parquet", "plan.backgrounds.parquet", "plan.issues.parquet", "plan.json", "preflight.json",
        "manifest/backgrounds.csv", "manifest/train.csv",
        "manifest/val.csv", "manifest/test.csv", "manifest/unseen.csv", "manifest/quarantine.csv",
        "manifest/near_duplicates.csv",
        "manifest/overlapping_labels.csv",
        "manifest/classes.json", "manifest/drugs.csv", "manifest/summary.json", "yolo/data.yaml", "detector/best.pt",
        "detector/best.safetensors", "detector/history.csv", "detector/events.json", "detector/resources.json",
        "provenance/train_detector.json", "detections.parquet", "label_audit/findings.csv",
        "label_audit/coco.json", "label_audit/summary.json", "crops/index.parquet", "crops/train.bin",
        "crops/unseen_val.bin",
        "classifier/best.safetensors", "classifier/history.csv", "provenance/write_report.json", "onnx/detector.onnx",
        "onnx/classifier.onnx", "onnx/parity.json", "benchmark/accuracy.json", "benchmark/latency.json",
        "benchmark/resources.json", "metrics.json", "report.html", "dataset.html", "model_card.md",
        "away/evaluation.json",
    }  # fmt: skip
    assert expected <= made
    assert not list(finished.folder.rglob("*.part"))
    for name in ("report.html", "dataset.html"):
        page = (results / name).read_text(encoding="utf-8")
        assert "synthetic" in page[page.index("<body") :][:3000].lower()
        assert not re.search(r"""(src|href)=["']?https?:""", page)


def test_metrics_have_the_agreed_keys(finished) -> None:
    metrics = json.loads((finished.folder / "results/stage4/metrics.json").read_text())

    def value(path: str):
        node = metrics
        for part in path.split("."):
            node = node[part]
        return node

    fractions = [
        "detector.map50", "detector.map50_95", "classifier.top1", "classifier.top5", "classifier.macro_f1",
        "classifier.single.top1", "classifier.combo.top1", "pipeline.combo_correct",
    ]  # fmt: skip
    for path in fractions:
        assert 0 <= value(path) <= 1, path
    for mode in ("single", "combo"):
        latency = value(f"latency.{mode}")
        assert 0 < latency["p50_ms"] <= latency["p95_ms"] <= latency["p99_ms"]
    assert value("data.classes") == 4
    assert value("environment.device").startswith(("CPU: ", "GPU: "))
    assert value("data.photos") > 50


def test_account_balances_and_planted_defects_are_listed(finished) -> None:
    summary = json.loads((finished.folder / "results/stage4/manifest/summary.json").read_text())
    for kind in ("photos", "labels"):
        account = summary[kind]
        left = sum(account["quarantined"].values()) + sum(account["skipped"].values())
        assert account["read"] == account["kept"] + left
    assert sum(summary["photos"]["quarantined"].values()) > 0


def test_drugs_that_are_never_seen_are_in_their_own_files_only(finished) -> None:
    results = finished.folder / "results/stage4"
    classes = {drug["k_code"] for drug in json.loads((results / "manifest/classes.json").read_text())}
    unseen = pd.read_csv(results / "manifest/unseen.csv")
    crops = pd.read_parquet(results / "crops/index.parquet")
    assert unseen.groupby("split")["k_code"].nunique().to_dict() == {"unseen_test": 1, "unseen_val": 1}
    assert len(unseen) == 8 and not classes & set(unseen["k_code"])
    assert set(crops.loc[crops["split"] == "unseen_val", "k_code"]) < set(unseen["k_code"])
    assert set(crops.loc[crops["split"] != "unseen_val", "k_code"]) == classes
    said = "Never seen: 2 drugs, 8 photographs"
    assert all(said in (results / name).read_text(encoding="utf-8") for name in ("report.html", "dataset.html"))


def test_every_job_has_a_log_and_a_measured_duration(finished) -> None:
    logs = {path.relative_to(finished.folder).with_suffix("") for path in (finished.folder / "logs").rglob("*.log")}
    times = {path.relative_to(finished.folder).with_suffix("") for path in (finished.folder / "logs").rglob("*.tsv")}
    assert logs == times and len(logs) > 12


def test_nothing_is_done_twice(finished) -> None:
    assert "Nothing to be done" in finished.snakemake()


@pytest.mark.parametrize(
    ("change", "rules"),
    [
        ("stages.stage4.targets.top1=0.5", AFTER_BENCHMARK),
        ("benchmark.warmup=2", {"export_onnx"} | AFTER_EXPORT),
        ("onnx.parity_photos=5", {"export_onnx"} | AFTER_EXPORT),
        ("classifier.epochs=3", AFTER_CROPS),
        ("crops.margin=0.2", {"cut_crops"} | AFTER_CROPS),
        ("away.scenes=5", {"evaluate_away", "write_report"}),
        ("scenes.max_pills=9", AFTER_YOLO | {"compose_scenes", "write_dataset_page"}),
        ("scenes.cut_outs_per_drug=2", AFTER_MANIFEST),
        ("scenes.crops=false", {"cut_crops"} | AFTER_CROPS),
        ("audit.pictures=1", {"audit_labels", "write_report"}),
        ("audit.min_score=0.7", {"audit_labels", "write_report"}),
        ("audit.lowest_score=0.06", AFTER_DETECTOR - {"train_detector"}),
        ("benchmark.min_score=0.4", {"cut_crops"} | AFTER_CROPS),
        ("crops.min_iou=0.6", {"cut_crops", "audit_labels"} | AFTER_CROPS),
        ("detector.epochs=2", AFTER_DETECTOR),
        ("portable=false", {"make_synthetic_archive"} | DATA_RULES | AFTER_MANIFEST),
        ("yolo.max_single_photos=10", AFTER_YOLO),
        ('yolo.partly_labelled="use"', AFTER_YOLO),
        ("manifest.max_quarantined_fraction=0.4", {"build_manifest"} | AFTER_MANIFEST),
        ("prepare.photo_quality=80", {"prepare_archive", "build_manifest"} | AFTER_MANIFEST),
        ("plan.val_fraction=0.3", DATA_RULES - {"index_archive"} | AFTER_MANIFEST),
        ("plan.unseen_photos=6", DATA_RULES - {"index_archive"} | AFTER_MANIFEST),
        ("seed=7", {"make_synthetic_archive"} | DATA_RULES | AFTER_MANIFEST),
    ],
)
def test_a_changed_value_reruns_just_what_depends_on_it(finished, change, rules) -> None:
    *path, last = change.split("=")[0].split(".")
    value: object = json.loads(change.split("=")[1])
    for key in (last, *reversed(path)):
        value = {key: value}
    overlay = finished.folder / "change.json"
    overlay.write_text(json.dumps(value))
    assert finished.planned("--configfile", "config.yaml", overlay.name) == rules


def test_a_forced_rule_runs_with_what_follows_and_nothing_before(finished) -> None:
    assert finished.planned("-R", "train_classifier") == AFTER_CROPS


def test_the_dataset_page_needs_the_manifest_only(finished) -> None:
    page = "results/stage4/dataset.html"
    assert finished.planned("-R", "write_dataset_page", target=page) == {"write_dataset_page"}
    before = {"make_synthetic_archive", *DATA_RULES, *SCENE_RULES}
    assert finished.planned("--forceall", target=page) == before | {"write_dataset_page"}


def test_without_raw_archives_nothing_is_done_again(finished) -> None:
    raw = finished.folder / "data" / "raw"
    raw.rename(raw.with_name("elsewhere"))
    try:
        assert finished.planned() == set()
    finally:
        raw.with_name("elsewhere").rename(raw)


def test_a_new_check_of_the_machine_decodes_nothing_again(finished) -> None:
    preflight = finished.folder / "results/stage4/preflight.json"
    assert finished.planned("-R", "check_machine") == {"check_machine"}
    before = json.loads(preflight.read_text())
    finished.snakemake("-R", "check_machine")
    assert json.loads(preflight.read_text())["findings"][-1]["found"].startswith("complete"), "there is a manifest now"
    assert before["findings"][-1]["found"] == "not made yet"
    assert finished.planned() == set()


def test_a_lost_check_of_the_machine_is_made_again_with_the_next_decode_only(finished) -> None:
    preflight = finished.folder / "results/stage4/preflight.json"
    content, times = preflight.read_bytes(), preflight.stat()
    preflight.unlink()
    (finished.folder / "change.json").write_text('{"stages": {"stage4": {"targets": {"top1": 0.4}}}}')
    try:
        assert finished.planned() == set()
        assert finished.planned("--configfile", "config.yaml", "change.json") == AFTER_BENCHMARK
        (finished.folder / "change.json").write_text('{"prepare": {"photo_quality": 70}}')
        planned = finished.planned("--configfile", "config.yaml", "change.json")
        assert planned == {"check_machine", "prepare_archive", "build_manifest"} | AFTER_MANIFEST
    finally:
        preflight.write_bytes(content)
        os.utime(preflight, ns=(times.st_atime_ns, times.st_mtime_ns))


def test_a_plan_that_was_made_alone_is_decoded_and_checked(finished) -> None:
    """With a plain `ancient` input Snakemake would check only, and leave the old photographs to a second run."""
    results = finished.folder / "results/stage4"
    kept = {name: (results / name).stat() for name in ("plan.parquet", "plan.json")}
    content = (results / "plan.parquet").read_bytes()
    (results / "plan.parquet").write_bytes(content + b" ")
    try:
        assert finished.planned() == DATA_RULES - {"index_archive", "plan_stage"} | AFTER_MANIFEST
    finally:
        (results / "plan.parquet").write_bytes(content)
        for name, times in kept.items():
            os.utime(results / name, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert finished.planned() == set()


@pytest.mark.campaign
def test_a_small_disk_is_refused_before_the_first_decode(finished) -> None:
    """A results folder on a file system of 6 MiB, which holds index and plan."""
    small = finished.folder / "small"
    small.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=6m", "tmpfs", small], capture_output=True).returncode:
        pytest.skip("needs the right to mount a file system")
    try:
        (finished.folder / "change.json").write_text('{"pathvars": {"results": "small/results", "logs": "small/logs"}}')
        said = finished.snakemake(
            "--configfile", "config.yaml", "change.json", target="small/results/stage4/manifest/train.csv", check=False
        )
        assert "PreflightError: stage4 is refused before its first photograph is decoded:\n  disk: 6 MiB free" in said
        assert "or move pathvars.results to a larger disk" in said
        assert "rule prepare_archive" not in said
        made = {path.name for path in (small / "results" / "stage4").iterdir()}
        assert made == {"plan.parquet", "plan.backgrounds.parquet", "plan.issues.parquet", "plan.json", "provenance"}
    finally:
        subprocess.run(["umount", small], check=True)


def test_estimate_of_the_disk_holds(finished) -> None:
    """What the finished stage takes, part by part, against what the check said that it would take."""
    results, work = finished.folder / "results/stage4", finished.folder / "work/stage4"
    said = json.loads((results / "preflight.json").read_text())["disk_bytes"]
    folders = {
        "prepared photographs": [results / "prepared"],
        "manifest": [results / "manifest"],
        "crops": [results / "crops"],
        "models": [results / name for name in ("detector", "classifier", "onnx")],
        "training state, classifier": [work / "train_classifier"],
    }
    for part, below in folders.items():
        files = [file for folder in below for file in folder.rglob("*") if file.is_file()]
        taken = sum(file.stat().st_size for file in files)
        assert taken < said[part]["need"] < 3 * taken, part


def test_an_edited_module_reruns_its_rules(finished) -> None:
    module = finished.folder / "pillsnap" / "benchmark" / "pytorch_baseline.py"
    text = module.read_text()
    module.write_text(text + "\n# edited\n")
    try:
        assert finished.planned() == {"run_benchmark"} | AFTER_BENCHMARK
    finally:
        module.write_text(text)
    assert finished.planned() == set()


@pytest.fixture(scope="module")
def recorded(finished) -> Workflow:
    """The same copy, with a commit that records what was made."""
    finished.run_quickly("dvc", "repro", "stage@stage4")
    finished.run("git", "add", "--all")
    finished.run("git", "-c", "user.name=t", "-c", "user.email=t@example.org", "commit", "--quiet", "-m", "Stage 4")
    return finished


def test_a_file_is_traced_back_to_the_raw_archives(finished) -> None:
    said = finished.run("pillsnap", "trace", "results/stage4/onnx/pipeline.onnx", "--check")
    on_the_way = set(DATA_RULES | AFTER_YOLO) - {"audit_labels"} - AFTER_EXPORT
    assert not [rule for rule in on_the_way | {"make_synthetic_archive"} if rule not in said]
    assert "TS_1_단일.zip" in said and "Every file on the path matches its record." in said


def test_a_file_that_was_edited_is_found_on_the_way(finished) -> None:
    file = finished.folder / "results/stage4/manifest/train.csv"
    content, times = file.read_bytes(), file.stat()
    file.write_bytes(content + b"\n")
    try:
        said = finished.run("pillsnap", "trace", "results/stage4/crops/index.parquet", "--check", check=False)
        assert "results/stage4/manifest/train.csv has changed since build_manifest made it" in said
        assert "no job below results recorded" in finished.run("pillsnap", "trace", "README.md", check=False)
    finally:
        file.write_bytes(content)
        os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))


def test_runs_that_were_given_the_same_do_not_differ(recorded) -> None:
    said = recorded.run("pillsnap", "diff", "HEAD")
    assert said.splitlines()[-1] == "Different: nothing. The same: data, config, code, environment, seed."


def test_a_run_of_another_report_target_differs_in_that_alone(recorded) -> None:
    page = recorded.folder / "results/stage4/provenance/write_report.json"
    content, times = page.read_bytes(), page.stat()
    try:
        value = json.loads(page.read_text())
        value["settings"]["config"]["stages"]["stage4"]["targets"]["top1"] = 0.5
        value["code"]["pillsnap/report/write_report.py"] = "0" * 64
        page.write_text(json.dumps(value))
        said = recorded.run("pillsnap", "diff", "HEAD", "workspace", check=False)
        assert "Different: config, code. The same: data, environment, seed." in said
        assert re.search(r"stages.stage4.targets.top1: 0\.\d+ -> 0\.5  \(write_report\)", said)
        assert re.search(r"pillsnap/report/write_report.py: \w{12} -> 000000000000  \(write_report\)", said)
    finally:
        page.write_bytes(content)
        os.utime(page, ns=(times.st_atime_ns, times.st_mtime_ns))


@pytest.mark.campaign
def test_made_again_in_other_surroundings_it_is_the_same(recorded, tmp_path) -> None:
    """One core for all, a folder with another name, Seoul's time, a Korean locale, folders listed backwards."""
    seoul = Workflow(recorded.folder, other_surroundings(tmp_path))
    said = seoul.run("pillsnap", "verify", "--cores", "1", "--folder", str(tmp_path / "다시 만든 것"))
    counts = {words: int(number) for number, words in re.findall(r"^ +(\d+)  (.+)$", said, re.MULTILINE)}
    assert counts["differs"] == counts["made on another device"] == 0
    assert counts["identical"] > 80
    assert not (tmp_path / "다시 만든 것").exists()


def test_a_folder_that_verify_did_not_make_is_left_alone(recorded, tmp_path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "file").write_text("mine")
    for folder in (tmp_path / "mine", recorded.folder):
        said = recorded.run("pillsnap", "verify", "--folder", str(folder), check=False)
        assert f"{folder}: exists, and is no unfinished verification of HEAD" in said
    assert (tmp_path / "mine" / "file").read_text() == "mine" and (recorded.folder / "results").is_dir()


def test_what_is_not_the_same_is_named_to_the_row(recorded, monkeypatch) -> None:
    monkeypatch.chdir(recorded.folder)
    results = recorded.folder / "results/stage4"
    table, weights = results / "manifest/train.csv", results / "classifier/best.safetensors"
    kept = {path: (path.read_bytes(), path.stat()) for path in (table, weights)}
    try:
        rows = table.read_text(encoding="utf-8-sig").splitlines()
        rows[3] = rows[3].replace(",train,", ",val,")
        table.write_text("\n".join(rows) + "\n", encoding="utf-8-sig")
        changed = bytearray(weights.read_bytes())
        changed[-1] ^= 1
        weights.write_bytes(changed)
        (results / "manifest/more.csv").write_text("1\n")
        found = compare_with_recorded("HEAD", "stage4", recorded.folder, tolerance=0.0)
        differing = {finding.path: finding.detail for finding in found if finding.outcome is Outcome.DIFFERS}
        assert differing.pop("results/stage4/manifest/train.csv") == "row 3, split: train / val"
        assert differing.pop("results/stage4/manifest/more.csv") == "not recorded"
        told = differing.pop("results/stage4/classifier/best.safetensors")
        assert re.fullmatch(r"tensor [\w.]+: 1 of \d+ values, by .+ at most", told)
        assert not differing
    finally:
        (results / "manifest/more.csv").unlink(missing_ok=True)
        for path, (content, times) in kept.items():
            path.write_bytes(content)
            os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
