"""Compare a rebuilt stage with the files that DVC recorded for its commit."""

import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

from pillsnap.reproduce.first_difference import first_difference
from pillsnap.reproduce.measured import is_measured, is_trained, measured_parts
from pillsnap.reproduce.rebuild import hash_of
from pillsnap.reproduce.records import (
    CommitFiles,
    Record,
    RecordError,
    parse_json,
    read_records,
    recorded_data,
    recorded_outputs,
    records_of_commit,
)


class Outcome(Enum):
    """Result of comparing a rebuilt file with the recorded one."""

    IDENTICAL = "identical"
    EQUAL = "equal except for measured parts"
    MEASURED = "measured"
    OTHER_DEVICE = "made on another device"
    DIFFERS = "differs"


@dataclass(frozen=True)
class Finding:
    """One file, or one figure, of the comparison; `detail` describes the first difference."""

    path: str
    outcome: Outcome
    detail: str = ""


def compare_with_recorded(commit: str, stage: str, folder: Path, *, tolerance: float) -> list[Finding]:
    """Compare a rebuilt stage with the recorded files of the commit: raw archives, index, the stage's outputs.

    Args:
        commit: the one whose `dvc.lock` is read.
        stage: `stage1` to `stage4`.
        folder: project folder of the rebuilt stage.
        tolerance: allowed difference of figures between 0 and 1 in `metrics.json` where the device is another one.

    Raises:
        RecordError: the commit records no such stage, or DVC cannot read it.
    """
    recorded = _recorded_files(commit, stage)
    same_device = devices_of(records_of_commit(commit, stage)) == devices_of(read_records(folder / "results", stage))
    found = [_compare(path, recorded, folder, stage, same_device) for path in sorted(recorded.md5)]
    found += _unrecorded(recorded, folder)
    if not same_device:
        found += _figures(recorded, folder, stage, tolerance)
    return found


def changed_data(commit: str, stage: str) -> list[str]:
    """Name raw data, and other files that git does not have, of which DVC recorded other bytes for the commit.

    Raises:
        RecordError: the commit records no such stage, or its `dvc.lock` is damaged.
    """
    from dvc.exceptions import DvcException
    from dvc.repo import Repo

    recorded = recorded_data(commit, stage)
    try:
        with Repo() as repo:
            read = [
                data for name in ("index", f"stage@{stage}") for one in repo.stage.collect(name) for data in one.deps
            ]
            known = {data.def_path: data for data in read if data.def_path in recorded}
            now = {path: data.get_hash().value if data.exists else "" for path, data in known.items()}
    except DvcException:  # today's dvc.yaml has no such stage, or is damaged: then the records alone can tell
        return []
    return sorted(path for path, md5 in now.items() if md5 != recorded[path])


def changed_inputs(recorded: list[Record], rebuilt: list[Record]) -> list[str]:
    """Name files and folders that no job made, and of which the jobs of two runs read different ones."""
    made = {path for record in (*recorded, *rebuilt) for path in record.outputs}

    def raw(records: list[Record]) -> dict[tuple[str, str], str]:
        read = (((record.name, path), digest) for record in records for path, digest in record.inputs.items())
        return {place: digest for place, digest in read if place[1] not in made}

    before, after = raw(recorded), raw(rebuilt)
    return sorted({place[1] for place in before | after if before.get(place) != after.get(place)})


def devices_of(records: list[Record]) -> set[str]:
    """Name the GPUs or processors that trained, without the number of cores, which decides no result."""
    trainings = [record for record in records if record.rule in ("train_detector", "train_classifier")]
    return {re.sub(r", \d+ cores$", "", record.device) for record in trainings}


@dataclass(frozen=True)
class _RecordedFiles:
    """Files that DVC recorded for a commit: MD5 by path; contents are read when needed."""

    outs: tuple[str, ...]
    md5: Mapping[str, str]
    files: CommitFiles

    def read(self, path: str) -> bytes:
        try:
            return self.files.read(path)
        except OSError as error:
            raise RecordError(f"{path}: DVC cannot read it ({error}). Fetch it: dvc fetch") from None


def _recorded_files(commit: str, stage: str) -> _RecordedFiles:
    outs = recorded_outputs(commit, stage)
    files = CommitFiles(hash_of(commit))
    try:
        listed = [files.find(out) for out in outs]
    except OSError as error:
        raise RecordError(f"{commit}: DVC cannot list its files ({error}). Fetch them: dvc fetch") from None
    found = {path: facts["md5"] for part in listed for path, facts in part.items()}
    return _RecordedFiles(tuple(outs), found, files)


def _compare(path: str, recorded: _RecordedFiles, folder: Path, stage: str, same_device: bool) -> Finding:
    inner = path.removeprefix(f"results/{stage}/").removeprefix("results/")
    file = folder / path
    if not file.is_file():
        return Finding(path, Outcome.DIFFERS, "not rebuilt")
    made = file.read_bytes()
    if hashlib.md5(made, usedforsecurity=False).hexdigest() == recorded.md5[path]:
        return Finding(path, Outcome.IDENTICAL)
    if is_measured(inner):
        return Finding(path, Outcome.MEASURED)
    detail = first_difference(path, recorded.read(path), made, without=measured_parts(inner))
    if detail is None:
        return Finding(path, Outcome.EQUAL)
    if not same_device and (is_trained(inner) or inner in ("metrics.json", "dataset.html")):
        return Finding(path, Outcome.OTHER_DEVICE, detail)
    return Finding(path, Outcome.DIFFERS, detail)


def _unrecorded(recorded: _RecordedFiles, folder: Path) -> Iterator[Finding]:
    """Find further files in the outputs, except those that `.dvcignore` leaves out."""
    for out in recorded.outs:
        made = [file for file in (folder / out).rglob("*") if file.is_file()]
        kept = [file for file in made if file.name != ".snakemake_timestamp" and file.suffix != ".cache"]
        names = {file.relative_to(folder).as_posix() for file in kept}
        yield from (Finding(name, Outcome.DIFFERS, "not recorded") for name in sorted(names - recorded.md5.keys()))


def _figures(recorded: _RecordedFiles, folder: Path, stage: str, tolerance: float) -> Iterator[Finding]:
    """Compare the accuracy on another device: every figure that is a fraction, within the tolerance."""
    path = f"results/{stage}/metrics.json"
    old = dict(_fractions(parse_json(recorded.read(path), f"{path} of the commit")))
    new = dict(_fractions(parse_json((folder / path).read_bytes(), str(folder / path))))
    for name in sorted(old):
        difference = abs(old[name] - new.get(name, float("inf")))
        outcome = Outcome.EQUAL if difference <= tolerance else Outcome.DIFFERS
        yield Finding(f"metrics.json: {name}", outcome, f"{old[name]:.4f} / {new.get(name)}, tolerance {tolerance}")


def _fractions(value: Any, name: str = "") -> Iterator[tuple[str, float]]:
    if isinstance(value, Mapping):
        for key, part in value.items():
            if key not in measured_parts("metrics.json"):
                yield from _fractions(part, f"{name}.{key}" if name else key)
    elif isinstance(value, float) and 0 <= value <= 1:
        yield name, value
