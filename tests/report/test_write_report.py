"""The report: verdicts, account, durations, and a page that is whole, offline and the same each time."""

import json
import re
from pathlib import Path
from typing import Any

import altair as alt
import pytest
import vl_convert
from jsonschema import ValidationError

from pillsnap.files import read_json, sha256_of, write_json
from pillsnap.pages import formats
from pillsnap.pages.quarantine import account, reasons
from pillsnap.pages.states import MET, MISSED, NO_TARGET, UNMEASURED
from pillsnap.report.contents import DETECTOR_SECTIONS, SECTIONS
from pillsnap.report.facts.intervals import top1_interval
from pillsnap.report.facts.trainings import improving
from pillsnap.report.facts.verdicts import headline, slowest_p95, verdicts
from pillsnap.report.rule_times import rule_times
from pillsnap.report.sections.verdict import forecasts, success
from pillsnap.report.write_report import write_report
from pillsnap.tables.schemas import FINDINGS
from pillsnap.training.history import write_history
from pillsnap.workflow.rules import RULES
from tests.support.report_inputs import (
    NAMES,
    NO_TARGETS,
    REPOSITORY,
    STAGE4,
    figures,
    manifest_summary,
    words_of,
    write_durations,
    write_inputs,
    write_label_audit,
)
from tests.support.trainings import detector_rows
from tests.support.workflow import SCENE_RULES


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    arguments = write_inputs(tmp_path_factory.mktemp("report"))
    write_report(**arguments)
    return arguments


@pytest.fixture(scope="module")
def page(written: dict[str, Any]) -> str:
    return written["report"].read_text(encoding="utf-8")


def test_unseen_drugs_are_called_what_they_are(written: dict[str, Any], page: str, tmp_path: Path) -> None:
    said = "Never seen: 3 drugs, 45 photographs, half of the drugs for choosing thresholds, half for measuring."
    assert said in words_of(page)
    none = {half: {"photos": 0, "drugs": 0} for half in ("unseen_val", "unseen_test")}
    write_json(tmp_path / "summary.json", manifest_summary() | {"unseen": none})
    changed = {"manifest_summary": tmp_path / "summary.json", "report": tmp_path / "report.html"}
    write_report(**written | changed | {"figures": tmp_path / "figures"})
    assert "Never seen" not in (tmp_path / "report.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("asked", "measured", "state"),
    [
        ({"top1": 0.92}, {"classifier": {"top1": 0.93}}, MET),
        ({"top1": 0.92}, {"classifier": {"top1": 0.92}}, MET),
        ({"top1": 0.92}, {"classifier": {"top1": 0.91999}}, MISSED),
        ({"top1": None}, {"classifier": {"top1": 0.93}}, NO_TARGET),
        ({}, {}, NO_TARGET),
        ({"top1": 0.92}, {}, UNMEASURED),
        ({"map50": 0.3}, {"detector": {"map50": None}}, UNMEASURED),
        ({"p95_ms": 50}, {"latency": {"single": {"p95_ms": 49.9}}}, MET),
        ({"p95_ms": 50}, {"latency": {"single": {"p95_ms": 50.0}}}, MISSED),
        ({"p95_ms": 50}, {"latency": {"single": {"p95_ms": 20}, "combo": {"p95_ms": 51}}}, MISSED),
        ({"ece": 0.02}, {"trust": {"ece": 0.02}}, MET),
        ({"ece": 0.02}, {"trust": {"ece": 0.0201}}, MISSED),
        ({"ece": 0.02}, {"trust": {"ece": 0.025, "ece_chance_95": 0.026}}, MET),
        ({"ece": 0.02}, {"trust": {"ece": 0.025, "ece_chance_95": 0.024}}, MISSED),
        ({"ece": 0.02}, {"trust": {"ece": 0.015, "ece_chance_95": 0.004}}, MET),
        ({"known_right": 0.99}, {"trust": {"known_right": 0.99}}, MET),
        ({"known_right": 0.99}, {"trust": {"known_right": None}}, UNMEASURED),
        ({"unseen_not_known": 0.95}, {"trust": {"unseen_not_known": 0.94}}, MISSED),
        ({"unseen_not_known": 0.95}, {"trust": {"unseen_not_known": None}}, UNMEASURED),
    ],
)
def test_verdict(asked: dict, measured: dict, state: str) -> None:
    found = {one.key: one.state for one in verdicts(asked, measured)}
    assert found.pop(next(iter(asked), "top1")) == state
    assert set(found.values()) == {NO_TARGET}


@pytest.mark.parametrize(
    ("targets", "begins"),
    [
        (NO_TARGETS, "Stage 4 has no targets"),
        (NO_TARGETS | {"top1": 0.9}, "Stage 4 meets its one target: classifier top-1"),
        (NO_TARGETS | {"top1": 0.9, "map50": 0.3}, "Stage 4 meets both its targets"),
        (STAGE4, "Stage 4 does not meet 2 of 9 targets: detector mAP@0.5:0.95"),
    ],
)
def test_headline_counts_targets(targets: dict, begins: str) -> None:
    assert headline("stage4", verdicts(targets, figures())).startswith(begins)


def test_success_needs_the_three_targets() -> None:
    assert success(verdicts(STAGE4 | {"p95_ms": None}, figures()), detector_rows(4)) == []
    states = [one.state for one in success(verdicts(STAGE4, figures()), detector_rows(4))]
    assert states == [MET, MET, MET, MISSED]


@pytest.mark.parametrize(("values", "state"), [([0.1, 0.5, 0.6], MET), ([0.6, 0.5, None], MISSED), ([0.1], UNMEASURED)])
def test_improving(values: list, state: str) -> None:
    assert improving([{"map50_95": value} for value in values]).state == state


def test_forecasts_of_stage4_only() -> None:
    assert forecasts("stage3", figures()) == []
    assert [row[-1] for row in forecasts("stage4", figures())] == ["realistic", "optimistic", "optimistic"]


@pytest.mark.parametrize(("read", "balances"), [(12, True), (13, False)])
def test_account(read: int, balances: bool) -> None:
    values = {
        "read": read,
        "kept": 7,
        "quarantined": {"photo_empty": 1, "photo_missing": 2},
        "skipped": {"over_budget": 2},
    }
    one = account("photos", values)
    assert (one.quarantined, one.skipped, one.balances) == (3, 2, balances)


def test_reasons_join_photos_and_labels() -> None:
    found = {reason.name: (reason.photos, reason.labels) for reason in reasons(manifest_summary(), "quarantined")}
    assert found["photo_truncated"] == (6, 0)
    assert found["label_of_quarantined_photo"] == (0, 21)
    assert all(reason.meaning for reason in reasons(manifest_summary(), "quarantined"))


def test_durations_are_summed_by_rule(tmp_path: Path) -> None:
    write_durations(tmp_path)
    times = {time.rule: time for time in rule_times(tmp_path, "stage4")}
    assert list(times) == [rule for rule in RULES if rule not in SCENE_RULES]
    assert (times["prepare_archive"].jobs, times["prepare_archive"].seconds) == (2, 62.0)
    assert times["make_synthetic_archive"].seconds == 110.0
    assert times["index_archive"].peak_memory is None
    assert times["train_detector"].seconds == 498.0, "another stage's or run's files do not count"


def test_durations_may_be_missing(tmp_path: Path) -> None:
    assert rule_times(tmp_path / "missing", "stage4") == []


def test_every_timed_rule_is_known() -> None:
    text = "".join(path.read_text(encoding="utf-8") for path in sorted((REPOSITORY / "rules").glob("*.smk")))
    rules = re.split(r"^\s*rule ", text, flags=re.MULTILINE)[1:]
    timed_rules = {rule.split(":")[0] for rule in rules if "benchmark:" in rule}
    assert timed_rules - {"write_report", "write_detector_report"} == set(RULES)


@pytest.mark.parametrize(
    ("seconds", "text"), [(None, "–"), (3.21, "3.2 s"), (59.7, "1 min 00 s"), (125, "2 min 05 s"), (7500, "2 h 05 min")]
)
def test_duration(seconds: float | None, text: str) -> None:
    assert formats.duration(seconds).replace("\u202f", " ") == text


@pytest.mark.parametrize(
    ("value", "text"), [(None, "–"), (999, "999 B"), (10465264, "10.5 MB"), (25276063744, "25.3 GB")]
)
def test_size(value: float | None, text: str) -> None:
    assert formats.size(value).replace("\u202f", " ") == text


def test_slowest_p95_of_what_there_is() -> None:
    assert slowest_p95({}) is None
    assert slowest_p95({"latency": {"combo": {"p95_ms": 3.0}}}) == 3.0


def test_page_is_self_contained(page: str) -> None:
    assert not re.findall(r"""(?:src|href|action)\s*=\s*["'](?!data:|#|dataset\.html")[^"']*""", page)
    told = page.replace("http://127.0.0.1:8000/v1/identify", "")  # a line of the model card that people type
    assert not re.findall(r"url\((?!#)|@import|<link|<script src|https?://", told)
    assert "default-src 'none'" in page


def test_page_has_its_parts_in_order(page: str) -> None:
    parts = re.findall(r"<h2>(.*?)</h2>", page)
    assert parts[:4] == ["Verdict", "Budget", "Data", "Training"]
    assert parts[-1] == "Provenance"
    assert re.findall(r"<h([1-6])", page)[0] == "1"
    assert all('alt="' in image for image in re.findall(r"<img [^>]*>", page))
    identifiers = re.findall(r'\bid="([^"]+)"', page)
    assert len(identifiers) == len(set(identifiers))


def test_page_says_what_was_measured(page: str) -> None:
    text = words_of(page)
    for words in (
        "93.42",
        "가스모틴정 5mg",
        "decoding the photograph ends with an error",
        "2,464 read = 2,371 kept",
        "First 25 of 40 rows",
        "Detection without label 4 3 1 0 4 3",
        "First 8 of 8 findings",
        "Training, combo: score 0.93. In its name, but not labelled: K-000002 and K-000003",
        "Training, combo: K-000001",
        "coco.json",
    ):
        assert words in text
    assert 'lang="ko"' in page


def test_preflight_opens_the_checklist_before(page: str) -> None:
    before = page[page.index("Before: machine and data") : page.index("During: training")]
    assert "✓ met Preflight: memory 20.8 GiB of 23.5 GiB free" in words_of(before)
    assert "! warning Preflight: disk 7 GiB free. Free some space" in words_of(before)


def test_preflight_may_be_missing(written: dict[str, Any], tmp_path: Path) -> None:
    again = {"report": tmp_path / "report.html", "figures": tmp_path / "figures", "preflight": tmp_path / "none.json"}
    write_report(**written | again)
    text = words_of(again["report"].read_text(encoding="utf-8"))
    assert "? not measured The machine was checked before the first photograph was decoded no record of it" in text


@pytest.mark.parametrize(
    ("kind", "there", "absent"),
    [
        ("synthetic", "All photographs of this report are synthetic", "Real photographs"),
        ("aihub", "AIHub data set 576", "synthetic."),
        ("yolo", "a YOLO data set", "synthetic."),
    ],
)
def test_banner_names_the_source(written: dict[str, Any], tmp_path: Path, kind: str, there: str, absent: str) -> None:
    report = tmp_path / "report.html"
    write_report(**written | {"report": report, "figures": tmp_path / "figures", "sources": {kind: kind}})
    banner = re.search(r'<div class="banner.*?</div>', report.read_text(encoding="utf-8"), re.DOTALL).group()
    assert there in banner
    assert absent not in banner


def test_label_audit_without_findings(written: dict[str, Any], tmp_path: Path) -> None:
    folder = tmp_path / "label_audit"
    write_label_audit(folder, 96)
    counts = {"all": 0, "split": {"train": 0, "val": 0}, "domain": {"single": 0, "combo": 0}, "partly_labelled": 0}
    facts = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
    facts |= {"photos_with_findings": 0, "findings": dict.fromkeys(facts["findings"], counts)}
    write_json(folder / "summary.json", facts)
    (folder / "findings.csv").write_text(",".join(FINDINGS.columns) + "\n", encoding="utf-8-sig")
    changed = {"report": tmp_path / "report.html", "figures": tmp_path / "figures", "label_audit": folder}
    write_report(**written | changed)
    text = words_of(changed["report"].read_text(encoding="utf-8"))
    assert "Detector and labels agree everywhere" in text
    assert "findings.csv" not in text


def test_same_inputs_same_bytes(written: dict[str, Any], tmp_path: Path) -> None:
    again = {"report": tmp_path / "report.html", "figures": tmp_path / "figures"}
    write_report(**written | again)
    assert again["report"].read_bytes() == written["report"].read_bytes()
    assert sha256_of(again["figures"]) == sha256_of(written["figures"])


def test_charts_are_valid_vega_lite(written: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """altair does not check them when they are drawn."""
    specifications = []
    draw = vl_convert.vegalite_to_svg
    monkeypatch.setattr(
        vl_convert, "vegalite_to_svg", lambda spec, **how: specifications.append(spec) or draw(spec, **how)
    )
    write_report(**written | {"report": tmp_path / "report.html", "figures": tmp_path / "figures"})
    assert len(specifications) == len(list(written["figures"].glob("*.svg")))
    for specification in specifications:
        alt.Root.validate(specification)
    with pytest.raises(ValidationError):
        alt.Root.validate(specifications[0] | {"layer": "none"})


def test_enrolled_drugs_are_told_by_their_number_of_photographs(
    written: dict[str, Any], page: str, tmp_path: Path
) -> None:
    said = words_of(page)
    assert "3 held-out drugs with 45 found pills" in said and "So few drugs tell little of other ones" in said
    new = read_json(written["references"])
    assert "5 3 95.5 % 50.0 % 98.0 % 21.0 % 91.0 % 6.0 % 0.4 % 98.7 % 0.2 %" in said
    assert "none enrolled 94.0 % 58.0 % 99.6 %" in said and "5 93.8 % 58.0 % 99.6 %" in said
    write_json(tmp_path / "none.json", new | {"drugs": 0, "pills": 0, "numbers": []})
    changed = {"references": tmp_path / "none.json", "report": tmp_path / "report.html"}
    write_report(**written | changed | {"figures": tmp_path / "figures"})
    said = words_of((tmp_path / "report.html").read_text(encoding="utf-8"))
    assert "Nothing was measured: of no held-out drug was more than one pill found" in said


def test_every_section_has_its_template_and_heading(page: str) -> None:
    names = [section.__module__.rpartition(".")[2] for section in SECTIONS]
    assert re.findall(r'<section id="(.*?)">', page) == names
    assert re.findall(r'<li><a href="#(.*?)">', page) == names
    alone = [section.__module__.rpartition(".")[2] for section in DETECTOR_SECTIONS]
    templates = (REPOSITORY / "pillsnap/report/sections").glob("*.html.jinja")
    assert {path.name.removesuffix(".html.jinja") for path in templates} == {*names, *alone}


def test_a_detector_of_no_epochs_is_told_by_its_weights(tmp_path: Path) -> None:
    given = write_inputs(tmp_path)
    detector = given["config"]["detector"] | {"epochs": 0, "model": "./weights/best.pt"}
    given["config"] = given["config"] | {"detector": detector}
    given["detector_history"].write_text("epoch\n")
    write_json(given["detector_events"], [])
    record = read_json(given["detector_record"])
    write_json(given["detector_record"], record | {"inputs": {"weights/best.pt": "ef" * 32}})
    write_report(**given)
    said = f"The detector is not trained: weights of ./weights/best.pt, SHA-256 {'ef' * 32}."
    assert said in words_of(given["report"].read_text(encoding="utf-8"))


def test_figures_are_files_of_their_own(written: dict[str, Any]) -> None:
    names = {path.stem for path in written["figures"].glob("*.svg")}
    assert names >= {
        "detector_training",
        "classifier_training",
        "precision_recall",
        "latency",
        "side_by_side",
        "reliability_before",
        "reliability_after",
        "selective",
        "accuracy_by_drug",
        "quarantine",
        "durations",
    }
    assert 'xmlns="http://www.w3.org/2000/svg"' in (written["figures"] / "latency.svg").read_text(encoding="utf-8")


def test_hostile_drug_name_is_escaped(tmp_path: Path) -> None:
    hostile = "<script>alert('정')</script>\"&"
    arguments = write_inputs(tmp_path, names=(hostile, *NAMES[1:]))
    write_report(**arguments)
    page = arguments["report"].read_text(encoding="utf-8")
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert" in page


@pytest.mark.parametrize(
    ("pills", "top1", "interval"),
    [(35, 1.0, (0.9011, 1.0)), (10, 0.5, (0.2366, 0.7634)), (0, None, None), (10, None, None)],
)
def test_few_pills_leave_a_wide_interval(pills, top1, interval) -> None:
    found = top1_interval({"classifier": {"pills": pills, "top1": top1}})
    assert found == (pytest.approx(interval, abs=1e-4) if interval else None)


def test_what_was_not_measured_is_a_dash(tmp_path: Path) -> None:
    metrics = figures()
    for part in ("classifier", "latency"):
        del metrics[part]["combo"]
    metrics["pipeline"] = {key: value for key, value in metrics["pipeline"].items() if key.startswith("single")}
    metrics["detector"] = {"map50": None, "map50_95": None}
    arguments = write_inputs(tmp_path, metrics=metrics) | {"durations": tmp_path / "missing", "targets": NO_TARGETS}
    measured = json.loads(arguments["accuracy"].read_text(encoding="utf-8"))
    measured["detector"]["pr_curve"], measured["by_drug"] = [], []
    write_json(arguments["accuracy"], measured)
    write_json(arguments["examples"] / "index.json", {"samples": [], "confused": []})
    empty = [dict.fromkeys(detector_rows(1)[0]) | {"epoch": 1.0}]
    write_history(empty, arguments["detector_history"])
    write_report(**arguments)
    text = words_of(arguments["report"].read_text(encoding="utf-8"))
    assert "Combo – – –" in text
    assert "Stage 4 has no targets" in text
    assert "None" not in text
    assert "nan" not in text.lower().replace("provenance", "").split()


def test_several_sources_are_shown_side_by_side(written: dict[str, Any], tmp_path: Path) -> None:
    account = {"read": 10, "kept": 6, "quarantined": {"photo_empty": 1}, "skipped": {"photo_in_later_source": 3}}
    one = {"photos": account, "labels": account | {"kept": 9}, "drugs": 4, "splits": {"test": {"pills": 2}}}
    manifest = read_json(written["manifest_summary"]) | {"sources": {"hub": one, "own": one}}
    measured = {"own": {"photos": 2, "drugs": 1, "pills": 2, "top1": 0.5, "map50": None, "found": 1.0}}
    write_json(tmp_path / "summary.json", manifest)
    write_json(tmp_path / "accuracy.json", read_json(written["accuracy"]) | {"sources": measured})
    changed = {"manifest_summary": tmp_path / "summary.json", "accuracy": tmp_path / "accuracy.json"}
    changed |= {"report": tmp_path / "report.html", "figures": tmp_path / "figures"}
    write_report(**written | changed | {"sources": {"own": "yolo", "hub": "aihub"}})
    text = words_of((tmp_path / "report.html").read_text(encoding="utf-8"))
    assert "hub 10 6 1 3 9 4 2 – – – own 10 6 1 3 9 4 2 50.0 % – 100.0 %" in text
    # the strictest terms come first
    terms = "hub: real photographs, AIHub data set 576: not to be handed on.", "own: real photographs, a YOLO data set."
    assert -1 < text.index(terms[0]) < text.index(terms[1])
    assert "What each source gives" not in words_of(written["report"].read_text(encoding="utf-8"))
