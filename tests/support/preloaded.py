"""Snakemake and DVC without the seconds that their imports take.

`python -m tests.support.preloaded` imports them once. Each command that it is given runs in a fork of it, with its own
folder, environment and PYTHONPATH, as one that a shell starts would. It has not imported `pillsnap`: a project's fork
imports the project's own.
"""

import functools
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

PROGRAMS = ("dvc", "snakemake")


def run_preloaded(words: Sequence[str], *, folder: Path, environment: Mapping[str, str]) -> tuple[int, str]:
    """Run a command of `PROGRAMS` in `folder`; returns its exit status and what it wrote, both streams together."""
    with tempfile.NamedTemporaryFile("r+", encoding="utf-8", errors="replace") as output:
        asked = {"words": words, "folder": str(folder), "environment": dict(environment), "output": output.name}
        server = _server()
        server.stdin.write(json.dumps(asked) + "\n")
        server.stdin.flush()
        status = int(server.stdout.readline())
        return status, output.read()


@functools.cache
def _server() -> subprocess.Popen[str]:
    """One for each process that runs tests; it ends when its standard input does."""
    command = [sys.executable, "-m", "tests.support.preloaded"]
    return subprocess.Popen(
        command, cwd=Path(__file__).parents[2], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


def _serve() -> None:
    import dvc.cli.parser
    import dvc.repo
    import nbformat  # noqa: F401
    import pandera.pandas  # noqa: F401
    import snakemake.cli

    dvc.cli.parser.get_main_parser()
    snakemake.cli.get_argument_parser()
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            os.setsid()
            _become(**json.loads(line))
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        print(status, flush=True)


def _become(words: list[str], folder: str, environment: dict[str, str], output: str) -> None:
    """Be the command, to the end of this process."""
    import dvc.cli
    import snakemake.cli

    stream = os.open(output, os.O_WRONLY | os.O_APPEND)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for here, there in ((nothing, 0), (stream, 1), (stream, 2)):
        os.dup2(here, there)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    program, *rest = words
    sys.path[:1] = [str(Path(sys.executable).parent), *environment.get("PYTHONPATH", "").split(os.pathsep)]
    sys.argv = [str(Path(sys.executable).parent / program), *rest]
    sys.exit({"dvc": dvc.cli.main, "snakemake": snakemake.cli.main}[program](rest))


if __name__ == "__main__":
    _serve()
