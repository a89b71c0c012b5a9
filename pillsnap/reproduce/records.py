"""The records that jobs write of themselves, in the working folder or in a commit."""

import json
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from pillsnap.files import read_json


class RecordError(ValueError):
    """Records that are not there, or not of this project's kind."""


@dataclass(frozen=True)
class Record:
    """What one job said of itself, see `pillsnap.workflow.provenance.write_record`."""

    name: str
    """Rule, and of a job of one archive the archive: `prepare_archive/TS_1_single`."""
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
    """The record of a JSON value; raises `RecordError` where it is none."""
    try:
        return Record(name, **value)
    except TypeError as error:
        raise RecordError(f"{name}: no record of a job ({error}). Make it again with its rule.") from None


def read_records(results: Path, *stages: str) -> list[Record]:
    """The records below a folder of results: of its stages (all by default), and of what belongs to no stage.

    Raises:
        RecordError: there is none, or a file is no record.
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
    """A file, or the files of a folder, that DVC holds for a commit, by path; from its cache, or else from its remote.

    Raises:
        RecordError: there is no such commit, it records nothing there, or the bytes are in neither place.
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
            f"{place} of {commit}: DVC cannot give it ({error}). Fetch it: dvc fetch --all-commits"
        ) from None


def git_file(commit: str, path: str) -> str:
    """Text of a file as a commit has it; raises `RecordError` where it has none."""
    words = ["git", "show", f"{commit}:{path}"]
    done = subprocess.run(words, capture_output=True, text=True, encoding="utf-8", check=False)
    if done.returncode:
        raise RecordError(f"{commit}: {done.stderr.strip()}")
    return done.stdout


def recorded_outputs(commit: str, stage: str) -> list[str]:
    """Paths of the outputs that a commit's `dvc.lock` records of a stage, of the index and of the raw archives.

    Raises:
        RecordError: it records no such stage.
    """
    stages = yaml.safe_load(git_file(commit, "dvc.lock")).get("stages", {})
    if f"stage@{stage}" not in stages:
        raise RecordError(f"{commit}: its dvc.lock records no {stage}. Run dvc repro stage@{stage} there, and commit.")
    return [out["path"] for name in ("raw", "index", f"stage@{stage}") for out in stages.get(name, {}).get("outs", [])]


def records_of_commit(commit: str, stage: str) -> list[Record]:
    """The records of a stage, and of what belongs to no stage, as DVC holds them for a commit.

    Raises:
        RecordError: the commit records no such stage, or its bytes are not to be had.
    """
    recorded_outputs(commit, stage)
    found = []
    for folder in ("results/provenance", f"results/{stage}/provenance"):
        for path, data in sorted(commit_files(commit, folder).items()):
            name = path.removeprefix(f"{folder}/").removesuffix(".json")
            found.append(record_of(name, json.loads(data)))
    return found
