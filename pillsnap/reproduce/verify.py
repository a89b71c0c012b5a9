"""A stage that was made again, compared with what DVC holds of its commit, file by file."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

from pillsnap.reproduce.first_difference import first_difference
from pillsnap.reproduce.measured import is_measured, is_trained, measured_parts
from pillsnap.reproduce.rebuild import hash_of
from pillsnap.reproduce.records import Record, RecordError, read_records, recorded_outputs, records_of_commit


class Outcome(Enum):
    """How a file made again compares with the held one."""

    IDENTICAL = "identical"
    EQUAL = "equal but for what is measured"
    MEASURED = "measured"
    OTHER_DEVICE = "made on another device"
    DIFFERS = "differs"


@dataclass(frozen=True)
class Finding:
    """One file, or one figure, of the comparison; `detail` says where it differs first."""

    path: str
    outcome: Outcome
    detail: str = ""


def compare_with_held(commit: str, stage: str, folder: Path, *, tolerance: float) -> list[Finding]:
    """Compare what `folder` has with what DVC holds of the commit: raw archives, index, the stage's outputs.

    Args:
        commit: whose `dvc.lock` is read.
        stage: `stage1` to `stage4`.
        folder: project folder in which the stage was made.
        tolerance: how far figures between 0 and 1 of `metrics.json` may differ where the device is another one.

    Raises:
        RecordError: the commit records no such stage, or DVC cannot give it.
    """
    held = _held(commit, stage)
    same_device = _device(records_of_commit(commit, stage)) == _device(read_records(folder / "results", stage))
    found = [_compare(path, held, folder, stage, same_device) for path in sorted(held.md5)]
    found += _not_held(held, folder)
    return found if same_device else found + _figures(held, folder, stage, tolerance)


def _device(records: list[Record]) -> set[str]:
    return {record.device for record in records if record.rule in ("train_detector", "train_classifier")}


@dataclass(frozen=True)
class _Held:
    """Files that DVC holds for a commit: MD5 by path; the content is read when it is needed."""

    outs: tuple[str, ...]
    md5: Mapping[str, str]
    files: Any

    def read(self, path: str) -> bytes:
        try:
            return self.files.read_bytes(path)
        except OSError as error:
            raise RecordError(f"{path}: DVC cannot give it ({error}). Fetch it: dvc fetch") from None


def _held(commit: str, stage: str) -> _Held:
    from dvc.api import DVCFileSystem

    outs = recorded_outputs(commit, stage)
    files = DVCFileSystem(".", rev=hash_of(commit))
    try:
        listed = [files.find(out, detail=True) for out in outs]
    except OSError as error:
        raise RecordError(f"{commit}: DVC cannot list what it holds ({error}). Fetch it: dvc fetch") from None
    found = {path.lstrip("/"): facts["md5"] for part in listed for path, facts in part.items()}
    return _Held(tuple(outs), found, files)


def _compare(path: str, held: _Held, folder: Path, stage: str, same_device: bool) -> Finding:
    inner = path.removeprefix(f"results/{stage}/").removeprefix("results/")
    file = folder / path
    if not file.is_file():
        return Finding(path, Outcome.DIFFERS, "not made again")
    made = file.read_bytes()
    if hashlib.md5(made, usedforsecurity=False).hexdigest() == held.md5[path]:
        return Finding(path, Outcome.IDENTICAL)
    if is_measured(inner):
        return Finding(path, Outcome.MEASURED)
    detail = first_difference(path, held.read(path), made, without=measured_parts(inner))
    if detail is None:
        return Finding(path, Outcome.EQUAL)
    if not same_device and (is_trained(inner) or inner in ("metrics.json", "dataset.html")):
        return Finding(path, Outcome.OTHER_DEVICE, detail)
    return Finding(path, Outcome.DIFFERS, detail)


def _not_held(held: _Held, folder: Path) -> Iterator[Finding]:
    """What lies in the outputs besides; what `.dvcignore` leaves out does not count."""
    for out in held.outs:
        made = [file for file in (folder / out).rglob("*") if file.is_file()]
        kept = [file for file in made if file.name != ".snakemake_timestamp" and file.suffix != ".cache"]
        names = {file.relative_to(folder).as_posix() for file in kept}
        yield from (Finding(name, Outcome.DIFFERS, "not held") for name in sorted(names - held.md5.keys()))


def _figures(held: _Held, folder: Path, stage: str, tolerance: float) -> Iterator[Finding]:
    """Accuracy on another device: every figure that is a fraction, and how far it may be off."""
    path = f"results/{stage}/metrics.json"
    old, new = dict(_fractions(json.loads(held.read(path)))), dict(_fractions(json.loads((folder / path).read_bytes())))
    for name in sorted(old):
        off = abs(old[name] - new.get(name, float("inf")))
        outcome = Outcome.EQUAL if off <= tolerance else Outcome.DIFFERS
        yield Finding(f"metrics.json: {name}", outcome, f"{old[name]:.4f} / {new.get(name)}, tolerance {tolerance}")


def _fractions(value: Any, name: str = "") -> Iterator[tuple[str, float]]:
    if isinstance(value, Mapping):
        for key, part in value.items():
            if key not in measured_parts("metrics.json"):
                yield from _fractions(part, f"{name}.{key}" if name else key)
    elif isinstance(value, float) and 0 <= value <= 1:
        yield name, value
