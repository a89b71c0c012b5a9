"""AIHub's file names, taken apart."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pillsnap.sources.aihub_name import PhotoName, parse_photo_name


@pytest.mark.parametrize(
    ("stem", "name"),
    [
        ("K-000114_0_2_0_0_75_260_200", PhotoName(("K-000114",), 2, 0, 0, 75, 260, 200)),
        ("K-000114_0_0_1_2_90_000_200", PhotoName(("K-000114",), 0, 1, 2, 90, 0, 200)),
        (
            "K-000250-000573-002483-006192_0_2_0_2_70_000_200",
            PhotoName(("K-000250", "K-000573", "K-002483", "K-006192"), 2, 0, 2, 70, 0, 200),
        ),
        ("K-000001-000001_0_2_0_2_75_000_200", PhotoName(("K-000001", "K-000001"), 2, 0, 2, 75, 0, 200)),
    ],
)
def test_name_is_taken_apart(stem: str, name: PhotoName) -> None:
    assert parse_photo_name(stem) == name


@pytest.mark.parametrize(
    "stem",
    [
        "",
        "IMG_4212-Medium_jpeg.rf.134c9d46247f42c8e99af7a8aa16d0f4",
        "K-000114",
        "K-000114_0_2_0_0_75_260",
        "K-000114_0_2_0_0_75_260_200_index",
        "K-000114_0_2_0_0_75_260_200.png",
        "K-000114_0_2_front_0_75_260_200",
        "K-000114-_0_2_0_0_75_260_200",
        "._K-000114_0_2_0_0_75_260_200",
        "K-000114_0_2_0_0_75_260_200\n",
        "사진 1",
    ],
)
def test_another_name_is_none(stem: str) -> None:
    assert parse_photo_name(stem) is None


@given(
    numbers=st.lists(st.integers(0, 999_999), min_size=1, max_size=5),
    view=st.tuples(*(st.integers(0, 2),) * 3, st.sampled_from([60, 70, 75, 90]), st.integers(0, 17)),
)
def test_a_name_says_what_it_was_made_from(numbers: list[int], view: tuple[int, ...]) -> None:
    background, side, light, latitude, step = view
    codes = [f"{number:06d}" for number in numbers]
    stem = f"K-{'-'.join(codes)}_0_{background}_{side}_{light}_{latitude}_{step * 20:03d}_200"
    drugs = tuple(f"K-{code}" for code in codes)
    assert parse_photo_name(stem) == PhotoName(drugs, background, side, light, latitude, step * 20, 200)
