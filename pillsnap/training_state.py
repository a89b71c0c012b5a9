"""The folder in which a training keeps its state: whose it is, whether it is finished, and one run at a time."""

import contextlib
import logging
import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from pillsnap.code_inputs import hash_of_code
from pillsnap.files import read_json, sha256_of, write_json
from pillsnap.provenance import package_versions

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrainingState:
    """A training's working folder, held by this process."""

    folder: Path

    @property
    def finished(self) -> bool:
        """Whether the training that the signature describes has ended."""
        return (self.folder / "finished.json").is_file()

    def mark_finished(self) -> None:
        """Say that the training has ended and its files may be taken."""
        write_json(self.folder / "finished.json", {"finished": True})


def training_signature(module: str, inputs: Mapping[str, Path], **values: Any) -> dict[str, Any]:
    """Everything that decides a training's result, JSON values.

    Args:
        module: the training's module, `train_detector` for instance; its code counts, with what it imports.
        inputs: files or folders by role; their contents count.
        values: settings, seed, device, threads.
    """
    versions = package_versions()
    return {
        "inputs": {role: sha256_of(path) for role, path in inputs.items()},
        "code": hash_of_code(module),
        "versions": {name: versions[name] for name in ("python", "numpy", "torch", "timm", "ultralytics")},
        **values,
    }


@contextlib.contextmanager
def training_state(work: Path, signature: Mapping[str, Any], *, poll_seconds: float = 10) -> Iterator[TrainingState]:
    """Hold the training folder `work`.

    Where another process holds it (one that outlived a killed Snakemake, say) this waits for its end, and then
    finds its finished state. A state made under another signature is set aside as `<work>.previous`.

    Args:
        work: the folder.
        signature: of `training_signature`.
        poll_seconds: time between two looks at the lock.
    """
    work.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(work.with_name(work.name + ".lock"))
    holder = work.with_name(work.name + ".pid")
    while True:
        try:
            lock.acquire(timeout=poll_seconds)
            break
        except Timeout:
            log.info("%s is held by process %s; waiting for it to end", work, _content(holder))
    try:
        holder.write_text(str(os.getpid()))
        _keep_only_matching(work, dict(signature))
        yield TrainingState(work)
    finally:
        lock.release()


def _content(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return "(unknown)"


def _keep_only_matching(work: Path, signature: dict[str, Any]) -> None:
    described = work / "signature.json"
    if described.is_file() and read_json(described) == signature:
        return
    if work.exists():
        previous = work.with_name(work.name + ".previous")
        shutil.rmtree(previous, ignore_errors=True)
        work.rename(previous)
        log.info("%s was made with other settings or data: set aside as %s", work, previous)
    write_json(described, signature)
