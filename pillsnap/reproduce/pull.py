"""Fetch a stage of this commit from the DVC remote: `python -m pillsnap.reproduce.pull stage4`, or `make pull`.

Files are marked as done for Snakemake only if DVC finds that files, code and configuration match the commit's record.
Otherwise the command prints what differs, marks nothing and exits with 1.
"""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from dvc.exceptions import DvcException
from dvc.repo import Repo

from pillsnap.config.load import ConfigError, read_config
from pillsnap.reproduce.records import RecordError, parse_json
from pillsnap.sources.containers.fingerprint import fingerprint_of

# raw archives are large and never edited: links save a second copy
_LINKS = {"cache": {"type": ["reflink", "hardlink", "copy"]}}
_CURES = {
    "new": "this commit has no record of it: `dvc repro`, push and commit dvc.lock where the results are",
    "deleted": "the remote may lack it: `dvc push` where the results are",
    "not in cache": "{remote} lacks it (`dvc push` where the results are), or there is no such place, "
    "or the credentials do not open it (see docs/reproduce.md#a-remote)",
    "modified": "revert the change, or make the stage again and record it: `dvc repro`",
}
_UNREADABLE = (
    "Name a stage of dvc.yaml (stage1 to stage4), in the folder of a clone. Take a damaged dvc.yaml or dvc.lock from "
    "another commit: git checkout COMMIT -- FILE."
)


def pull(stage: str) -> None:
    """Fetch a stage with the index and the raw archives, and check them out into the project's folder.

    Raises:
        DvcException: there is no remote, it lacks a file, or a changed file would be overwritten. The client of a
            remote may raise others where it is not let in.
    """
    with Repo(config=_LINKS) as repo:
        if raw := _raw(repo, stage):
            repo.pull(targets=raw)
    with Repo() as repo:
        repo.pull(targets=["index", f"stage@{stage}"])


def differences(stage: str) -> list[str]:
    """List differences from the commit's record: `stage: kind: file or setting: how`; empty where there are none."""
    with Repo() as repo:
        status = repo.status(targets=[*_raw(repo, stage), "index", f"stage@{stage}"])
    return list(_lines(status))


def _raw(repo: Repo, stage: str) -> list[str]:
    """What DVC has of the raw data: the stage that draws them, or files and folders that were given to `dvc add`, those
    beside the sources too that the stage names."""
    needed = [one.addressing for one in repo.stage.collect(f"stage@{stage}", with_deps=True)]
    return [name for name in needed if name not in ("index", f"stage@{stage}")]


def _lines(status: Any, *above: str) -> Iterator[str]:
    if isinstance(status, str):
        yield ": ".join([*above, status])
    elif isinstance(status, list):
        for entry in status:
            yield from _lines(entry, *above)
    else:
        for key, value in status.items():
            yield from _lines(value, *above, key)


def _without_remote() -> list[str]:
    with Repo() as repo:
        remotes = repo.config["remote"]
    return [] if remotes else ["There is no remote: dvc remote add --default NAME PLACE"]


def _remote() -> str:
    """The default remote, with its name and address where the configuration has them."""
    with Repo() as repo:
        name = repo.config["core"].get("remote")
        place = repo.config["remote"].get(name)
    return f"the remote {name} ({place['url']})" if place else "the remote"


def _refuse(*why: str) -> int:
    print("\n  ".join(["Nothing is marked as done.", *why]), file=sys.stderr)
    return 1


def main(stage: str) -> int:
    """Pull, compare, mark as done; returns the exit status."""
    failed = []
    try:
        pull(stage)
    except Exception as error:  # each kind of remote has errors of its own
        failed = [f"dvc pull: {error}"]
    try:
        failed = [*_without_remote(), *failed] if failed else []
        found = differences(stage)
    except DvcException as error:
        return _refuse(f"DVC: {error}", _UNREADABLE)
    if found:
        cures = {how: cure.format(remote=_remote()) for how, cure in _CURES.items() if any(how in one for one in found)}
        found += [f"Where it says {how!r}: {cure}." for how, cure in cures.items()]
        return _refuse(*failed, "The files differ from what this commit recorded:", *found)
    if failed:
        return _refuse(*failed)
    target = f"results/{stage}/report.html"
    command = ["snakemake", "--touch", "--forceall", "--cores", "1", "--quiet", "all", "--", target]
    try:
        return subprocess.run(command, env=environment_of_record(stage)).returncode
    except (ConfigError, RecordError) as error:
        return _refuse(str(error))


def environment_of_record(stage: str) -> dict[str, str]:
    """This process's environment; without the variables of `away.real_data`, which DVC does not compare, where the
    sets of real photographs are others than the recorded ones: to Snakemake they are then new inputs.

    Raises:
        ConfigError: `config.yaml` cannot be used.
    """
    record = Path("results", stage, "provenance/evaluate_away.json")
    if not record.exists():  # a stage of a project without this rule
        return dict(os.environ)
    config = read_config("config.yaml")
    inputs = parse_json(record.read_bytes(), str(record))["inputs"]
    recorded = {path: digest for path, digest in inputs.items() if digest.startswith("listing:")}
    if recorded == {path: fingerprint_of(path) for path in config.away_sets}:
        return dict(os.environ)
    variables = re.findall(r"\$\{(\w+)", config.away.real_data)
    return {name: value for name, value in os.environ.items() if name not in variables}


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
