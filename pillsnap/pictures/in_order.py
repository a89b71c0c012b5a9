"""Work on many pictures in threads, and hand the results on in the pictures' order."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def in_order(
    work: Callable[[Item], Result], items: Iterable[Item], *, threads: int, ahead: int | None = None
) -> Iterator[Result]:
    """Yield what `work` makes of each item, in their order; the next items are taken while the threads work.

    Args:
        work: releases the GIL for most of its time, as decoders do.
        items: taken in this thread.
        threads: threads beside this one.
        ahead: items that are taken ahead at most, which bounds memory; two a thread if not given.
    """
    ahead = 2 * threads if ahead is None else ahead
    with ThreadPoolExecutor(threads) as pool:
        running: deque[Future[Result]] = deque()
        for item in items:
            running.append(pool.submit(work, item))
            if len(running) > ahead:
                yield running.popleft().result()
        while running:
            yield running.popleft().result()
