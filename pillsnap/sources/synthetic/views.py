"""Views of each drug to photograph, and combinations of drugs."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from pillsnap.sources.synthetic.catalogue import Drug, key_rng
from pillsnap.sources.synthetic.scene import COMBO_SCALE, SINGLE_SCALE, Shot

_GROUP_SIZE = 2
"""Longitudes of one capture group that are photographed before the next group."""
COMBO_LATITUDES = (70, 75, 90)
"""Camera latitudes of the 3 photographs of a combination."""

Group = tuple[int, int, int, int]
"""A capture group's background, side, light and camera latitude."""
Pills = tuple[tuple[Drug, int], ...]
"""Drugs with the visible side, 0 front or 1 back."""
Combination = tuple[str, list[Pills]]
"""Name of the combination, and its pills in each of its photographs."""


@dataclass(frozen=True)
class Photo:
    """One photograph to take: its folder, its name without ending, drugs with their sides, pixels a millimetre."""

    folder: str
    stem: str
    pills: Pills
    shot: Shot
    scale: float


def single_photos(drug: Drug, part: str, training_photos: int, validation_photos: int, seed: int) -> Iterator[Photo]:
    """Yield the single-pill photographs of a drug in one part, `training` or `validation`.

    Whole capture groups, in an order that brings every background, side, light and latitude early; the
    validation part takes its groups from the end of the same order, so that no group is in both. Raises
    `ValueError` where more photographs are requested than there are views.
    """
    order, longitudes = _order_of_views(drug, seed)
    validation_groups = _validation_groups(len(order), training_photos, validation_photos)
    if part == "training":
        groups, count, size = order[: len(order) - validation_groups], training_photos, _GROUP_SIZE
    else:
        groups, count, size = order[::-1][:validation_groups], validation_photos, 1
    for taken in range(count):
        turn, place = divmod(taken // size, len(groups))
        yield _single_photo(drug, groups[place], longitudes[(turn * size + taken % size + place) % 18])


def shared_view(drug: Drug, seed: int) -> Photo:
    """Return a photograph of the training part's first capture group, from the longitude that it takes last."""
    order, longitudes = _order_of_views(drug, seed)
    return _single_photo(drug, order[0], longitudes[-1])


def _order_of_views(drug: Drug, seed: int) -> tuple[list[Group], list[int]]:
    """Return a drug's capture groups and longitudes in the order in which they are photographed."""
    rng = key_rng(seed, "views", drug.k_code)
    order = _spread(list(itertools.product(range(3), range(2), range(3), (60, 70, 75, 90))), rng)
    return order, [int(value) * 20 for value in rng.permutation(18)]


def _single_photo(drug: Drug, group: Group, longitude: int) -> Photo:
    background, side, light, latitude = group
    stem = f"{drug.k_code}_0_{background}_{side}_{light}_{latitude}_{longitude:03d}_200"
    return Photo(drug.k_code, stem, ((drug, side),), Shot(background, light, latitude, longitude), SINGLE_SCALE)


def _validation_groups(groups: int, training_photos: int, validation_photos: int) -> int:
    """Number of capture groups of the validation part: one a photograph as far as training leaves them, and at least
    as many as its photographs fill with 18 longitudes each."""
    fewest, left = -(-validation_photos // 18), groups - -(-training_photos // 18)
    if left < fewest:
        raise ValueError(
            f"source.synthetic: {training_photos} training and {validation_photos} validation photographs of a drug "
            f"do not fit into {groups} capture groups of 18 views. Lower photos_per_drug."
        )
    return min(max(fewest, groups - -(-training_photos // _GROUP_SIZE)), validation_photos)


def _spread(groups: list[Group], rng: np.random.Generator) -> list[Group]:
    """Order groups so that each next one has the properties that were least frequent so far."""
    left = [groups[index] for index in rng.permutation(len(groups))]
    seen: dict[tuple[int, int], int] = {}
    order = []
    while left:
        best = min(left, key=lambda group: sum(seen.get(pair, 0) for pair in enumerate(group)))
        left.remove(best)
        order.append(best)
        for pair in enumerate(best):
            seen[pair] = seen.get(pair, 0) + 1
    return order


def draw_combinations(
    catalogue: list[Drug], combos: int, validation_combos: int, seed: int
) -> dict[str, list[Combination]]:
    """Draw the combinations of both parts, `training` and `validation`: 2 to 5 drugs, no set of drugs twice.

    Raises `ValueError` where the drugs do not make that many combinations.
    """
    counts = {"training": combos, "validation": validation_combos}
    names: set[str] = set()
    drawn: dict[str, list[Combination]] = {part: [] for part in counts}
    for part, number in ((part, number) for part, count in counts.items() for number in range(count)):
        rng = key_rng(seed, "combo", part, number)
        for _ in range(1000):
            count = min(int(rng.integers(2, 6)), len(catalogue))
            chosen = rng.choice(len(catalogue), count, replace=False)
            drugs = sorted((catalogue[index] for index in chosen), key=lambda drug: drug.k_code)
            name = "K-" + "-".join(drug.k_code.removeprefix("K-") for drug in drugs)
            if name not in names:
                break
        else:
            raise ValueError(
                f"source.synthetic: {len(catalogue)} drugs do not make {combos} training and {validation_combos} "
                "validation combinations. Raise drugs or combo_drugs, or lower combos."
            )
        names.add(name)
        shown = [tuple((drug, int(rng.integers(0, 2))) for drug in drugs) for _ in COMBO_LATITUDES]
        drawn[part].append((name, shown))
    return drawn


def combo_photos(combination: Combination) -> Iterator[Photo]:
    """Yield the photographs of one combination."""
    name, shown = combination
    for latitude, pills in zip(COMBO_LATITUDES, shown, strict=True):
        stem = f"{name}_0_2_0_2_{latitude}_000_200"
        yield Photo(name, stem, pills, Shot(2, 2, latitude, 0), COMBO_SCALE)
