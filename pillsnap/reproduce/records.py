"""Read the records that jobs write, from the working folder or a commit."""

import json
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from pillsnap.files import read_json


class RecordError(ValueError):
    """Records that are missing, or not of this project's kind."""


@dataclass(frozen=True)
class Record:
    """Record of one job, see `pillsnap.workflow.provenance.write_record`."""

    name: str
    """Rule, and the archive where the job is of one: `prepare_archive/TS_1_single`."""
    rule: str
    outputs: Mapping[str, str]
    inputs: Mapping[str, str]
    settings: Mapping[str, Any]
    seed: int | None
    device: str
    commit: Mapping[str, Any]
    versions: Mapping[str, str]
    code: Mapping[str, str]
    ended: str
    seconds: float


def record_of(name: str, value: Any) -> Record:
    """Make a record from a JSON value; raises `RecordError` where it is not one."""
    try:
        return Record(name, **value)
    except TypeError as error:
        raise RecordError(f"{name}: not a job's record ({error}). Make it again with its rule.") from None


def read_records(results: Path, *stages: str) -> list[Record]:
    """Read the records below a folder of results: of its stages (all by default), and of jobs of no stage.

    Raises:
        RecordError: there is none, or a file is not a record.
    """
    folders = [results / "provenance", *(path / "provenance" for path in _stages(results, stages))]
    found = [
        record_of(file.relative_to(folder).with_suffix("").as_posix(), read_json(file))
        for folder in folders
        for file in sorted(folder.rglob("*.json"))
    ]
    if not found:
        raise RecordError(f"{results}: no records (provenance/*.json). Make results first, or name their folder.")
    return found


def _stages(results: Path, stages: Iterable[str]) -> Iterator[Path]:
    return iter([results / stage for stage in stages] or sorted(results.glob("stage[1-4]")))


def commit_files(commit: str, place: str) -> dict[str, bytes]:
    """Read a file, or the files of a folder, that DVC recorded for a commit, by path; from its cache or its remote.

    Raises:
        RecordError: there is no such commit, it records nothing there, or neither has the bytes.
    """
    from dvc.api import DVCFileSystem
    from dvc.exceptions import DvcException
    from dvc.scm import RevError

    try:
        files = DVCFileSystem(".", rev=commit)
        return {path.lstrip("/"): files.read_bytes(path) for path in files.find(place)}
    except RevError as error:
        raise RecordError(f"{commit}: no such commit ({error})") from None
    except (OSError, DvcException) as error:
        raise RecordError(
            f"{place} of {commit}: DVC cannot read it ({error}). Fetch it: dvc fetch --all-commits"
        ) from None


def git_file(commit: str, path: str) -> str:
    """Read the text of a file in a commit; raises `RecordError` where it has none."""
    command = ["git", "show", f"{commit}:{path}"]
    done = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", check=False)
    if done.returncode:
        raise RecordError(f"{commit}: {done.stderr.strip()}")
    return done.stdout


def recorded_outputs(commit: str, stage: str) -> list[str]:
    """Read the paths of the outputs in a commit's `dvc.lock`: of a stage, the index and the raw archives.

    Raises:
        RecordError: it records no such stage.
    """
    stages = yaml.safe_load(git_file(commit, "dvc.lock")).get("stages", {})
    if f"stage@{stage}" not in stages:
        raise RecordError(f"{commit}: its dvc.lock records no {stage}. Run dvc repro stage@{stage} there, and commit.")
    return [out["path"] for name in ("raw", "index", f"stage@{stage}") for out in stages.get(name, {}).get("outs", [])]


def records_of_commit(commit: str, stage: str) -> list[Record]:
    """Read the records of a stage, and of jobs of no stage, that DVC recorded for a commit.

    Raises:
        RecordError: the commit records no such stage, or its bytes are not available.
    """
    recorded_outputs(commit, stage)
    found = []
    for folder in ("results/provenance", f"results/{stage}/provenance"):
        for path, data in sorted(commit_files(commit, folder).items()):
            name = path.removeprefix(f"{folder}/").removesuffix(".json")
            found.append(record_of(name, json.loads(data)))
    return found
