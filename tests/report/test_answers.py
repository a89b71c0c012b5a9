"""The report on answers: what was promised and kept, models against each other, times side by side."""

import re
from pathlib import Path
from typing import Any

import pytest

from pillsnap.files import read_json, write_json
from pillsnap.report.facts.intervals import interval
from pillsnap.report.facts.parity import map50_difference
from pillsnap.report.facts.speed import side_by_side_rows, throughput_rows
from pillsnap.report.facts.verdicts import headline, verdicts
from pillsnap.report.sections.latency import latency_chart, side_by_side_chart
from pillsnap.report.write_report import write_report
from tests.support.measured import latency, parity
from tests.support.report_inputs import NO_TARGETS, STAGE4, figures, words_of, write_inputs


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    arguments = write_inputs(tmp_path_factory.mktemp("report"))
    write_report(**arguments)
    return arguments


@pytest.fixture(scope="module")
def page(written: dict[str, Any]) -> str:
    return written["report"].read_text(encoding="utf-8")


def plain(text: str) -> str:
    """Without the narrow and the fixed spaces that keep a number with its unit."""
    return re.sub("[\u202f\u00a0\u2009]", " ", text)


def section(page: str, name: str) -> str:
    return plain(words_of(re.search(rf'<section id="{name}">.*?</section>', page, re.DOTALL).group()))


def changed_page(written: dict[str, Any], folder: Path, **files: Any) -> str:
    """The page after other values were put into the JSON files of these roles."""
    changed = {"report": folder / "report.html", "figures": folder / "figures"}
    for role, values in files.items():
        changed[role] = folder / f"{role}.json"
        write_json(changed[role], values)
    write_report(**written | changed)
    return changed["report"].read_text(encoding="utf-8")


def test_trust_tells_the_measured_figures(written: dict[str, Any], page: str) -> None:
    trust, text = read_json(written["accuracy"])["trust"], section(page, "trust")
    before, after = (f"{trust['ece'][when]:.4f}" for when in ("before", "after"))
    assert f"Test 400 {before} {after}" in text
    for promised, found in trust["sets"].items():
        assert f"{float(promised) * 100:.0f} % {found['covered'] * 100:.2f} %" in text
    known = trust["verdicts"]["known"]
    assert f"Known at least 99 % are right {known['pills']} {known['share'] * 100:.1f} %" in text
    assert f"AUROC by relative distance {_unseen(written):.4f} {trust['unseen']['auroc']:.4f}" in text
    assert f"Not called known 100.00 % {trust['unseen']['not_known'] * 100:.2f} %" in text
    assert "Known from probability 0.7100 with the most known pills, at most 88 %, at which validation" in text
    assert "at which validation still shows 99 % right" in text


def _unseen(written: dict[str, Any]) -> float:
    return read_json(written["calibration"])["validation"]["unseen"]["auroc"]


def test_both_sides_stand_beside_one_photograph(page: str) -> None:
    text = section(page, "answers")
    assert "Measured on 1,032 pairs of 200 photographs of the test part" in text
    assert "4 other photographs would be refused" in text
    assert "Called known 59.00 % 71.25 %" in text
    assert "Never-seen drugs that are not known 98.33 % 99.88 %" in text
    assert "Calibration error (ECE) 0.0241 0.0187" in text


def test_targets_of_trust_are_verdicts(page: str) -> None:
    text = section(page, "trust")
    assert "Calibration error of answers (ECE) ≤ 0.02 0.0134 ✓ met" in text
    assert "Right among answers that are known ≥ 99 % 99.69 % ✓ met" in text
    assert "Never-seen drugs that are not known ≥ 95 % 98.33 % ✓ met" in text


def test_a_missed_target_of_trust_is_in_the_headline() -> None:
    measured = figures() | {"trust": {"ece": 0.031, "known_right": 0.98, "unseen_not_known": None}}
    found = verdicts(NO_TARGETS | {"ece": 0.02, "known_right": 0.99}, measured)
    said = plain(headline("stage4", found))
    assert said == (
        "Stage 4 does not meet 2 of 2 targets: calibration error 0.0310 (target ≤ 0.02) and right among known 98.00 % "
        "(target ≥ 99 %)."
    )
    assert [one.key for one in verdicts(STAGE4, measured) if one.state == "not measured"] == ["unseen_not_known"]


def test_without_held_out_drugs_nothing_is_claimed_of_them(written: dict[str, Any], tmp_path: Path) -> None:
    measured, chosen = read_json(written["accuracy"]), read_json(written["calibration"])
    measured["trust"]["unseen"] = chosen["validation"]["unseen"] = None
    page = changed_page(written, tmp_path, accuracy=measured, calibration=chosen)
    assert "Not measured: there is no pill of a drug that was held out" in section(page, "trust")
    assert "AUROC" not in section(page, "trust")
    assert "? not measured Answers were asked about drugs that the model never saw" in section(page, "checklists")


def test_a_validation_that_is_too_small_promises_nothing(written: dict[str, Any], tmp_path: Path) -> None:
    measured, chosen = read_json(written["accuracy"]), read_json(written["calibration"])
    chosen["calibration"] |= {"known_from": None, "known_within": 0.0}
    measured["trust"]["verdicts"]["known"] = {"pills": 0, "share": 0.0, "right": None}
    measured["same_pill"]["calibrated"] = False
    page = changed_page(written, tmp_path, accuracy=measured, calibration=chosen)
    text = section(page, "trust")
    assert "Known nothing: validation has too few pills to show it, so no answer is known 0 0.0 % – –" in text
    assert "Known from probability – " in text
    assert "✗ missed Validation had enough pills to promise known answers no answer is known" in section(
        page, "checklists"
    )
    assert "nothing is promised of such answers, and none is known" in section(page, "answers")


def test_pairs_of_different_pills_are_told(written: dict[str, Any], page: str, tmp_path: Path) -> None:
    assert "Of 3,900 pairs of photographs that show different drugs, 0.1 % are called known" in section(page, "answers")
    measured = read_json(written["accuracy"])
    measured["same_pill"]["unlike"] = {"pairs": 0, "known": None}
    assert "that show different drugs" not in section(changed_page(written, tmp_path, accuracy=measured), "answers")


def test_models_are_compared_with_what_is_allowed(page: str) -> None:
    text = section(page, "models")
    for words in (
        "Detector: box coordinates 64 photos 0.00012 px 0.5 px",
        "Detector: mAP@0.5 64 photos 0.0003 0.01",
        "Classifier: top-1 64 crops 0 0.005",
        "Fused graph and steps, validation: same drugs too 64 photos 99.75 % at least 99 %",
        "Fused graph and steps, test: same pills 456 photos 100.00 %",
        "INT8, for CPUs 98.71 % 92.50 % 3.0 MB 1.6 MB",
    ):
        assert words in text


def test_checklist_fails_what_parity_fails(written: dict[str, Any], tmp_path: Path) -> None:
    worse = parity()
    worse["detector"]["map50"]["onnx"] = 0.97
    worse["fused"]["same_top1"] = 0.98
    text = section(changed_page(written, tmp_path, parity=worse), "checklists")
    assert "✗ missed Detector: ONNX Runtime answers like PyTorch at most 0.017 mAP@0.5, allowed 0.01" in text
    assert "✗ missed The fused graph answers like the single steps 98.00 % of the validation photographs" in text


@pytest.mark.parametrize(("one", "other", "difference"), [(0.9, 0.88, 0.02), (None, None, None)])
def test_map_difference(one: float | None, other: float | None, difference: float | None) -> None:
    found = map50_difference({"detector": {"map50": {"pytorch": one, "onnx": other}}})
    assert found == (pytest.approx(difference) if difference else None)


def test_times_side_by_side(page: str) -> None:
    text = section(page, "latency")
    assert "4 pills One fused graph 37.5 ms 52.5 ms 63.8 ms 1.00×" in text
    assert "4 pills ultralytics + timm, PyTorch 103 ms 144 ms 175 ms 2.75×" in text
    assert "Graph 21.0 ms 29.4 ms" in text
    assert "Classifier 6.50 ms 9.10 ms" in text
    assert "Single 2 51.2" in text or "Single 2 51.3" in text


def test_a_test_part_without_combos_has_no_bars_of_them() -> None:
    times = latency(("single",))
    assert "combo" not in latency_chart(times, 50).summary.lower()
    assert [row[0] for row in side_by_side_rows(times)] == ["1 pill"] * 4
    assert throughput_rows(times)[1] == ["Combo", "–", "–"]
    assert side_by_side_chart({}) is None


def test_what_was_not_timed_has_no_row() -> None:
    """INT8 is not timed on a GPU."""
    times = latency(("single",))
    del times["side_by_side"]["1"]["int8"]
    assert "INT8" not in str(side_by_side_rows(times))
    assert "INT8" not in side_by_side_chart(times["side_by_side"]).svg


def test_reliability_has_a_bar_for_every_bin(written: dict[str, Any]) -> None:
    trust = read_json(written["accuracy"])["trust"]
    for when in ("before", "after"):
        drawn = (written["figures"] / f"reliability_{when}.svg").read_text(encoding="utf-8")
        told = set(re.findall(r"Probability [^\"]+ on average", drawn))
        assert len(told) == len(trust["reliability"][when])


@pytest.mark.parametrize(
    ("share", "pills", "text"),
    [(1.0, 35, "90.1 – 100.0 %"), (None, 10, "–"), (0.5, 0, "–"), (0.5, 10, "23.7 – 76.3 %")],
)
def test_interval_in_words(share: float | None, pills: int, text: str) -> None:
    assert plain(interval(share, pills)) == text


def test_confused_drugs_say_what_tells_them_apart(page: str) -> None:
    text = section(page, "classifier")
    assert "Of 13 mistakes, 9 (69.2 %) are between drugs that differ by imprint only, 3 between drugs" in text
    assert "differ by imprint only (AB12 / CD34)" in text
    assert "differ in colour (yellow / blue and white)" in text
    assert "K-000000 가스모틴정 5mg 20 60.0 % 38.7 – 78.1 % round white AB12" in text


@pytest.mark.parametrize(("share", "said"), [(0.04, False), (0.06, True)])
def test_more_unknown_pills_than_promised_are_marked(
    written: dict[str, Any], tmp_path: Path, share: float, said: bool
) -> None:
    measured = read_json(written["accuracy"])
    measured["trust"]["verdicts"]["unknown"]["share"] = share
    text = section(changed_page(written, tmp_path, accuracy=measured), "trust")
    assert ("at most 5 % of the pills of trained drugs; ✗ here more" in text) == said


def test_a_test_part_without_answered_pills_leaves_dashes(written: dict[str, Any], tmp_path: Path) -> None:
    measured = read_json(written["accuracy"]) | {"trust": None, "same_pill": None}
    page = changed_page(written, tmp_path, accuracy=measured)
    text = section(page, "trust")
    assert "measured on the 0 answered pills" in text
    assert "Test 0 – –" in text
    assert "Known at least 99 % are right 0 – – –" in text
    assert "reliability_after" not in page
    assert "Not measured: no drug has two photographs of a single pill" in section(page, "answers")
    assert "? not measured Temperature scaling lowered the calibration error" in section(page, "checklists")


def test_every_device_has_its_times(page: str) -> None:
    assert "Whole answers on every device that works here" in section(page, "latency")
    assert "CPU 27.5 ms 38.5 ms 46.8 ms 27.5 ms" in section(page, "latency")
