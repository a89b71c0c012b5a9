"""Work on many pictures in threads, and hand the results on in the pictures' order."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def in_order(work: Callable[[Item], Result], items: Iterable[Item], *, threads: int) -> Iterator[Result]:
    """Yield what `work` makes of each item, in their order; the next items are taken while the threads work.

    Args:
        work: releases the GIL for most of its time, as decoders do.
        items: taken in this thread, at most two a thread ahead, which bounds memory.
        threads: threads beside this one.
    """
    with ThreadPoolExecutor(threads) as pool:
        running: deque[Future[Result]] = deque()
        for item in items:
            running.append(pool.submit(work, item))
            if len(running) > 2 * threads:
                yield running.popleft().result()
        while running:
            yield running.popleft().result()
