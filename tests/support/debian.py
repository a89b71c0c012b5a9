"""Programs that come in Debian's packages and that some tests need."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from filelock import FileLock

from tests.support.local_slurm import DAEMONS, missing


def need(what: str, find: Callable[[], str | None], *packages: str) -> str:
    """What `find` finds. Where that is nothing the test is skipped, but under PILLSNAP_CI=1 the packages are installed.

    Args:
        what: said to whoever lacks it.
        find: returns a path or a name of what is there, nothing where it is not.
        packages: Debian's, which bring it.
    """
    if found := find():
        return found
    named = ", ".join(packages)
    if os.environ.get("PILLSNAP_CI") != "1":
        pytest.skip(f"needs {what}: install Debian's {named}")
    with FileLock(Path(tempfile.gettempdir(), "pillsnap-tests-apt.lock")):  # apt-get refuses a second one beside it
        if not find() and os.geteuid() == 0 and shutil.which("apt-get"):
            for words in (["update"], ["install", "-y", "--no-install-recommends", *packages]):
                environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
                subprocess.run(["apt-get", "-qq", *words], env=environment, capture_output=True, check=False)
    return find() or pytest.fail(f"PILLSNAP_CI=1 needs {what}, and apt-get cannot install {named}")


def need_slurm() -> None:
    """Skip where no Slurm can be set up, see `need`."""
    need(f"Slurm ({missing()})", lambda: "" if missing() else "all", *sorted(set(DAEMONS.values())))
