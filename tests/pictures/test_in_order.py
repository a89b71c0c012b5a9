"""Work in threads: results in the items' order, and few items taken ahead of it."""

import time

import pytest

from pillsnap.pictures.in_order import in_order


def slow_first(number: int) -> int:
    time.sleep(0.02 if number % 4 == 0 else 0)
    return number**2


@pytest.mark.parametrize(("threads", "ahead"), [(1, None), (3, None), (2, 7), (2, 0)])
def test_results_come_in_order_and_few_items_are_taken_ahead(threads: int, ahead: int | None) -> None:
    taken: list[int] = []

    def items():
        for number in range(12):
            taken.append(number)
            yield number

    for done, result in enumerate(in_order(slow_first, items(), threads=threads, ahead=ahead), 1):
        assert result == (done - 1) ** 2
        assert len(taken) == min(12, done + (2 * threads if ahead is None else ahead))
    assert done == len(taken) == 12


def test_an_error_of_the_work_is_raised_in_its_place() -> None:
    results = in_order(lambda number: 6 // number, [3, 0, 2], threads=2)
    assert next(results) == 2
    with pytest.raises(ZeroDivisionError):
        next(results)


def test_nothing_to_do() -> None:
    assert list(in_order(slow_first, [], threads=2)) == []
