"""What takes a while and several tests read is made once in a run of pytest, by the process that needs it first."""

import functools
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from filelock import FileLock

Made = TypeVar("Made")


def once_in_a_run(make: Callable[..., Made]) -> Callable[..., Made]:
    """Have `make(base, …)` called once for all processes of a run; each call gets what it returned.

    `base` is the run's folder, see the fixture `base`: what was returned is kept there, pickled, under the function's
    name and arguments. `make` returns paths and what is made of them.
    """

    @functools.cache
    def made(base: Path, *words: object, **named: object) -> Made:
        name = "-".join([make.__name__, *map(str, words), *(f"{key}={value}" for key, value in named.items())])
        kept = base / f"{name}.pickle"
        with FileLock(f"{kept}.lock"):
            if not kept.exists():
                content = pickle.dumps(make(base, *words, **named))
                kept.write_bytes(content)
            return pickle.loads(kept.read_bytes())  # noqa: S301 (written above)

    return functools.wraps(make)(made)
