"""Read the records that jobs write, from the working folder or a commit."""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from pillsnap.workflow.git import GitError, ask_git


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


def parse_json(data: bytes, where: str) -> Any:
    """Read JSON; raises `RecordError`, which says where it lies, for bytes that are none."""
    try:
        return json.loads(data)
    except ValueError as error:
        raise RecordError(
            f"{where}: is damaged ({error}). Fetch it again (dvc checkout), or make it again with its rule."
        ) from None


def record_of(name: str, data: bytes, where: str) -> Record:
    """Make a record from the bytes of its file; raises `RecordError`, which says where it lies, for another one."""
    try:
        return Record(name, **parse_json(data, where))
    except TypeError as error:
        raise RecordError(f"{where}: not a job's record ({error}). Make it again with its rule.") from None


def read_records(results: Path, *stages: str) -> list[Record]:
    """Read the records below a folder of results: of its stages (all by default), and of jobs of no stage.

    Raises:
        RecordError: there is none, or a file is not a record.
    """
    folders = [results / "provenance", *(path / "provenance" for path in _stages(results, stages))]
    found = [
        record_of(file.relative_to(folder).with_suffix("").as_posix(), file.read_bytes(), str(file))
        for folder in folders
        for file in sorted(folder.rglob("*.json"))
    ]
    if not found:
        raise RecordError(f"{results}: no records (provenance/*.json). Make results first, or name their folder.")
    return found


def _stages(results: Path, stages: Iterable[str]) -> Iterator[Path]:
    return iter([results / stage for stage in stages] or sorted(results.glob("stage[1-4]")))


class CommitFiles:
    """Files of a commit, those included that DVC recorded for it, by their paths from this folder, which may be one of
    a larger repository. Their bytes come from DVC's cache or its remote."""

    def __init__(self, commit: str) -> None:
        """Open the commit's files.

        Raises:
            RecordError: git does not answer.
        """
        from dvc.api import DVCFileSystem

        self._above = place_in_repository()
        self._files = DVCFileSystem(".", rev=commit, subrepos=bool(self._above))

    def find(self, place: str) -> dict[str, dict[str, Any]]:
        """Return DVC's facts of a file, or of the files of a folder, by path; raises `OSError` where DVC has no list of
        the folder's files."""
        from dvc_data.index import DataIndexDirError

        try:
            found = self._files.find(self._above + place, detail=True)
        except DataIndexDirError as error:
            raise FileNotFoundError(str(error)) from error
        return {path.lstrip("/").removeprefix(self._above): facts for path, facts in found.items()}

    def read(self, path: str) -> bytes:
        """Return the bytes of a file."""
        content: bytes = self._files.read_bytes(self._above + path)
        return content


def commit_files(commit: str, place: str) -> dict[str, bytes]:
    """Read a file, or the files of a folder, that DVC recorded for a commit, by path.

    Raises:
        RecordError: there is no such commit, it records nothing there, or neither DVC's cache nor its remote has it.
    """
    from dvc.exceptions import DvcException
    from dvc.scm import RevError

    try:
        files = CommitFiles(commit)
        return {path: files.read(path) for path in files.find(place)}
    except RevError as error:
        raise RecordError(f"{commit}: no such commit ({error})") from None
    except (OSError, DvcException) as error:
        raise RecordError(
            f"{place} of {commit}: DVC cannot read it ({error}). Fetch it: dvc fetch --all-commits"
        ) from None


def place_in_repository() -> str:
    """Return this folder's path from the root of its repository, with `/` at its end; empty where it is the root.

    Raises:
        RecordError: git does not answer.
    """
    try:
        return ask_git("rev-parse", "--show-prefix").rstrip("\n")
    except GitError as error:
        raise RecordError(str(error)) from None


def git_file(commit: str, path: str) -> str:
    """Read the text of a file in a commit, by its path from this folder; raises `RecordError` where it has none."""
    try:
        return ask_git("show", f"{commit}:./{path}")
    except GitError as error:
        cure = " A stage is recorded by dvc repro stage@stage4; commit dvc.lock then." if path == "dvc.lock" else ""
        raise RecordError(f"{commit}: {str(error).rstrip('.')}. Name a commit that has {path}.{cure}") from None


def recorded_outputs(commit: str, stage: str) -> list[str]:
    """Read the paths of the outputs in a commit's `dvc.lock`: of a stage, the index and the raw archives.

    Raises:
        RecordError: it records no such stage, or its `dvc.lock` is damaged.
    """
    return list(_recorded(commit, stage, "outs"))


def recorded_data(commit: str, stage: str) -> dict[str, str]:
    """Read which files and folders a stage and its index were made of that neither git has nor a stage made, raw data
    above all: their hashes by path, from a commit's `dvc.lock`.

    Raises:
        RecordError: it records no such stage, or its `dvc.lock` is damaged.
    """
    made = _recorded(commit, stage, "outs")
    read = _recorded(commit, stage, "deps")
    return {path: md5 for path, md5 in read.items() if path not in made and not _is_in_git(commit, path)}


def _is_in_git(commit: str, path: str) -> bool:
    try:
        return bool(ask_git("ls-tree", commit, "--", path))
    except GitError:  # outside the repository
        return False


def _recorded(commit: str, stage: str, part: str) -> dict[str, str]:
    """Hashes by path of the outputs (`outs`) or the inputs (`deps`) in a commit's `dvc.lock`."""
    try:
        stages = (yaml.safe_load(git_file(commit, "dvc.lock")) or {}).get("stages") or {}
        names = [name for name in ("raw", "index", f"stage@{stage}") if name in stages]
        found = {one["path"]: one.get("md5", "") for name in names for one in stages[name].get(part, [])}
    except (yaml.YAMLError, AttributeError, TypeError, KeyError) as error:
        raise RecordError(
            f"{commit}: its dvc.lock is damaged ({type(error).__name__}: {error}). Take that of another commit "
            "(git checkout COMMIT -- dvc.lock), and commit it."
        ) from None
    if f"stage@{stage}" not in names:
        raise RecordError(f"{commit}: its dvc.lock records no {stage}. Run dvc repro stage@{stage} there, and commit.")
    return found


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
            found.append(record_of(name, data, f"{path} of {commit}"))
    return found
