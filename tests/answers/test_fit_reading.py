"""The reader is calibrated on validation, and weighed against the classifier by what the two get right."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.special import log_softmax

from pillsnap.answers.calibration import ReadingCalibration
from pillsnap.answers.fit_reading import LARGEST_WEIGHT, ReadPills, choose_distance_weight, fit_reading
from pillsnap.answers.naming import Imprints, join_reading, log_probabilities
from pillsnap.answers.thresholds import fit_temperature
from pillsnap.reader.looks import CHARACTERS, COLOUR_NAMES, END, PLACES, SHAPE_NAMES, Looks, codes_of, imprint_of

CODES = len(CHARACTERS) + 1
LOOKS = [Looks((f"A{number}", ""), "round", frozenset({"white"})) for number in range(6)]


def pills(count: int, *, right: float, scale: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray, ReadPills]:
    """A classifier that knows pairs of drugs apart and not the two of a pair; a reader that reads each character right
    with a probability of `right` and says so, before its logits are multiplied by `scale`."""
    random = np.random.default_rng(seed)
    targets = random.integers(0, 6, count)
    logits = random.normal(0, 0.1, (count, 6))
    for drug in range(6):
        logits[:, drug] += 6.0 * (targets // 2 == drug // 2)
    truth = codes_of([LOOKS[target].imprints[0] for target in targets])
    shown = np.where(random.random(truth.shape) < right, truth, random.integers(0, CODES, truth.shape))
    share = right + (1 - right) / CODES
    characters = np.full((count, PLACES, CODES), np.log((1 - share) / (CODES - 1)))
    np.put_along_axis(characters, shown[..., None], np.log(share), axis=2)
    shapes = np.zeros((count, len(SHAPE_NAMES)))
    shapes[:, SHAPE_NAMES.index("round")] = 2.0
    colours = np.full((count, len(COLOUR_NAMES)), -2.0)
    colours[:, COLOUR_NAMES.index("white")] = 2.0
    return logits, targets, ReadPills(characters * scale, shapes, colours)


@pytest.mark.parametrize("scale", [0.5, 1.0, 3.0])
def test_temperature_makes_confidences_true(scale: float) -> None:
    logits, targets, read = pills(3000, right=0.9, scale=scale)
    found = fit_reading(logits, targets, read, LOOKS)
    assert found and found.imprint_temperature == pytest.approx(scale, rel=0.1)
    scores = log_probabilities(read.characters, found.imprint_temperature)
    confidence = np.mean([found.whole_imprint(value) for value in np.exp(scores.max(axis=2).sum(axis=1))])
    read_right = [
        imprint_of(codes) in LOOKS[target].imprints
        for codes, target in zip(scores.argmax(axis=2), targets, strict=True)
    ]
    assert confidence == pytest.approx(np.mean(read_right), abs=0.03)
    assert found.shape_temperature < 1 and found.colour_temperature < 1, "they are always right"


def test_the_imprint_tells_a_pair_apart() -> None:
    logits, targets, read = pills(3000, right=0.9, scale=1.0)
    found = fit_reading(logits, targets, read, LOOKS)
    assert found and 0 < found.weight <= LARGEST_WEIGHT and found.distance_weight == 0
    likelihoods = Imprints.of_drugs(LOOKS).log_likelihoods(read.characters, found.imprint_temperature)
    joined = logits + found.weight * likelihoods
    alone, together = ((each.argmax(axis=1) == targets).mean() for each in (logits, joined))
    assert alone < 0.6 and together > 0.9
    named = -likelihoods[np.arange(len(targets)), targets][joined.argmax(axis=1) == targets]
    assert (named >= found.contradicts_from).mean() <= 0.011


def losses(
    logits: np.ndarray, targets: np.ndarray, read: ReadPills, looks: list[Looks], reading: ReadingCalibration
) -> np.ndarray:
    """Negative log-likelihood of each pill's drug, after the temperature that fits all of them."""
    joined, *_ = join_reading(logits, np.zeros(len(logits)), read.characters, Imprints.of_drugs(looks), reading)
    scaled = joined / fit_temperature(joined, targets)
    return -log_softmax(scaled, axis=1)[np.arange(len(targets)), targets]


def test_a_side_on_which_nothing_is_read_has_a_weight_of_its_own() -> None:
    """Here a side is blank on a third of the pills, whatever their drug, though labels tell both sides' imprints."""
    logits, targets, read = pills(3000, right=0.95, scale=1.0)
    looks = [Looks((f"A{number}", f"B{number}" if number % 2 else ""), None, frozenset()) for number in range(6)]
    blank = np.random.default_rng(1).random(3000) < 1 / 3
    read.characters[blank] = read.characters.min()
    read.characters[blank, :, END] = read.characters.max()
    found = fit_reading(logits, targets, read, looks)
    assert found and 0 < found.blank_weight < 0.2 * found.weight
    one_weight = replace(found, blank_weight=found.weight, blank_scale=1.0)
    apart, alike = (losses(logits, targets, read, looks, reading) for reading in (found, one_weight))
    assert apart.mean() < 0.9 * alike.mean()


def test_few_pills_without_an_imprint_count_as_the_others() -> None:
    logits, targets, read = pills(300, right=0.95, scale=1.0)
    read.characters[:1, 0] = read.characters.min()
    read.characters[:1, 0, END] = read.characters.max()
    found = fit_reading(logits, targets, read, LOOKS)
    assert found and found.blank_weight == pytest.approx(found.weight, rel=0.6)
    assert found.blank_scale == pytest.approx(1.0, rel=0.6)


@pytest.mark.parametrize("right", [0.0, 0.9])
def test_a_reader_of_other_pills_changes_no_answer(right: float) -> None:
    """One that reads nothing, or surely something that has nothing to do with the pill."""
    logits, targets, _ = pills(3000, right=0.9, scale=1.0)
    *_, read = pills(3000, right=right, scale=1.0, seed=1)
    found = fit_reading(logits, targets, read, LOOKS)
    assert found
    joined = logits + found.weight * Imprints.of_drugs(LOOKS).log_likelihoods(
        read.characters, found.imprint_temperature
    )
    alone, together = ((each.argmax(axis=1) == targets).mean() for each in (logits, joined))
    assert together == pytest.approx(alone, abs=0.03)


def test_disagreement_counts_as_much_as_it_separates() -> None:
    random = np.random.default_rng(0)
    seen, unseen = (random.normal(size=500), np.zeros(500)), (random.normal(size=500), np.full(500, 3.0))
    assert choose_distance_weight(seen, unseen) >= 2
    assert choose_distance_weight(seen, (random.normal(size=500) + 99, np.zeros(500))) == 0, (
        "the smallest of equal ones"
    )
    assert choose_distance_weight(seen, (np.zeros(0), np.zeros(0))) == 0


def test_nothing_is_read_where_no_label_tells_an_imprint() -> None:
    logits, targets, read = pills(50, right=0.9, scale=1.0)
    assert fit_reading(logits, targets, read, [Looks(("", ""), "round", frozenset())] * 6) is None
