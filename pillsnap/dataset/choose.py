"""Choice of the photographs and pills to show: spread evenly over drugs and views, the same each time."""

import math
from collections.abc import Sequence

import pandas as pd

_GOLDEN = (math.sqrt(5) - 1) / 2


def spread(number: int, count: int) -> list[int]:
    """At most `count` places out of `number`, evenly spread and none twice: the middles of as many equal parts."""
    count = min(number, count)
    return [(2 * place + 1) * number // (2 * count) for place in range(count)]


def spread_photos(photos: pd.DataFrame, count: int) -> pd.DataFrame:
    """At most `count` rows of a photo table, spread over its drugs and, within a drug, over its photographs.

    Args:
        photos: by image_id, with `k_code`.
        count: how many.
    """
    drugs = sorted(photos["k_code"].unique())
    turns = [drugs[place] for place in _turns(len(drugs), count)]
    shown = photos[photos["k_code"].isin(turns)].sort_index()
    by_drug = {k_code: rows.index for k_code, rows in shown.groupby("k_code")}
    chosen: dict[str, None] = {}
    for turn, k_code in enumerate(turns):
        images = by_drug[k_code]
        # steps of the golden ratio never fall into step with the order of the views
        first = int(turn * _GOLDEN % 1 * len(images))
        free = [image for image in (*images[first:], *images[:first]) if image not in chosen]
        chosen |= dict.fromkeys(free[:1])
    return photos.loc[list(chosen)]


def _turns(drugs: int, count: int) -> Sequence[int]:
    """The drug whose turn it is, `count` times."""
    return spread(drugs, count) if drugs >= count else [turn % drugs for turn in range(count if drugs else 0)]
