"""Pairs of photographs that show one drug, a front and a back, as a person would send them together."""

from collections.abc import Iterator, Sequence

import numpy as np

from pillsnap.answers.calibration import joined_logits, probabilities
from pillsnap.answers.calibration_metrics import Predictions
from pillsnap.sources.aihub_name import parse_photo_name

ENOUGH = 1000
"""Pairs from which no photograph is paired once more: with fewer, each photograph is in several pairs."""


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


def pair_predictions(pills: Predictions, pairs: np.ndarray, temperature: float) -> Predictions:
    """Join the predictions of two photographs each, as an answer to both does.

    Args:
        pills: one of each photograph.
        pairs: places of their photographs, int (pairs, 2).
        temperature: of answers to one photograph.

    Returns:
        the joined logits, float32, the mean distance, and the target; it is -1, a wrong answer, unless both boxes are
        pills of the drug.
    """
    first, second = pairs.T
    single = probabilities(pills.logits, temperature)
    logits = joined_logits([single[first], single[second]]).astype(np.float32)
    distances = (pills.distances[first] + pills.distances[second]) / 2
    both = pills.targets[first] == pills.targets[second]
    return Predictions(logits, distances, np.where(both, pills.targets[first], -1))
