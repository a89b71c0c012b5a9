"""Pairs of photographs that show one drug, a front and a back, as a person would send them together."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from pillsnap.answers.calibration import Calibration, agreements, joined_logits, probabilities, row_blocks
from pillsnap.answers.calibration_metrics import Predictions
from pillsnap.sources.aihub_name import parse_photo_name

ENOUGH = 1000
"""Pairs from which no photograph is paired once more: with fewer, each photograph is in several pairs."""

UNLIKE = 4000
"""Pairs of photographs of different drugs, about."""


@dataclass(frozen=True)
class Photographed:
    """Predictions of pills that are alone in their photographs, with image_id and K-code of each."""

    pills: Predictions
    image_ids: Sequence[str]
    drugs: Sequence[str]


def choose_pairs(image_ids: Sequence[str], drugs: Sequence[str]) -> np.ndarray:
    """Pair photographs of the same drug.

    A front is paired with a back where the names say which is which, as AIHub's do; of other photographs, the first
    half of a drug's is paired with the second. Pairs come in rounds in which no photograph is used twice, and rounds
    are added until there are `ENOUGH` pairs, or every front was paired with every back.

    Args:
        image_ids: of photographs of one pill.
        drugs: K-code of each.

    Returns:
        places of the photographs, int (pairs, 2); independent of the photographs' order but for the places.
    """
    sides = _sides(image_ids, drugs)
    chosen: list[tuple[int, int]] = []
    for number in range(max((max(map(len, both)) for both in sides), default=0)):
        if len(chosen) < ENOUGH:
            chosen += [pair for both in sides for pair in _round(*both, number)]
    return np.array(chosen, int).reshape(-1, 2)


def choose_unlike_pairs(image_ids: Sequence[str], drugs: Sequence[str]) -> np.ndarray:
    """Pair photographs of different drugs, as a person would send them together by mistake.

    Args:
        image_ids: of photographs of one pill.
        drugs: K-code of each.

    Returns:
        places of the photographs, int (pairs, 2), about `UNLIKE` or every pair that there is; each photograph, of many
        photographs some, is in as many, with others that lie evenly apart in the order of drugs.
    """
    ranked = np.array(sorted(range(len(image_ids)), key=lambda place: (drugs[place], image_ids[place])), int)
    ranked = ranked[:: max(1, -(-len(ranked) // UNLIKE))]
    number, half = len(ranked), len(ranked) // 2
    shifts = np.linspace(1, half, 1 + min(half, -(-UNLIKE // max(1, number)))).astype(int)[1:]
    circles = [np.c_[np.arange(number), (np.arange(number) + shift) % number] for shift in shifts]
    pairs = ranked[np.unique(np.sort(np.concatenate([np.empty((0, 2), int), *circles]), axis=1), axis=0)]
    codes = np.array(drugs, object)
    return pairs[codes[pairs[:, 0]] != codes[pairs[:, 1]]]


def unlike_pairs(seen: Photographed, unseen: Photographed) -> tuple[Predictions, np.ndarray]:
    """Predictions of the photographs that `choose_unlike_pairs` takes, and the pairs' places among them.

    Those of all photographs, thousands of drugs' logits each, would not fit into memory twice.
    """
    pairs = choose_unlike_pairs([*seen.image_ids, *unseen.image_ids], [*seen.drugs, *unseen.drugs])
    taken = np.unique(pairs)
    first, others = taken[taken < len(seen.pills)], taken[taken >= len(seen.pills)] - len(seen.pills)
    return seen.pills.at(first).beside(unseen.pills.at(others)), np.searchsorted(taken, pairs)


def _round(fronts: Sequence[int], backs: Sequence[int], number: int) -> Iterator[tuple[int, int]]:
    """Pair each front with the back that lies so many places behind it, in a circle of the longer list's length."""
    longer = max(len(fronts), len(backs))
    for place, front in enumerate(fronts):
        behind = (place + number) % longer
        if number < longer and behind < len(backs):
            yield front, backs[behind]


def _sides(image_ids: Sequence[str], drugs: Sequence[str]) -> list[tuple[list[int], list[int]]]:
    """Places of the photographs to be paired, by drug."""
    by_side: dict[tuple[str, int | None], list[int]] = {}
    for place in sorted(range(len(image_ids)), key=lambda place: image_ids[place]):
        by_side.setdefault((drugs[place], _side(image_ids[place])), []).append(place)
    found = []
    for drug in sorted(set(drugs)):
        found.append((by_side.get((drug, 0), []), by_side.get((drug, 1), [])))
        others = by_side.get((drug, None), [])
        found.append((others[: len(others) // 2], others[len(others) // 2 :]))
    return found


def _side(image_id: str) -> int | None:
    """0 front, 1 back, `None` where the photograph's name does not say it."""
    name = parse_photo_name(image_id.rpartition(".")[2])
    return name.side if name else None


def pair_predictions(
    pills: Predictions, pairs: np.ndarray, temperature: float, calibration: Calibration | None = None
) -> Predictions:
    """Join the predictions of two photographs each, as an answer to both does.

    Args:
        pills: one of each photograph.
        pairs: places of their photographs, int (pairs, 2).
        temperature: of answers to one photograph.
        calibration: of pairs, once it is chosen: photographs that do not agree are held apart.

    Returns:
        the joined logits, float32, the mean distance, and the target; it is -1, a wrong answer, unless both boxes are
        pills of the drug.
    """
    first, second = pairs.T
    logits, agreed = np.empty((len(pairs), pills.logits.shape[1]), np.float32), np.empty(len(pairs))
    for rows in row_blocks(len(pairs)):
        single = [probabilities(pills.logits[places[rows]], temperature) for places in (first, second)]
        logits[rows], agreed[rows] = joined_logits(single), agreements(*single)
    distances = (pills.distances[first] + pills.distances[second]) / 2
    if calibration:
        distances = calibration.held_apart(distances, agreed)
    both = pills.targets[first] == pills.targets[second]
    return Predictions(logits, distances, np.where(both, pills.targets[first], -1))


def pair_agreements(pills: Predictions, pairs: np.ndarray, temperature: float) -> np.ndarray:
    """Agreement of each pair's photographs, float64 (pairs,), see `agreements`; arguments as `pair_predictions`."""
    agreed = np.empty(len(pairs))
    for rows in row_blocks(len(pairs)):
        agreed[rows] = agreements(*(probabilities(pills.logits[places], temperature) for places in pairs[rows].T))
    return agreed


def least_agreement(same: np.ndarray, apart: np.ndarray) -> float | None:
    """Choose `Calibration.agree_from`: the share of the pairs of one drug that it keeps exceeds the share of the pairs
    of different drugs that it keeps by the widest margin (Youden 1950).

    Args:
        same, apart: agreements of the pairs of one drug and of different drugs that would be `known`, float (pairs,).

    Returns:
        `None` where there is no pair of different drugs.
    """
    if not len(apart):
        return None
    limits = np.array([0.0, *np.nextafter(np.sort(apart), 2)])
    kept, left = (1 - np.searchsorted(np.sort(each), limits) / max(1, len(each)) for each in (same, apart))
    return float(limits[np.argmax(kept - left)])
