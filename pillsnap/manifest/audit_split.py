"""Audit the split for leaks: capture groups, identical bytes and near-duplicates on two sides."""

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

BITS = 256
"""Bits of a perceptual hash."""
MAX_LISTED = 10_000
"""Near-duplicates in the list; all are counted."""
_CHUNK = 2_000_000
"""Pairs compared at a time, which bounds memory."""
_SIDES = ("train", "val", "test")


def audit_split(photos: pd.DataFrame, max_distance: int) -> tuple[dict[str, Any], pd.DataFrame]:
    """Count leaks between the sides of a split.

    Args:
        photos: one row a photograph: `image_id`, `split`, `group`, `sha256`, `phash` (64 hexadecimal digits).
        max_distance: Hamming distance up to which two perceptual hashes are a near-duplicate.

    Returns:
        counts (`groups_on_two_sides`, `contents_on_two_sides`, `near_duplicates` by pair of sides with photographs of
        each), and the near-duplicates, closest first: `first`, `first_split`, `second`, `second_split`, `distance`.
    """
    found = [_near_duplicates(photos, *sides, max_distance) for sides in itertools.combinations(_SIDES, 2)]
    pairs = pd.concat(found, ignore_index=True)
    pairs = pairs.sort_values(["distance", "first", "second"]).reset_index(drop=True)
    counts = {
        "groups_on_two_sides": _on_two_sides(photos, "group"),
        "contents_on_two_sides": _on_two_sides(photos, "sha256"),
        "near_duplicates": {
            "max_distance": max_distance,
            "bits": BITS,
            "pairs": len(pairs),
            "by_sides": {
                f"{first}-{second}": {
                    "pairs": len(some),
                    f"{first}_photos": int(some["first"].nunique()),
                    f"{second}_photos": int(some["second"].nunique()),
                }
                for (first, second), some in zip(itertools.combinations(_SIDES, 2), found, strict=True)
            },
        },
    }
    return counts, pairs.head(MAX_LISTED)


def _on_two_sides(photos: pd.DataFrame, column: str) -> int:
    """Count the values of a column that occur on more than one side."""
    values = photos.drop_duplicates([column, "split"])[column]
    return int(values[values.duplicated()].nunique())


def _near_duplicates(photos: pd.DataFrame, first: str, second: str, max_distance: int) -> pd.DataFrame:
    left, right = (photos[photos["split"] == side] for side in (first, second))
    places = near_pairs(_unpack(left["phash"]), _unpack(right["phash"]), max_distance)
    return pd.DataFrame(
        {
            "first": left["image_id"].to_numpy()[places[0]],
            "first_split": first,
            "second": right["image_id"].to_numpy()[places[1]],
            "second_split": second,
            "distance": places[2],
        }
    )


def _unpack(hashes: pd.Series) -> np.ndarray:
    """Return hexadecimal hashes as bits, uint8 (N, 256) of 0 and 1."""
    data = np.frombuffer(bytes.fromhex("".join(hashes)), np.uint8).reshape(len(hashes), BITS // 8)
    return np.unpackbits(data, axis=1)


def near_pairs(left: np.ndarray, right: np.ndarray, max_distance: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Find all pairs of hashes whose Hamming distance is at most `max_distance`, without comparing every pair.

    Hashes that differ in at most d bits agree in at least one of d + 1 bands of bits (pigeonhole principle), so only
    those that share a band are compared. Bands take their bits from all over the hash, since neighbouring bits of a
    perceptual hash are correlated. Hand-written, since the result must be exact and no index of Hamming distances is
    among the dependencies.

    Args:
        left, right: bits, uint8 (N, 256) and (M, 256).
        max_distance: bits.

    Returns:
        index in `left`, index in `right`, distance: int (pairs,), sorted by the first two.
    """
    words = [np.ascontiguousarray(np.packbits(bits, axis=1)).view(np.uint64) for bits in (left, right)]
    shuffled = np.random.default_rng(0).permutation(left.shape[1])
    found: dict[tuple[int, int], int] = {}
    for band in np.array_split(shuffled, max(max_distance + 1, left.shape[1] // 64)):
        for one, other in _equal_pairs(_as_numbers(left[:, band]), _as_numbers(right[:, band])):
            # a quarter of the bits rules nearly all pairs out
            close = np.bitwise_count(words[0][one, 0] ^ words[1][other, 0]) <= max_distance
            one, other = one[close], other[close]
            distance = np.bitwise_count(words[0][one] ^ words[1][other]).sum(axis=1)
            near = distance <= max_distance
            found |= zip(zip(one[near].tolist(), other[near].tolist(), strict=True), distance[near], strict=True)
    ordered = sorted(found)
    places = np.array(ordered, np.int64).reshape(-1, 2)
    return places[:, 0], places[:, 1], np.array([found[pair] for pair in ordered], np.int64)


def _as_numbers(bits: np.ndarray) -> np.ndarray:
    """Pack rows of at most 64 bits into uint64 (N,)."""
    packed = np.packbits(bits, axis=1)
    return np.ascontiguousarray(np.pad(packed, ((0, 0), (0, 8 - packed.shape[1])))).view(np.uint64).ravel()


def _equal_pairs(left: np.ndarray, right: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield the index pairs of equal numbers in chunks."""
    order = np.argsort(right, kind="stable")
    begin, end = (np.searchsorted(right[order], left, side=side) for side in ("left", "right"))
    counts = end - begin
    reached = np.cumsum(counts)
    start = 0
    while start < len(left):
        before = reached[start - 1] if start else 0
        stop = max(start + 1, int(np.searchsorted(reached, before + _CHUNK)))
        some = counts[start:stop]
        place = np.repeat(np.arange(start, start + len(some)), some)
        offset = np.arange(len(place)) - np.repeat(np.cumsum(some) - some, some)
        yield place, order[begin[place] + offset]
        start = stop
