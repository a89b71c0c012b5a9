"""The audit of the split: what leaks is found, whatever way it is looked for."""

import numpy as np
import pandas as pd
import pytest

from pillsnap.manifest.audit_split import audit_split, near_pairs


def random_bits(count: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 2, (count, 256), dtype=np.uint8)


def hexadecimal(bits: np.ndarray) -> list[str]:
    return [np.packbits(row).tobytes().hex() for row in bits]


@pytest.mark.parametrize("max_distance", [0, 1, 3, 10, 25])
def test_near_pairs_are_those_of_comparing_all(max_distance) -> None:
    rng = np.random.default_rng(5)
    left, right = random_bits(150, 1), random_bits(200, 2)
    for place in range(120):  # copies that differ in 0 to 30 bits, some of them of the same hash
        right[place] = left[place // 2]
        right[place, rng.choice(256, rng.integers(0, 31), replace=False)] ^= 1
    distances = (left[:, None] != right[None]).sum(axis=2)
    expected = np.argwhere(distances <= max_distance)
    first, second, found = near_pairs(left, right, max_distance)
    assert len(expected) >= max_distance
    assert np.array_equal(np.stack([first, second], axis=1), expected)
    assert np.array_equal(found, distances[first, second])


def test_many_equal_hashes_are_counted_in_bounded_steps(monkeypatch) -> None:
    monkeypatch.setattr("pillsnap.manifest.audit_split._CHUNK", 50)
    same = np.zeros((40, 256), np.uint8)
    assert len(near_pairs(same, same, 4)[0]) == 1600


@pytest.mark.parametrize("sizes", [(0, 5), (5, 0), (0, 0)])
def test_an_empty_side_has_no_pairs(sizes) -> None:
    assert [len(part) for part in near_pairs(random_bits(sizes[0], 1), random_bits(sizes[1], 2), 10)] == [0, 0, 0]


def photos(**columns) -> pd.DataFrame:
    count = 6
    table = {
        "image_id": list("abcdef"),
        "split": ["train", "train", "val", "val", "test", "test"],
        "group": list("abcdef"),
        "sha256": list("abcdef"),
        "phash": hexadecimal(random_bits(count, 3)),
    }
    return pd.DataFrame(table | columns)


def test_a_clean_split_has_no_leak() -> None:
    counts, pairs = audit_split(photos(), 10)
    assert (counts["groups_on_two_sides"], counts["contents_on_two_sides"]) == (0, 0)
    assert counts["near_duplicates"]["pairs"] == 0 and pairs.empty


@pytest.mark.parametrize(
    ("column", "values", "leaks"),
    [
        ("group", list("aaccee"), 0),
        ("group", list("abacde"), 1),
        ("group", list("abaaab"), 2),
        ("sha256", list("abcdea"), 1),
    ],
)
def test_leaks_are_counted(column, values, leaks) -> None:
    counts, _ = audit_split(photos(**{column: values}), 10)
    assert counts[{"group": "groups", "sha256": "contents"}[column] + "_on_two_sides"] == leaks


def test_near_duplicates_are_listed_closest_first() -> None:
    bits = random_bits(6, 3)
    bits[4], bits[5] = bits[0], bits[0]
    bits[5, :7] ^= 1
    bits[1] = bits[0]  # on the same side: no leak
    counts, pairs = audit_split(photos(phash=hexadecimal(bits)), 10)
    assert list(pairs.itertuples(index=False, name=None)) == [
        ("a", "train", "e", "test", 0),
        ("b", "train", "e", "test", 0),
        ("a", "train", "f", "test", 7),
        ("b", "train", "f", "test", 7),
    ]
    assert counts["near_duplicates"]["by_sides"]["train-test"] == {"pairs": 4, "train_photos": 2, "test_photos": 2}
    assert audit_split(photos(phash=hexadecimal(bits)), 6)[0]["near_duplicates"]["pairs"] == 2
