"""Rules depend on the modules behind them, and on no others: read from what Snakemake plans."""

import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from pillsnap.sources.registry import KINDS, source_modules
from pillsnap.workflow.code_inputs import NOT_TRACKED, PACKAGE, code_of, imported_modules, path_from_root, workflow_file
from pillsnap.workflow.rules import RULES
from tests.support.aihub_files import write_zip
from tests.support.preloaded import run_preloaded
from tests.support.workflow import PROJECT

NO_CODE = {"check_machine"}
"""A new check of the machine must not make anything again, whatever changed in it."""
PAGES = {"write_dataset_page", "write_model_card", "write_report"}
MEASURED = {"write_model_card", "write_report"}
BY_SHELL = {"train_detector", "train_classifier"}
ANSWERING = {"run_benchmark", "measure_references", "evaluate_away"}

CodeInputs = dict[str, set[str]]
"""Paths from the checkout's root by rule."""


def planned_code(folder: Path, source: dict[str, str]) -> CodeInputs:
    """Files of the checkout among each rule's inputs, out of a plan of everything."""
    (folder / "source.yaml").write_text(
        yaml.safe_dump({"source": source, "scenes": {"photos": 1}, "away": {"real_data": ""}}, allow_unicode=True),
        encoding="utf-8",
    )
    words = ["snakemake", "--snakefile", f"{PROJECT}/Snakefile", "--dry-run", "--forceall"]
    words += ["--configfile", f"{PROJECT}/config.yaml", "source.yaml"]
    status, told = run_preloaded(words, folder=folder, environment=os.environ | {"PYTHONPATH": str(PROJECT)})
    assert status == 0, told
    found: CodeInputs = {}
    for rule, inputs in re.findall(r"^(?:local)?rule (\w+):\n    input: (.*)$", told, re.MULTILINE):
        ours = [path.removeprefix(f"{PROJECT}/") for path in inputs.split(", ") if path.startswith(f"{PROJECT}/")]
        found[rule] = found.get(rule, set()) | set(ours)
    return found


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> CodeInputs:
    """Of the workflow that draws its photographs."""
    return planned_code(tmp_path_factory.mktemp("drawn"), {"kind": "synthetic"})


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> CodeInputs:
    """Of the workflow on real archives, of which only the names are looked at."""
    folder = tmp_path_factory.mktemp("real")
    for name in ("TS_1_단일", "TL_1_단일", "VS_1_조합", "VL_1_조합"):
        write_zip(folder / f"{name}.zip", {})
    return planned_code(folder, {"kind": "aihub", "root": str(folder)})


def reruns(code: CodeInputs, file: str) -> set[str]:
    """Rules that run when a file of the package is edited, without those that follow from their results."""
    assert (PACKAGE / file).is_file(), f"there is no {file}"
    return {rule for rule, files in code.items() if f"pillsnap/{file}" in files}


@pytest.mark.parametrize(
    ("edited", "rules"),
    [
        ("benchmark/pytorch_baseline.py", {"run_benchmark"}),
        ("report/sections/training.py", {"write_report"}),
        ("report/page.html.jinja", {"write_report"}),
        ("report/facts/speed.py", MEASURED),
        ("report/card.py", MEASURED),
        ("dataset/charts.py", {"write_dataset_page"}),
        ("dataset/page.html.jinja", {"write_dataset_page"}),
        ("pages/html.py", {"write_dataset_page", "write_report"}),
        ("pages/style.css", {"write_dataset_page", "write_report"}),
        ("pages/formats.py", PAGES),
        ("training/history.py", BY_SHELL | MEASURED),
        ("training/recovery.py", BY_SHELL),
        ("classifier/loop.py", {"train_classifier"}),
        ("evaluate/composed.py", {"evaluate_away"}),
        ("evaluate/figures.py", {"evaluate_away"}),
        ("enrol/measure_references.py", {"measure_references"}),
        ("enrol/enrol.py", set()),
        ("evaluate/page.html.jinja", set()),
        ("evaluate/tables.py", {"write_report"}),
        ("classifier/model.py", {"train_classifier", "calibrate_answers", "export_onnx", "run_benchmark"}),
        ("detector/trainer.py", {"train_detector"}),
        ("detector/build_yolo_dataset.py", {"build_yolo_dataset"}),
        ("crops/cut_crops.py", {"cut_crops"}),
        ("onnx/steps.py", {"export_onnx"}),
        ("answers/calibration.py", {"calibrate_answers", "export_onnx"} | ANSWERING),
        ("audit/coco.py", {"audit_labels"}),
        ("manifest/assign_splits.py", {"plan_stage"}),
        ("manifest/identical_photos.py", {"build_manifest", "plan_stage"}),
        ("sources/synthetic/pill.py", {"make_synthetic_archive"}),
        ("sources/synthetic/drawn.py", {"index_archive"} | PAGES),
        ("sources/aihub.py", set()),
        ("sources/registry.py", set()),
        ("sources/settings.py", set()),
        ("config/config.py", set()),
        ("config/training.py", set()),
        ("settings.py", set()),
        ("files.py", set()),
        ("preflight/disk.py", set()),
        ("workflow/provenance.py", set()),
        ("workflow/code_inputs.py", set()),
        ("training/watch.py", set()),
        ("monitor/view.py", set()),
        ("predict/formats.py", set()),
        ("serve/app.py", set()),
    ],
)
def test_edit_of_a_module_reruns_just_its_rules(drawn: CodeInputs, edited: str, rules: set[str]) -> None:
    assert reruns(drawn, edited) == rules


def test_crops_are_cut_alike_in_every_rule_that_cuts(drawn: CodeInputs) -> None:
    cutting = {"prepare_archive", "cut_crops", "export_onnx", "write_dataset_page"} | ANSWERING
    assert reruns(drawn, "crops/crop.py") == cutting


@pytest.mark.parametrize(
    ("edited", "rules"),
    [
        ("sources/aihub.py", {"index_archive"} | PAGES),
        ("sources/yolo.py", set()),
        ("sources/synthetic/drawn.py", set()),
        ("sources/synthetic/pill.py", set()),
    ],
)
def test_a_source_reruns_only_what_reads_it(real: CodeInputs, edited: str, rules: set[str]) -> None:
    assert reruns(real, edited) == rules


def test_every_rule_has_its_own_module_among_its_code(drawn: CodeInputs) -> None:
    rules = {*RULES, "write_report"} - NO_CODE - {"evaluate_detector"}
    assert {rule for rule, files in drawn.items() if files} == rules
    for rule in rules:
        assert [path for path in drawn[rule] if path.endswith(f"/{rule}.py") and path.startswith("pillsnap/")]
        assert (f"scripts/{rule}.py" in drawn[rule]) == (rule in BY_SHELL)


def test_every_template_and_style_of_a_page_is_some_rules(drawn: CodeInputs) -> None:
    files = [path for path in PACKAGE.rglob("*") if path.suffix in (".css", ".jinja")]
    files = [path for path in files if path.parent.name not in ("evaluate", "serve")]  # pages that no run makes
    assert files
    for path in files:
        assert reruns(drawn, path.relative_to(PACKAGE).as_posix()), path


def test_modules_that_decide_no_result_are_there() -> None:
    assert not [name for name in NOT_TRACKED if not PACKAGE.joinpath(*name.split(".")).with_suffix(".py").is_file()]


@pytest.mark.parametrize(
    ("text", "modules"),
    [
        ("from pillsnap.files import read_json", ("files",)),
        ("from pillsnap.sources import labels, yolo", ("sources.labels", "sources.yolo")),
        ("import pillsnap.files", ("files",)),
        ("def job():\n    from pillsnap.files import read_json", ("files",)),
        ("if TYPE_CHECKING:\n    from pillsnap.files import read_json", ()),
        ("from pillsnap import PillSnap", ()),
        ("import torch\nfrom pathlib import Path", ()),
    ],
)
def test_imports_are_found_wherever_they_stand(tmp_path: Path, text: str, modules: tuple[str, ...]) -> None:
    (tmp_path / "module.py").write_text(text, encoding="utf-8")
    assert imported_modules(tmp_path / "module.py") == modules


@pytest.mark.parametrize("name", ["no_such_rule", "command"])
def test_a_name_that_is_not_one_modules_is_an_error(name: str) -> None:
    with pytest.raises(LookupError, match=f"{name}.py: expected one module of this name"):
        code_of(name)


@pytest.mark.parametrize(
    ("folder", "path"),
    [
        (lambda _: PROJECT, "pillsnap/files.py"),
        (lambda _: PROJECT.parent, f"{PROJECT.name}/pillsnap/files.py"),
        (lambda _: PROJECT / "rules", f"{PROJECT}/pillsnap/files.py"),
        (lambda elsewhere: elsewhere, f"{PROJECT}/pillsnap/files.py"),
    ],
    ids=["checkout", "above", "below", "elsewhere"],
)
def test_files_of_the_checkout_are_found_from_any_folder(
    folder: Callable[[Path], Path], path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder(tmp_path))
    assert workflow_file("pillsnap/files.py") == path
    assert path_from_root(path) == "pillsnap/files.py"
    assert code_of("cut_crops", files=["scripts/cut_crops.py"])[-1] == workflow_file("scripts/cut_crops.py")


def test_files_of_another_checkout_are_told(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=f"the workflow is not of the checkout {PROJECT}"):
        path_from_root(str(tmp_path / "pillsnap" / "files.py"))


@pytest.mark.parametrize("kind", KINDS)
def test_the_module_of_each_kind_is_found(kind: str) -> None:
    module, _ = KINDS[kind]
    assert f"pillsnap/sources/{module.replace('.', '/')}.py" in code_of("index_archive", *source_modules(kind))


@pytest.mark.parametrize(("stage", "rule"), [("raw", "make_synthetic_archive"), ("index", "index_archive")])
def test_dvc_makes_raw_archives_and_index_again_by_the_code_by_which_snakemake_does(stage: str, rule: str) -> None:
    """Otherwise a later stage would make them again behind DVC's back, and its record contradict theirs."""
    named = yaml.safe_load((PROJECT / "dvc.yaml").read_text(encoding="utf-8"))["stages"][stage]["deps"]
    modules = source_modules(*KINDS) if rule == "index_archive" else []
    code = [path_from_root(path) for path in code_of(rule, *modules)]
    assert [path for path in code if not any(Path(path).is_relative_to(one) for one in named)] == []
