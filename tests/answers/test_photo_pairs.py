"""Pairs of photographs of one drug, and thresholds of answers to both."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from scipy.special import softmax

from pillsnap.answers import photo_pairs
from pillsnap.answers.calibration import Calibration, agreements, joined_logits
from pillsnap.answers.calibration_metrics import Predictions, calibration_metrics, lower_bound, verdicts
from pillsnap.answers.fit_pairs import Photographed, fit_pairs
from pillsnap.answers.photo_pairs import choose_pairs, choose_unlike_pairs, least_agreement, pair_predictions
from pillsnap.answers.thresholds import choose_thresholds
from pillsnap.config.config import Answers

DRUGS = 12


def names(drug: str, fronts: int, backs: int) -> list[str]:
    """image_ids of AIHub's form."""
    return [
        f"TS_1.{drug}_0_2_{side}_0_75_{n:03d}_200" for side, count in enumerate((fronts, backs)) for n in range(count)
    ]


def paired(image_ids: list[str], drugs: list[str]) -> list[tuple[str, str]]:
    return [(image_ids[first], image_ids[second]) for first, second in choose_pairs(image_ids, drugs)]


@pytest.mark.parametrize(
    ("image_ids", "pairs"),
    [
        (names("K-000001", 2, 3), 6),
        (names("K-000001", 4, 0), 0),
        (names("K-000001", 1, 1), 1),
        ([f"folder.photo-{n}" for n in range(5)], 6),
        (["folder.photo"], 0),
        ([], 0),
    ],
    ids=["every front with every back", "one side alone", "one pair", "no sides named: halves", "one", "none"],
)
def test_fronts_are_paired_with_backs(image_ids: list[str], pairs: int) -> None:
    found = paired(image_ids, ["K-000001"] * len(image_ids))
    assert len(found) == len(set(found)) == pairs
    assert not any("_2_1_" in front or "_2_0_" in back for front, back in found)


def test_pairs_are_of_one_drug_and_do_not_depend_on_the_order() -> None:
    image_ids = names("K-000001", 3, 4) + names("K-000002", 5, 2) + ["folder.a", "folder.b"]
    drugs = ["K-000001"] * 7 + ["K-000002"] * 7 + ["red", "blue"]
    drug_of = dict(zip(image_ids, drugs, strict=True))
    found = paired(image_ids, drugs)
    assert Counter(drug_of[front] for front, _ in found) == {"K-000001": 12, "K-000002": 10}
    assert all(drug_of[front] == drug_of[back] for front, back in found)
    assert paired(image_ids[::-1], drugs[::-1]) == found


@pytest.mark.parametrize(("enough", "pairs", "most"), [(1, 5, 1), (6, 10, 2), (1000, 25, 5)])
def test_no_photograph_is_paired_more_often_than_it_takes(
    monkeypatch: pytest.MonkeyPatch, enough: int, pairs: int, most: int
) -> None:
    monkeypatch.setattr(photo_pairs, "ENOUGH", enough)
    found = choose_pairs(names("K-000001", 5, 5), ["K-000001"] * 10)
    assert len(found) == pairs
    assert set(Counter(found.ravel().tolist()).values()) == {most}


def photographed(count: int, seed: int, *, far: float = 0.0) -> tuple[Predictions, np.ndarray]:
    """Two photographs each of so many pills, each of them calibrated and saying something of its own."""
    random = np.random.default_rng(seed)
    targets = np.repeat(random.integers(0, DRUGS, count), 2)
    logits = random.normal(0, 1, (2 * count, DRUGS))
    logits[np.arange(2 * count), targets] += 3.0
    distances = np.abs(random.normal(5, 1, 2 * count)) + far
    return Predictions(3 * logits, distances, targets), np.arange(2 * count).reshape(count, 2)


def test_promises_of_pairs_hold_on_others_and_more_of_them_are_known() -> None:
    (chosen_on, pairs), (strange, strange_pairs) = photographed(4000, 1), photographed(300, 2, far=4)
    single = choose_thresholds(chosen_on, strange, Answers())
    both = choose_thresholds(
        pair_predictions(chosen_on, pairs, single.temperature),
        pair_predictions(strange, strange_pairs, single.temperature),
        Answers(),
    )
    (others, pairs), (strange, strange_pairs) = photographed(4000, 3), photographed(300, 4, far=4)
    one = calibration_metrics(others, strange, single)
    found = calibration_metrics(
        pair_predictions(others, pairs, single.temperature),
        pair_predictions(strange, strange_pairs, single.temperature),
        both,
    )
    assert found["verdicts"]["known"]["right"] >= 0.985
    assert found["verdicts"]["known"]["share"] > 0.7 > 1.5 * one["verdicts"]["known"]["share"]
    assert found["ece"]["after"] < 0.02
    assert found["unseen"]["not_known"] >= 0.95
    assert found["sets"]["0.95"]["covered"] >= 0.94


def test_pairs_by_hand() -> None:
    """The product of both photographs' probabilities; a box that is no pill makes its pair wrong."""
    logits = np.log(np.array([[0.6, 0.4], [0.2, 0.8], [0.9, 0.1]]))
    pills = Predictions(logits, np.array([1.0, 3.0, 5.0]), np.array([1, 1, -1]))
    pairs = pair_predictions(pills, np.array([[0, 1], [0, 2]]), 1.0)
    assert softmax(pairs.logits, axis=1)[0] == pytest.approx([0.12 / 0.44, 0.32 / 0.44])
    assert pairs.distances.tolist() == [2.0, 3.0]
    assert pairs.targets.tolist() == [1, -1]
    assert len(pair_predictions(pills, np.zeros((0, 2), int), 1.0)) == 0


@pytest.mark.parametrize(("drugs", "each"), [(2, 1), (3, 40), (40, 3), (500, 20), (303, 33), (1, 5), (0, 0)])
def test_unlike_pairs_are_of_different_drugs_and_do_not_depend_on_the_order(drugs: int, each: int) -> None:
    image_ids = [f"a.{drug}-{number}" for drug in range(drugs) for number in range(each)]
    codes = [f"K-{drug:06d}" for drug in range(drugs) for _ in range(each)]
    found = choose_unlike_pairs(image_ids, codes)
    assert all(codes[first] != codes[second] for first, second in found)
    turned = choose_unlike_pairs(image_ids[::-1], codes[::-1])
    assert (len(codes) - 1 - turned).tolist() == found.tolist()
    if drugs > 1:
        assert len(set(found.ravel())) >= min(len(codes), photo_pairs.UNLIKE / 2)
        possible = (len(codes) * (len(codes) - each)) // 2
        assert min(possible, photo_pairs.UNLIKE) / 2 <= len(found) <= 2 * photo_pairs.UNLIKE


def test_agreement_by_hand() -> None:
    first, second = np.array([[0.9, 0.1], [0.9, 0.1]], np.float32), np.array([[0.8, 0.2], [0.1, 0.9]], np.float32)
    assert agreements(first, second) == pytest.approx([0.74, 0.18])


def test_photographs_of_two_pills_are_not_known() -> None:
    """Without `agree_from` most of such pairs would be; it costs few answers to two photographs of one pill."""
    single = choose_thresholds(photographed(4000, 1)[0], photographed(300, 2, far=4)[0], Answers())
    seen, unseen = named(photographed(4000, 1)[0]), named(photographed(300, 2, far=4)[0], "new")
    fitted = fit_pairs(seen, unseen, seen.pills.distances, single.temperature, Answers())
    both, plain = fitted.calibration, replace(fitted.calibration, agree_from=None)
    others, pairs = photographed(4000, 3)
    unlike = unlike_of(others)

    def said(places: np.ndarray, calibration: Calibration) -> np.ndarray:
        return np.array(verdicts(pair_predictions(others, places, single.temperature, calibration), calibration))

    assert (said(unlike, plain) == "known").mean() > 0.6 and (said(unlike, both) == "known").mean() < 0.1
    assert (said(pairs, both) == "known").mean() > (said(pairs, plain) == "known").mean() - 0.15
    assert ((said(unlike, plain) == "unknown") == (said(unlike, both) == "unknown")).all(), "none becomes unknown by it"


def test_pairs_that_cannot_keep_the_promise_without_those_that_disagree_promise_nothing() -> None:
    """Few pills: some pairs fewer, and the precision is not shown any more."""
    pills = [photographed(count, 1)[0] for count in range(120, 320, 10)]
    strange = named(photographed(60, 2, far=4)[0], "new")
    fitted = [fit_pairs(named(each), strange, each.distances, 0.7, Answers()) for each in pills]
    shown = [one.calibration.known_from is not None for one in fitted]
    for one in fitted:
        known = np.array(verdicts(one.pairs, one.calibration)) == "known"
        right = (one.pairs.logits.argmax(axis=1) == one.pairs.targets)[known]
        assert not known.any() or lower_bound(int(right.sum()), len(right), 0.9) >= 0.99
    assert len(set(shown)) == 2, "one of each"


def named(pills: Predictions, of: str = "K-000") -> Photographed:
    """The pills with names by which both photographs of each are paired."""
    drugs = [f"{of}{place // 2:05d}" for place in range(len(pills))]
    return Photographed(pills, [f"a.{place:05d}" for place in range(len(pills))], drugs)


@pytest.mark.parametrize(
    ("same", "apart", "agree_from"),
    [([0.5, 0.6], [0.1, 0.2], 0.2), ([], [0.1], 0.1), ([0.2, 0.6], [0.1, 0.3], 0.1), ([0.9], [], None)],
    ids=["apart", "no other pair is known", "one of each between", "no unlike pair is known"],
)
def test_the_least_agreement_keeps_most_of_the_one_and_least_of_the_other(same, apart, agree_from) -> None:
    found = least_agreement(np.array(same), np.array(apart))
    assert found == (None if agree_from is None else pytest.approx(agree_from))
    assert all(each >= found for each in same if found) and not any(each == found for each in apart)


def unlike_of(pills: Predictions) -> np.ndarray:
    names = [f"a.{number:05d}" for number in range(len(pills))]
    return choose_unlike_pairs(names, [f"K-{target:06d}" for target in pills.targets])


def test_probabilities_that_float32_rounds_to_0_have_a_logarithm() -> None:
    sure, other = np.array([[1.0, 0.0]], np.float32), np.array([[0.0, 1.0]], np.float32)
    assert softmax(joined_logits([sure, other]))[0] == pytest.approx([0.5, 0.5])


def test_without_a_calibration_of_pairs_none_is_known() -> None:
    """That of a model of an older version has no such key."""
    single = Calibration(0.7, 0.5, 20.0, 30.0, {"0.95": 0.1}, 0.99, 0.95, 0.95)
    old = {key: value for key, value in single.to_json().items() if key != "pairs"}
    assert Calibration.from_json(old) == single
    assert single.pairs is None
    pills, pairs = photographed(50, 5)
    words = verdicts(pair_predictions(pills, pairs, single.temperature), single.of_pairs)
    assert set(words) == {"uncertain"} and "known" in verdicts(pills, single)
    surest = single.of_pairs.probabilities(joined_logits([np.array([[0.9, 0.1]])] * 2))[0, 0]
    assert surest == pytest.approx(0.9), "two photographs that say the same are no surer than one"


def test_thresholds_of_pairs_survive_json() -> None:
    single = Calibration(0.7, 0.5, 20.0, 30.0, {"0.95": 0.1}, 0.99, 0.95, 0.95)
    both = replace(single, pairs=replace(single, temperature=1.2))
    assert Calibration.from_json(both.to_json()) == both
    assert both.of_pairs.temperature == 1.2
