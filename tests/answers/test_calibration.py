"""Promises: thresholds that are chosen on some pills and hold on others drawn alike."""

import math
from collections.abc import Iterator
from dataclasses import astuple, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.special import softmax

from pillsnap.answers.calibrate_answers import calibrate_answers, fit_drug_space
from pillsnap.answers.calibration import Calibration, ReadingCalibration
from pillsnap.answers.calibration_metrics import (
    Predictions,
    calibration_metrics,
    expected_calibration_error,
    lower_bound,
    reliability,
    selective_accuracy,
    verdicts,
)
from pillsnap.answers.naming import held_back
from pillsnap.answers.thresholds import choose_thresholds, fit_temperature, with_plain_limits
from pillsnap.classifier.model import load_classifier
from pillsnap.config.config import Answers
from pillsnap.crops.dataset import CropDataset
from pillsnap.pictures.in_order import in_order
from tests.support.models import calibrate, calibrated, tiny_stage, trained_classifier

DRUGS = 12


def drawn(count: int, seed: int, *, temperature: float = 1.0, far: float = 0.0) -> Predictions:
    """Pills whose targets are drawn by their own probabilities: perfectly calibrated at that temperature."""
    random = np.random.default_rng(seed)
    logits = random.normal(0, 8, (count, DRUGS))
    targets = np.array([random.choice(DRUGS, p=row) for row in softmax(logits, axis=1)])
    return Predictions(logits * temperature, np.abs(random.normal(5, 1, count)) + far, targets)


@pytest.mark.parametrize("temperature", [0.4, 1.0, 2.5])
def test_temperature_is_found_and_calibrates(temperature: float) -> None:
    pills = drawn(4000, 0, temperature=temperature)
    found = fit_temperature(pills.logits, pills.targets)
    assert found == pytest.approx(temperature, rel=0.06)
    figures = calibration_metrics(
        pills, Predictions.empty(DRUGS), choose_thresholds(pills, Predictions.empty(DRUGS), Answers())
    )
    assert figures["ece"]["after"] < 0.02
    assert figures["ece"]["by_chance"] == pytest.approx(figures["ece"]["after"], abs=0.008), "it is calibrated"
    assert temperature == 1.0 or figures["ece"]["before"] > 2 * figures["ece"]["after"]
    assert figures["unseen"] is None


def test_promises_hold_on_pills_that_were_not_used_to_choose_thresholds() -> None:
    chosen = choose_thresholds(drawn(6000, 1), drawn(300, 2, far=4), Answers())
    others, strangers = drawn(6000, 3), drawn(3000, 4, far=4)
    figures = calibration_metrics(others, strangers, chosen)
    assert figures["verdicts"]["known"]["right"] >= 0.985
    assert figures["verdicts"]["known"]["share"] > 0.1
    assert figures["verdicts"]["unknown"]["share"] == pytest.approx(0.05, abs=0.01)
    for coverage in ("0.9", "0.95", "0.99"):
        assert figures["sets"][coverage]["covered"] == pytest.approx(float(coverage), abs=0.012)
    assert figures["unseen"]["not_known"] >= 0.95
    assert figures["unseen"]["auroc"] > 0.95
    assert 0.4 < figures["unseen"]["auroc_of_probability"] < 0.6, "their logits look like any others"


def test_drugs_never_seen_tighten_what_is_known() -> None:
    pills = drawn(6000, 5)
    free, tight = (
        choose_thresholds(pills, strangers, Answers())
        for strangers in (Predictions.empty(DRUGS), drawn(900, 6, far=0.5))
    )
    words = [verdicts(drawn(2000, 7, far=0.5), chosen) for chosen in (free, tight)]
    assert (words[1] == "known").mean() <= 0.035 < (words[0] == "known").mean()


@pytest.mark.parametrize("blanks", [0, 2000])
@pytest.mark.parametrize("most", [0.5, 0.8, 1.0])
def test_no_more_pills_are_known_than_may_be(most: float, blanks: int) -> None:
    """Also of a model that makes no mistake, and where no drug was held out; near the limit, not far below."""
    pills = drawn(6000, 5)
    pills = replace(pills, logits=pills.logits + 40 * np.eye(DRUGS)[pills.targets])
    blank = np.arange(6000) < blanks, np.zeros(0, bool)
    chosen = choose_thresholds(pills, Predictions.empty(DRUGS), Answers(known=most), blank)
    held = replace(pills, distances=held_back(pills.distances, np.zeros(6000), blank[0], chosen))
    assert min(most, 0.93) - 0.03 <= (verdicts(held, chosen) == "known").mean() <= most


def test_the_promise_holds_of_blank_sides_for_themselves() -> None:
    """Of a hundred blank ones that look like trained drugs, the promised share may be known, and not of all pills; what
    bears an imprint is known as before."""
    pills, alike, others = drawn(6000, 5), drawn(100, 6, far=0.5), drawn(2900, 7, far=9.0)
    strangers = Predictions(*(np.concatenate(each) for each in zip(astuple(alike), astuple(others), strict=True)))
    blank = np.arange(6000) < 1000, np.arange(3000) < 100
    loose, tight = (choose_thresholds(pills, strangers, Answers(), groups) for groups in (None, blank))
    held = replace(alike, distances=held_back(alike.distances, np.zeros(100), blank[1][:100], tight))
    known = [(verdicts(*each) == "known").mean() for each in ((alike, loose), (held, tight))]
    assert known[1] <= 0.02 < known[0]
    assert tight.blank_within < tight.known_within
    printed = Predictions(*(each[1000:] for each in astuple(pills)))
    assert (verdicts(printed, tight) == "known").mean() >= (verdicts(printed, loose) == "known").mean()


def test_imprints_that_leave_no_doubt_do_not_keep_blank_sides_from_being_known() -> None:
    """Where every probability with an imprint is exactly 1, no percentile of those is one for the others."""
    pills, strangers = drawn(6000, 5), drawn(300, 6, far=9.0)
    blank = np.arange(6000) < 2000, np.zeros(300, bool)
    sure = np.where(blank[0], 3.0, 1e5)[:, None] * np.eye(DRUGS)[pills.targets]
    pills = replace(pills, logits=pills.logits + sure)
    chosen = choose_thresholds(pills, strangers, Answers(), blank)
    assert (chosen.probabilities(pills.logits[2000:]).max(axis=1) == 1).all()
    known = verdicts(pills, chosen) == "known"
    assert known[2000:].mean() > 0.9 and known[:2000].mean() > 0.4
    assert (pills.logits.argmax(axis=1) == pills.targets)[known].mean() >= 0.99


@pytest.mark.parametrize(("blank", "disagreement"), [(True, 0.0), (False, 99.0)])
def test_what_is_held_back_is_uncertain_and_not_unknown(blank: bool, disagreement: float) -> None:
    """Also where all that is near enough not to be `unknown` may be `known`."""
    pills = drawn(6000, 5)
    pills = replace(pills, logits=pills.logits + 40 * np.eye(DRUGS)[pills.targets])  # all named right
    blanks = np.ones(6000, bool), np.ones(0, bool)
    chosen = choose_thresholds(pills, Predictions.empty(DRUGS), Answers(known=1), blanks)
    assert chosen.known_from is not None and chosen.known_within == pytest.approx(chosen.unknown_from)
    reading = ReadingCalibration(*[1.0] * 9, contradicts_from=5.0)
    strict = replace(chosen, reading=reading, blank_within=float(np.percentile(pills.distances, 50)))
    held = held_back(pills.distances, np.full(6000, disagreement), np.full(6000, blank), strict)
    words = verdicts(replace(pills, distances=held), strict)
    assert (words == "unknown").mean() == (pills.distances >= chosen.unknown_from).mean()
    assert (words == "uncertain").mean() > 0.4


def test_where_nothing_is_read_of_any_pill_one_limit_is_left() -> None:
    pills, strangers = drawn(6000, 5), drawn(300, 6, far=4)
    unread = choose_thresholds(pills, strangers, Answers(), (np.ones(6000, bool), np.ones(300, bool)))
    plain = choose_thresholds(pills, strangers, Answers())
    assert plain.known_from is not None
    assert replace(unread, blank_within=None) == plain and unread.blank_within == plain.known_within


def test_too_few_pills_promise_nothing() -> None:
    chosen = choose_thresholds(drawn(100, 8), Predictions.empty(DRUGS), Answers())
    assert chosen.known_from is None
    assert set(verdicts(drawn(50, 9), chosen)) <= {"uncertain", "unknown"}
    few = choose_thresholds(drawn(5, 10), Predictions.empty(DRUGS), Answers())
    assert few.set_from == {"0.9": 0.0, "0.95": 0.0, "0.99": 0.0}
    assert len(few.prediction_set(softmax(np.arange(DRUGS, dtype=float)))) == DRUGS, "all drugs are possible"


def test_a_calibration_survives_json() -> None:
    chosen = choose_thresholds(drawn(500, 11), Predictions.empty(DRUGS), Answers())
    assert Calibration.from_json(chosen.to_json()) == chosen


@pytest.mark.parametrize(
    ("confidence", "distance", "word"),
    [
        (0.99, 1.0, "known"),
        (0.9, 1.0, "known"),
        (0.89, 1.0, "uncertain"),
        (0.99, 2.0, "uncertain"),
        (1.0, 3.0, "unknown"),
    ],
)
def test_verdict(confidence: float, distance: float, word: str) -> None:
    chosen = Calibration(1.0, 0.9, 2.0, 3.0, {"0.95": 0.1}, 0.99, 0.95, 0.95)
    assert chosen.verdict(confidence, distance) == word


def test_prediction_set_is_ordered_and_never_empty() -> None:
    chosen = Calibration(1.0, None, 0.0, 3.0, {"0.9": 0.5, "0.95": 0.2}, 0.99, 0.95, 0.95)
    assert chosen.prediction_set(np.array([0.2, 0.5, 0.3])).tolist() == [1, 2, 0]
    assert chosen.prediction_set(np.array([0.2, 0.49, 0.31]), 0.9).tolist() == [1]


def test_ece_by_hand() -> None:
    """Two bins: 0.95 sure and half right, 0.5 sure and all right."""
    confidence, right = np.array([0.95, 0.95, 0.5, 0.5]), np.array([True, False, True, True])
    assert expected_calibration_error(confidence, right) == pytest.approx(0.5 * 0.45 + 0.5 * 0.5)
    assert [row["pills"] for row in reliability(confidence, right)] == [2, 2]
    assert reliability(np.array([1.0]), np.array([True]))[0]["to"] == 1


def test_selective_accuracy_takes_the_surest_first() -> None:
    curve = selective_accuracy(np.array([0.9, 0.2, 0.8, 0.4]), np.array([True, False, True, False]), points=4)
    assert [(row["coverage"], row["accuracy"]) for row in curve] == [
        (0.25, 1.0), (0.5, 1.0), (0.75, pytest.approx(2 / 3)), (1.0, 0.5),
    ]  # fmt: skip


def test_lower_bound_by_formula() -> None:
    """With no mistake in n, the bound is (1 - confidence) to the power of 1 / n."""
    assert lower_bound(299, 299, 0.95) == pytest.approx(0.05 ** (1 / 299))
    assert lower_bound(0, 10, 0.95) == 0
    assert lower_bound(990, 1000, 0.9) < 0.99


def test_drug_space_measures_from_the_nearest_drug() -> None:
    random = np.random.default_rng(12)
    targets = np.repeat(np.arange(3), 200)
    centres = np.array([[0, 0, 0, 0], [9, 0, 0, 0], [0, 9, 0, 0]])
    features = centres[targets] + random.normal(0, [1, 1, 3, 0.5], (600, 4))
    space = fit_drug_space(features.astype(np.float32), targets, 3)
    own = space.distances(features)
    assert np.median(own) == pytest.approx(math.sqrt(3.36), rel=0.1), "the median of chi with 4 degrees of freedom"
    assert space.distances(np.array([[0, 0, 0, 4.0]]))[0] > 3 * np.median(own), "far where drugs hardly vary"
    assert space.distances(np.array([[0, 0, 4.0, 0]]))[0] < np.median(own), "near where they vary much"


def test_relative_distance_is_small_where_pills_differ_as_the_drugs_do() -> None:
    """Two pills lie equally far from the nearest drug: one where features of all pills vary, one where none do."""
    random = np.random.default_rng(16)
    targets = np.repeat(np.arange(40), 50)
    centres = 10 + random.normal(0, [3, 3, 0, 0], (40, 4))
    space = fit_drug_space(centres[targets] + random.normal(0, 1, (2000, 4)), targets, 40)
    own = space.relative_distances(centres)
    odd, usual = (np.array([[10.0, 10, 10, 10]]) + step for step in ([0, 0, 9, -9], [9, -9, 0, 0]))
    assert own.max() < space.relative_distances(usual)[0] < space.relative_distances(odd)[0]
    # a direction of features, not their length, says which drug it is
    assert space.relative_distances(3 * centres) == pytest.approx(own, abs=1e-2)


def test_limits_of_the_plain_distance_keep_as_many_pills() -> None:
    pills = drawn(3000, 17)
    plain = pills.distances.astype(float) ** 2 + 5
    chosen = with_plain_limits(choose_thresholds(pills, Predictions.empty(DRUGS), Answers()), pills, plain)
    for limit, of_plain in zip((chosen.known_within, chosen.unknown_from), chosen.plain_limits, strict=True):
        assert (plain < of_plain).mean() == pytest.approx((pills.distances < limit).mean(), abs=1e-3)
    older = {key: value for key, value in chosen.to_json().items() if not key.startswith("plain")}
    assert Calibration.from_json(older).plain_limits == (chosen.known_within, chosen.unknown_from)


def test_boxes_that_are_no_pill_are_wrong_but_break_no_promise_of_sets() -> None:
    """Every tenth answer is no pill: calibration and verdicts suffer, coverage and AUROC are those of the pills."""
    pills, strangers = drawn(3000, 13), drawn(500, 14, far=4)
    chosen = choose_thresholds(pills, strangers, Answers())
    others = drawn(3000, 15)
    targets = others.targets.copy()
    targets[::10] = -1
    with_boxes = Predictions(others.logits, others.distances, targets)
    figures, clean = (calibration_metrics(seen, strangers, chosen) for seen in (with_boxes, with_boxes.with_class()))
    assert figures["sets"] == clean["sets"] and figures["unseen"] == clean["unseen"]
    assert figures["pills"] == 3000 > clean["pills"] == 2700
    assert figures["verdicts"]["known"]["right"] < 0.92 < clean["verdicts"]["known"]["right"]


def test_no_logits_of_training_crops_are_computed(base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With thousands of drugs they would be gigabytes; features alone are needed of these crops."""
    stage, rows = tiny_stage(base), []

    def load(weights: Path, drugs: int) -> tuple[torch.nn.Module, int]:
        model, size = load_classifier(weights, drugs)
        model.get_classifier().register_forward_hook(lambda layer, given, result: rows.append(len(result)))
        return model, size

    monkeypatch.setattr("pillsnap.answers.calibrate_answers.load_classifier", load)
    calibrate_answers(
        classifier=trained_classifier(base)["best"],
        reader=None,
        drugs=stage.drugs,
        crops=stage.crops,
        calibration=tmp_path / "calibration.json",
        drug_space=tmp_path / "drug_space.safetensors",
        settings=Answers(),
        device="cpu",
        threads=1,
    )
    assert sum(rows) == sum(len(CropDataset(stage.crops, split)) for split in ("val", "unseen_val")) > 0


def test_crops_that_are_decoded_ahead_for_a_gpu_give_the_same_bytes(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The GPU is played by the CPU: what is moved there stays here."""
    expected, asked = calibrated(base), []

    def ahead(*given: Any, **more: Any) -> Iterator[torch.Tensor]:
        asked.append(more["ahead"])
        return in_order(*given, **more)

    monkeypatch.setattr("pillsnap.answers.calibrate_answers.in_order", ahead)
    monkeypatch.setattr("pillsnap.answers.calibrate_answers.torch_device", lambda requested: "cuda")
    for moved in (torch.nn.Module, torch.Tensor):
        monkeypatch.setattr(moved, "to", lambda self, device: self)
    found = calibrate(base, device="cuda", folder=tmp_path)
    assert asked == [128] * 3, "training, validation and drugs never seen"
    for name, path in found.items():
        assert path.read_bytes() == expected[name].read_bytes()
