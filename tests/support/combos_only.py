"""A table of labels like those of the competition edition: combinations only, many drugs in a few of them."""

import random
from collections import Counter

import pandas as pd

from pillsnap.tables.files import make_table
from pillsnap.tables.schemas import PILLS
from tests.support.plans import pill


def combos_only(seed: int, *, drugs: int = 73, combos: int = 498, fewest: int = 4) -> pd.DataFrame:
    """Combinations of 3 or 4 drugs, three photographs each, of which 57 % are labelled in part; schema `PILLS`.

    Every drug is in at least `fewest` combinations, some in over a hundred.
    """
    rng = random.Random(seed)
    codes = [f"K-{number:06d}" for number in sorted(rng.sample(range(100, 45000), drugs))]
    weights = [1 / (1 + place) ** 0.75 for place in rng.sample(range(drugs), drugs)]
    found: set[tuple[str, ...]] = set()
    count: Counter[str] = Counter()
    while len(found) < combos:
        rarest = min(codes, key=count.__getitem__)
        shown = {rarest if count[rarest] < fewest else rng.choices(codes, weights)[0]}
        while len(shown) < rng.choice([3, 4, 4]):
            shown.add(rng.choices(codes, weights)[0])
        combo = tuple(sorted(shown))
        count.update(combo if combo not in found else ())
        found.add(combo)
    rows = []
    for combo in sorted(found):
        group = "K-" + "-".join(code.removeprefix("K-") for code in combo)
        for latitude in (70, 75, 90):
            labelled = len(combo) if rng.random() < 0.43 else rng.randint(1, len(combo) - 1)
            image = f"{group}_0_2_0_2_{latitude}_000_200"
            rows += [
                pill(image, code, domain="combo", group=group) | {"expected_pills": len(combo)}
                for code in sorted(rng.sample(combo, labelled))
            ]
    return make_table(rows, PILLS)
