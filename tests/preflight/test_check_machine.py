"""The checks before a stage, by tables: what the machine and the data are said to be, and the verdict."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from pillsnap.config.config import Config
from pillsnap.config.load import read_config
from pillsnap.config.training import Classifier, Detector
from pillsnap.files import read_json, write_json
from pillsnap.preflight import disk, memory, stage
from pillsnap.preflight.amounts import Amounts, count_amounts
from pillsnap.preflight.check_machine import PreflightError, check_machine
from pillsnap.preflight.disk import Part, check_disk, disk_parts, needed_bytes
from pillsnap.preflight.findings import GIB, gib
from pillsnap.preflight.gpu import gpu_need
from pillsnap.preflight.manifest import check_manifest
from pillsnap.preflight.memory import TORCH_PROCESS, check_memory, check_shared_memory, memory_needs
from pillsnap.preflight.models import training_bytes
from pillsnap.preflight.plan import check_plan, gini
from pillsnap.preflight.raw import check_archives
from pillsnap.tables.files import make_table, read_table
from pillsnap.tables.schemas import PLAN, PLANNED_BACKGROUNDS
from pillsnap.training.model_sizes import LARGEST, SIZES, architecture, size_of
from tests.support.archives import DataRun, hand_made, prepare_source
from tests.support.detectors import write_untrained_detector
from tests.support.plans import archive, planned
from tests.support.preflight import AMOUNTS, PRODUCTION, config, ends
from tests.support.workflow import PROJECT

NO_BACKGROUNDS = make_table([], PLANNED_BACKGROUNDS)


@pytest.mark.parametrize(("size", "text"), [(0, "0 MiB"), (37 * 2**20, "37 MiB"), (3.25 * GIB, "3.2 GiB")])
def test_sizes_in_words(size: float, text: str) -> None:
    assert gib(size) == text


@pytest.mark.parametrize(
    ("free", "there", "verdict"),
    [(126, 0, "ok"), (124, 0, "warning"), (99, 0, "refused"), (51, 60, "ok"), (0, 100, "ok"), (0, 500, "ok")],
)
def test_disk(monkeypatch: pytest.MonkeyPatch, free: int, there: int, verdict: str) -> None:
    monkeypatch.setattr(disk, "disk_free", lambda folder: 100 * GIB if "results" not in str(folder) else free * GIB)
    parts = [Part("crops", (Path("results/stage4/crops"),), 100 * GIB, there * GIB)]
    found, temporary = check_disk(parts, "stage4")
    assert (ends(found), ends(temporary)) == (verdict, "ok")
    assert f"stage4 needs about {gib(max(0, 100 - there) * GIB)}" in found.found


def test_each_file_system_holds_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disk, "file_system", lambda folder: int("work" in str(folder)))
    monkeypatch.setattr(disk, "disk_free", lambda folder: GIB // 1024 if "work" in str(folder) else 1000 * GIB)
    results, work, _ = check_disk(disk_parts(AMOUNTS, config(), "stage4"), "stage4")
    assert [ends(results), ends(work)] == ["ok", "refused"]
    assert "pathvars.work" in work.cure and "training state" in work.found


def test_small_temporary_folder_is_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disk, "disk_free", lambda folder: 10**6)
    assert ends(check_disk([], "stage4")[-1]) == "warning"


def test_what_is_there_is_needed_no_second_time(tmp_path: Path) -> None:
    paths = {"results": str(tmp_path / "results"), "work": str(tmp_path / "work")}
    one = config(pathvars=paths, source={"kind": "aihub", "root": str(tmp_path)})
    before = disk_parts(AMOUNTS, one, "stage4")
    shard = tmp_path / "results" / "stage4" / "prepared" / "TS_1_single" / "photos.bin"
    shard.parent.mkdir(parents=True)
    shard.write_bytes(os.urandom(5 * 2**20))
    after = disk_parts(AMOUNTS, one, "stage4")
    assert needed_bytes(before) - needed_bytes(after) == pytest.approx(5 * 2**20, rel=0.01)
    assert [part.need for part in before] == [part.need for part in after]


def test_amounts_of_a_plan_are_counted(tmp_path: Path) -> None:
    plan, _ = planned(tmp_path, archive())
    one = config(prepare={"photo_size": 640, "crop_context": 0.6}, yolo={"max_single_photos": 8})
    found = count_amounts(plan, NO_BACKGROUNDS, one)
    photos = plan.drop_duplicates("image_id")
    trained = photos[photos["split"] != "test"]
    assert (found.photos, found.pills, found.drugs) == (len(photos), len(plan), 12)
    assert found.test_pixels == (photos["split"] == "test").sum() * 976 * 1280
    assert found.small_pixels == pytest.approx(len(trained) * 976 * 1280 / 4)
    # box 1, 1, 9, 9 and six tenths of 9 on each side, cut at the photograph's edge
    assert found.context_pixels == (plan["split"] != "test").sum() * 16**2
    assert found.detector_photos == (trained["domain"] == "combo").sum() + 8 + 2


def test_backgrounds_are_decoded_and_train_the_detector_as_well(tmp_path: Path) -> None:
    """Their sizes are in no label; the detector takes at most as many as photographs with pills."""
    plan, _ = planned(tmp_path, archive())
    one = config(prepare={"photo_size": 640}, yolo={"max_single_photos": 8})
    before = count_amounts(plan, NO_BACKGROUNDS, one)
    sides = ["train"] * 500 + ["val"] * 1 + ["test"] * 7
    rows = [
        {"image_id": f"b{n}", "archive": "b", "member": f"{n}.png", "part": "", "group": "", "split": side}
        for n, side in enumerate(sides)
    ]
    after = count_amounts(plan, make_table(rows, PLANNED_BACKGROUNDS), one)
    pixels = 976 * 1280
    assert (after.photos - before.photos, after.pills - before.pills) == (508, 0)
    assert after.test_pixels - before.test_pixels == 7 * pixels
    assert after.small_pixels - before.small_pixels == pytest.approx(501 * pixels / 4)
    combos = plan.drop_duplicates("image_id").query("domain == 'combo' and split == 'train'")
    assert after.detector_photos - before.detector_photos == len(combos) + 8 + 1
    assert after.detector_pixels == pytest.approx(after.detector_photos * pixels / 4)


def test_unseen_drugs_are_counted_by_what_is_stored_of_them(tmp_path: Path) -> None:
    plan, summary = planned(tmp_path, archive(), unseen_drugs=4, unseen_share=1, unseen_photos=40)
    found, halves = count_amounts(plan, NO_BACKGROUNDS, config()), plan["split"].value_counts()
    assert (halves["unseen_val"], halves["unseen_test"]) == (20, 20)
    assert found.drugs == 8
    assert found.test_pixels == (halves["unseen_test"] + halves["test"]) * 976 * 1280
    assert found.trained_pills == halves[["train", "val", "unseen_val"]].sum()
    (budget,) = (one for one in check_plan(plan, summary, config()) if one.what == "plan: budget")
    assert ends(budget) == "ok"


@pytest.mark.parametrize(
    ("total", "available", "verdict"), [(64, 60, "ok"), (64, 1, "warning"), (2, 1, "warning"), (1, 1, "refused")]
)
def test_memory(monkeypatch: pytest.MonkeyPatch, total: float, available: float, verdict: str) -> None:
    monkeypatch.setattr(memory, "memory", lambda: (total * GIB, available * GIB))
    assert ends(check_memory({"cut_crops": 3 * GIB, "train_detector": GIB}, jobs=2)) == verdict


@pytest.mark.parametrize(
    ("pills", "jobs", "on_gpu", "hungriest"),
    [(1e3, 2, True, "train_detector"), (1e6, 16, True, "prepare_archive"), (2e6, 1, True, "prepare_archive")],
)
def test_memory_grows_with_pills_and_jobs(pills: float, jobs: int, on_gpu: bool, hungriest: str) -> None:
    amounts = Amounts(**vars(AMOUNTS) | {"pills": pills})
    needs = memory_needs(amounts, config(), jobs=jobs, gpu=on_gpu)
    assert max(needs, key=lambda rule: needs[rule]) == hungriest
    larger = memory_needs(Amounts(**vars(amounts) | {"pills": 2 * pills}), config(), jobs=jobs, gpu=on_gpu)
    assert all(larger[rule] > needs[rule] for rule in ("prepare_archive", "build_manifest", "cut_crops"))


def test_training_on_the_cpu_takes_its_model_into_memory() -> None:
    on_cpu, on_gpu = (memory_needs(AMOUNTS, PRODUCTION, jobs=1, gpu=gpu) for gpu in (False, True))
    assert on_cpu["train_classifier"] - on_gpu["train_classifier"] == training_bytes(PRODUCTION, "classifier")


@pytest.mark.parametrize(("free", "verdict"), [(64 * 2**20, "warning"), (3 * GIB, "ok")])
def test_shared_memory(monkeypatch: pytest.MonkeyPatch, free: int, verdict: str) -> None:
    """Eight readers of the training and sixteen of the validation, with batches of 8 and 16 at 640 px: 2 GB."""
    monkeypatch.setattr(memory, "shared_memory_free", lambda: free)
    (found,) = check_shared_memory(PRODUCTION)
    assert ends(found) == verdict and "the detector's readers need about 2.0 GiB" in found.found
    monkeypatch.setattr(memory, "shared_memory_free", lambda: None)
    assert check_shared_memory(PRODUCTION) == []


def test_calibration_at_full_size_is_counted() -> None:
    """64 crops of 4,523 drugs: their features, and not 5 GB of their logits; of more validation pills, the logits."""
    amounts = Amounts(**vars(AMOUNTS) | {"drugs": 4523, "trained_pills": 5e5})
    need = memory_needs(amounts, PRODUCTION, jobs=1, gpu=True)["calibrate_answers"]
    assert 9 * GIB < need < 11 * GIB
    larger = Amounts(**vars(amounts) | {"trained_pills": 1.5e6})
    need = memory_needs(larger, PRODUCTION, jobs=1, gpu=True)["calibrate_answers"]
    assert need - TORCH_PROCESS == pytest.approx(4 * 0.2 * 1.5e6 * 4523 * 4)


def test_benchmark_at_full_size_is_counted() -> None:
    """Logits of the test part's pills, three times."""
    amounts = Amounts(**vars(AMOUNTS) | {"drugs": 4523, "pills": 8e5, "trained_pills": 6.4e5})
    need = memory_needs(amounts, PRODUCTION, jobs=1, gpu=True)["run_benchmark"]
    assert need - TORCH_PROCESS == pytest.approx(3 * 1.6e5 * 4523 * 4)


@pytest.mark.parametrize("name", ["yolo11n", "yolo11l"])
def test_detector_sizes_are_those_of_ultralytics(tmp_path: Path, name: str) -> None:
    from pillsnap.detector.weights import prepare_ultralytics

    prepare_ultralytics(tmp_path)
    from ultralytics.nn.tasks import DetectionModel

    model = DetectionModel(f"{name}.yaml", nc=1, verbose=False)
    assert sum(one.numel() for one in model.parameters()) == SIZES[name].parameters


def test_weights_say_whose_they_are(tmp_path: Path) -> None:
    write_untrained_detector(tmp_path / "ours.safetensors", tmp_path / "work")
    (tmp_path / "yolo11s.pt").write_bytes(b"theirs")
    for model, name in (("ours.safetensors", "yolo11n"), ("yolo11s.pt", "yolo11s"), ("yolo11m.yaml", "yolo11m")):
        path = model if model.endswith("yaml") else str(tmp_path / model)
        assert architecture(Detector(model=path)) == name


@pytest.mark.parametrize(
    ("name", "drugs"), [("test_resnet", 4), ("test_efficientnet", 4), ("resnet18", 42), ("efficientnet_b0", 42)]
)
def test_classifier_sizes_are_those_of_timm(name: str, drugs: int) -> None:
    import timm
    import torch

    with torch.device("meta"):
        model = timm.create_model(name, num_classes=drugs)
    assert sum(one.numel() for one in model.parameters()) == SIZES[name].parameters


@pytest.mark.parametrize("overlay", ["workflow/tiny.yaml", "campaign/production_tiny.yaml"])
def test_tiny_recipes_ask_for_little(overlay: str) -> None:
    """A model that is not in the list would count as the largest, and a test would need its disk."""
    given = read_config(PROJECT / "config.yaml", PROJECT / "tests" / overlay)
    assert {architecture(given.detector), given.classifier.model} < set(SIZES)


@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("resnet18", SIZES["resnet18"]),
        ("resnet18.a1_in1k", SIZES["resnet18"]),
        ("hf-hub:timm/resnet18.a1_in1k", SIZES["resnet18"]),
        ("no_such_model", LARGEST["classifier"]),
    ],
)
def test_model_is_known_by_its_name(name: str, size: object) -> None:
    assert size_of(Classifier(model=name)) == size


def test_production_recipe_fits_the_reference_card() -> None:
    """The card has 16 GB; what an earlier system took of it was 14 to 15."""
    assert 10 * GIB < gpu_need(PRODUCTION) < 16 * 1e9


def good_plan(tmp_path: Path) -> tuple[pd.DataFrame, dict[str, Any]]:
    return planned(tmp_path, archive(test=9))


def with_rows(plan: pd.DataFrame, rows: pd.Series, **values: Any) -> pd.DataFrame:
    changed = plan.copy()
    for column, value in values.items():
        changed.loc[rows, column] = value
    return changed


def test_good_plan_is_ok(tmp_path: Path) -> None:
    plan, summary = good_plan(tmp_path)
    assert {found.what: ends(found) for found in check_plan(plan, summary, config())} == dict.fromkeys(
        [
            "plan: budget", "plan: sides", "plan: shares", "plan: capture groups", "plan: drugs", "plan: balance",
            "plan: boxes", "plan: photo sizes", "plan: combos",
        ],
        "ok",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("what", "damage", "verdict", "words"),
    [
        ("budget", lambda plan: plan[plan["k_code"] == "K-000001"], "refused", "plan.json has"),
        ("sides", lambda plan: plan[plan["split"] != "val"], "refused", "val 0"),
        ("sides", lambda plan: plan.assign(expected_pills=9), "refused", "none fully labelled in train and val"),
        (
            "shares",
            lambda plan: with_rows(plan, (plan["split"] == "train") & (plan["group"] < "K-000006"), split="val"),
            "warning",
            "requested 20.0%",
        ),
        ("shares", lambda plan: plan.assign(part=plan["split"]), "ok", "the source fixes every side"),
        (
            "capture groups",
            lambda plan: with_rows(plan, plan["image_id"] == "K-000001_0_0", split="test"),
            "refused",
            "1 of ",
        ),
        (
            "capture groups",
            lambda plan: with_rows(plan, plan["image_id"] == "K-000001_0_0", split="test").assign(part="train"),
            "warning",
            "1 of them divided by the source",
        ),
        ("drugs", lambda plan: with_rows(plan, plan["k_code"] == "K-000003", split="train"), "warning", "K-000003"),
        ("drugs", lambda plan: plan.assign(split="train"), "refused", "0 of 12 drugs"),
        (
            "balance",
            lambda plan: pd.concat([plan[plan["k_code"] == "K-000001"]] * 90 + [plan], ignore_index=True),
            "warning",
            "Gini 0.8",
        ),
        ("boxes", lambda plan: with_rows(plan, plan.index % 10 == 0, w=900.0, h=900.0), "warning", "10.0% of"),
        (
            "boxes",
            lambda plan: plan.assign(label_member=plan["member"], x=0.0, y=0.0, w=plan["width"], h=plan["height"]),
            "ok",
            "no label gives any",
        ),
        (
            "photo sizes",
            lambda plan: with_rows(plan, plan.index % 10 == 0, width=5),
            "warning",
            "sizes in the labels: 2",
        ),
        ("combos", lambda plan: with_rows(plan, plan["group"] == "combo1", expected_pills=3), "ok", "5.0% of"),
        ("combos", lambda plan: with_rows(plan, plan["group"] < "combo13", expected_pills=3), "warning", "25.0% of"),
    ],
)
def test_damaged_plan(tmp_path: Path, what: str, damage: Any, verdict: str, words: str) -> None:
    plan, summary = good_plan(tmp_path)
    found = next(
        one for one in check_plan(damage(plan).reset_index(drop=True), summary, config()) if one.what == f"plan: {what}"
    )
    assert ends(found) == verdict
    assert words in found.found


@pytest.mark.parametrize(
    ("counts", "value"), [([], 0), ([0, 0], 0), ([5, 5, 5], 0), ([0, 0, 0, 8], 0.75), ([1, 3], 0.25)]
)
def test_gini(counts: list[int], value: float) -> None:
    assert gini(np.array(counts)) == pytest.approx(value)


@pytest.fixture
def made(tmp_path: Path) -> tuple[DataRun, Config]:
    """A source that is planned and prepared below `results/stage1`, with its index, and the configuration of it."""
    source = hand_made().write(tmp_path / "raw")
    run = prepare_source(source, tmp_path / "results" / "stage1")
    (tmp_path / "results" / "index").mkdir()
    for name in run.archives:
        (run.folder / f"{name}.parquet").rename(tmp_path / "results" / "index" / f"{name}.parquet")
    paths = {"results": str(tmp_path / "results"), "work": str(tmp_path / "work")}
    return run, config(source=source.model_dump(exclude={"synthetic"}), pathvars=paths)


def test_archives_are_there_as_they_were_indexed(made: tuple[DataRun, Config]) -> None:
    run, _ = made
    index, names = run.folder.parent / "index", set(run.archives)
    assert ends(check_archives(names, run.archives, index)) == "ok"
    photos = Path(run.archives["TS_1_single"].photos)
    os.utime(photos)
    changed = check_archives(names, run.archives, index)
    assert (ends(changed), changed.cure) == ("refused", "Read their labels again: -R index_archive")
    assert "1 of 4 archives changed since they were indexed: TS_1_single" in changed.found
    photos.write_bytes(b"")
    assert (
        "1 of 4 archives of photographs are missing or empty: TS_1_single"
        in check_archives(names, run.archives, index).found
    )
    assert ends(check_archives(names, {}, index)) == "refused"


def test_file_that_comes_into_an_unpacked_archive_is_seen(tmp_path: Path) -> None:
    from pillsnap.sources.archives import Archive

    folder = tmp_path / "TS_1_single" / "K-000001"
    folder.mkdir(parents=True)
    one = {"TS_1_single": Archive("TS_1_single", str(folder.parent), str(folder.parent), "single", "")}
    (tmp_path / "TS_1_single.parquet").write_bytes(b"")
    assert ends(check_archives({"TS_1_single"}, one, tmp_path)) == "ok"
    os.utime(folder, ns=(0, (tmp_path / "TS_1_single.parquet").stat().st_mtime_ns + 10**9))
    assert ends(check_archives({"TS_1_single"}, one, tmp_path)) == "refused"


def test_manifest_of_an_earlier_run(made: tuple[DataRun, Config]) -> None:
    run, _ = made
    folder = run.folder / "manifest"
    assert check_manifest(folder).found == "not made yet"
    (run.folder.parent / "index").rename(run.folder.parent / "kept")
    run.build_manifest()
    assert ends(check_manifest(folder)) == "ok"


@pytest.mark.parametrize(
    ("name", "damage", "words"),
    [
        ("classes.json", lambda text: None, "no classes.json"),
        ("classes.json", lambda text: text.replace("K-000001", "K-000009"), "classes.json differs"),
        ("summary.json", lambda text: text.replace('"read": ', '"read": 1'), "account of photos does not balance"),
        ("summary.json", lambda text: text[:50], "cannot be read (JSONDecodeError"),
        ("train.csv", lambda text: "".join(text.splitlines(keepends=True)[:-2]), "rows, "),
        ("val.csv", lambda text: "image_id\nx\n", "cannot be read (ValueError"),
        ("unseen.csv", lambda text: "k_code\nK-000001\n", "unseen.csv has drugs of classes.json"),
    ],
)
def test_damaged_manifest_is_a_warning(made: tuple[DataRun, Config], name: str, damage: Any, words: str) -> None:
    run, _ = made
    run.build_manifest()
    path = run.folder / "manifest" / name
    text = damage(path.read_text(encoding="utf-8-sig"))
    path.unlink() if text is None else path.write_text(text, encoding="utf-8")
    found = check_manifest(run.folder / "manifest")
    assert ends(found) == "warning"
    assert words in found.found


def check(run: DataRun, one: Config) -> Path:
    preflight = run.folder / "preflight.json"
    plan = {"plan": run.plan, "plan_backgrounds": run.backgrounds, "plan_summary": run.folder / "plan.json"}
    check_machine(**plan, preflight=preflight, config=one, jobs=2)
    return preflight


def test_check_is_written(made: tuple[DataRun, Config]) -> None:
    said = read_json(check(*made))
    assert said["stage"] == "stage1"
    assert said["verdict"] in ("ok", "warning")
    assert {one["what"] for one in said["findings"]} >= {"disk", "memory", "GPU", "raw archives", "manifest"}
    assert said["disk_bytes"]["prepared photographs"]["there"] > 0
    assert set(said["memory_bytes"]) >= {"prepare_archive", "train_classifier"}
    assert said["machine"]["memory_available_bytes"] <= said["machine"]["memory_total_bytes"]


def test_all_refusals_come_in_one_message_and_nothing_is_written(
    made: tuple[DataRun, Config], monkeypatch: pytest.MonkeyPatch
) -> None:
    run, one = made
    monkeypatch.setattr(disk, "disk_free", lambda folder: 1000)
    monkeypatch.setattr(stage, "gpus", list)
    Path(run.archives["TS_1_combo"].photos).unlink()
    plan = read_table(run.plan, PLAN)
    write_json(run.folder / "plan.json", read_json(run.folder / "plan.json") | {"classes": sorted(plan["k_code"])[:1]})
    with pytest.raises(PreflightError) as raised:
        check(run, one.model_copy(update={"device": "cuda"}))
    lines = str(raised.value).splitlines()
    assert lines[0] == "stage1 is refused before its first photograph is decoded:"
    assert [line.split(":")[0].strip() for line in lines[1::2]] == ["disk", "GPU", "raw archives", "plan"]
    assert all(line.startswith("    ") and line.endswith(".") for line in lines[2::2])
    assert not (run.folder / "preflight.json").exists()
