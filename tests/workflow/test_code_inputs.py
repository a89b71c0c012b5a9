"""Rules depend on the modules behind them, and on no others."""

import re

import pytest

from pillsnap.workflow.code_inputs import code_of
from tests.support.workflow import PROJECT

RULES = sorted((PROJECT / "rules").glob("*.smk"))


def test_imports_are_followed_through_modules_and_packages() -> None:
    assert {"pillsnap/crops/cut_crops.py", "pillsnap/pictures/boxes.py", "pillsnap/pictures/decode.py"} <= set(
        code_of("cut_crops")
    )
    assert {"pillsnap/audit/findings.py", "pillsnap/pictures/draw.py"} <= set(code_of("audit_labels"))
    assert {"pillsnap/sources/__init__.py", "pillsnap/sources/labels.py"} <= set(code_of("index_archive"))


def test_modules_that_are_imported_out_of_a_package_are_found() -> None:
    assert {"pillsnap/onnx/pipeline.py", "pillsnap/onnx/parity.py"} <= set(code_of("export_onnx"))
    assert {"pillsnap/report/sections/trust.py", "pillsnap/report/sections/models.py"} <= set(
        code_of("write_model_card")
    )


def test_drawing_code_is_no_part_of_reading_real_archives() -> None:
    assert not [path for path in code_of("prepare_archive") + code_of("index_archive") if "synthetic" in path]


def test_carriers_are_left_out_and_more_files_are_added() -> None:
    found = code_of("train_detector", "scripts/train_detector.py")
    assert found[-1] == "scripts/train_detector.py"
    assert "pillsnap/config/config.py" not in found


def test_an_unknown_module_is_an_error() -> None:
    with pytest.raises(FileNotFoundError):
        code_of("no_such_rule")


def test_every_rule_declares_its_code_and_every_file_exists() -> None:
    rules = [
        match
        for path in RULES
        for match in re.findall(r"^ *rule (\w+):(.*?)(?=^ *rule |\Z)", path.read_text(), re.M | re.S)
    ]
    assert len(rules) >= 12
    # a new check of the machine must not make anything again, whatever changed in it
    for name, body in [rule for rule in rules if rule[0] != "check_machine"]:
        called = re.search(r"code=code_of\(([^)]*)\)", body)
        assert called, name
        words = re.findall(r'"([^"]+)"', called[1])
        assert words[0].split("/")[-1] in (name, "archives")
        assert all((PROJECT / path).is_file() for path in code_of(*words))


def test_templates_and_styles_of_pages_are_all_declared() -> None:
    declared = (PROJECT / "rules" / "report.smk").read_text()
    files = [path for path in (PROJECT / "pillsnap").rglob("*") if path.suffix in (".css", ".jinja")]
    files = [path for path in files if path.parent.name != "serve"]  # the service's page is no file of a run
    assert files and all(path.relative_to(PROJECT).as_posix() in declared for path in files)
