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

from pillsnap.config.training import Recipe
from pillsnap.files import read_json, sha256_of, write_json, write_text
from pillsnap.workflow.code_inputs import hash_of_code
from pillsnap.workflow.provenance import package_versions

log = logging.getLogger(__name__)

UNSIGNED = {"epochs", "checkpoint_every", "keep_checkpoints", "smallest_batch", "cache_gb"}
"""Settings that leave the bits of an epoch as they are."""


@dataclass(frozen=True)
class TrainingState:
    """A training's working folder, held by this process."""

    folder: Path
    new_inputs: bool = False
    """Whether the state was made with other inputs, which it may go on from."""

    def finished(self, epochs: int) -> bool:
        """Whether the training that the signature describes has ended, asked for so many epochs."""
        file = self.folder / "finished.json"
        return file.is_file() and read_json(file) == {"epochs": epochs}

    def mark_finished(self, epochs: int) -> None:
        """Say that the training has ended, asked for so many epochs, and its files may be taken."""
        write_json(self.folder / "finished.json", {"epochs": epochs})


def training_signature(module: str, inputs: Mapping[str, Path], settings: Recipe, **values: Any) -> dict[str, Any]:
    """Everything that decides a training's result up to any epoch, JSON values.

    Args:
        module: the training's module, `train_detector` for instance; its code counts, with what it imports.
        inputs: files or folders by role; their contents count.
        settings: recipe; how many epochs it asks for, and what only stores or caches, does not count.
        values: steering, seed, device, threads, processes.
    """
    versions = package_versions()
    return {
        "inputs": {role: sha256_of(path) for role, path in inputs.items()},
        "code": hash_of_code(module),
        "versions": {name: versions[name] for name in ("python", "numpy", "torch", "timm", "ultralytics")},
        "settings": settings.model_dump(exclude=UNSIGNED),
        **values,
    }


@contextlib.contextmanager
def training_state(
    work: Path, signature: Mapping[str, Any], *, go_on: bool = False, poll_seconds: float = 10
) -> Iterator[TrainingState]:
    """Hold the training folder `work`.

    Where another process holds it (one that outlived a killed Snakemake, say) this waits for its end, and then
    finds its finished state. A state made under another signature is set aside as `<work>.previous`.

    Args:
        work: the folder.
        signature: of `training_signature`.
        go_on: take over a state that differs in its inputs alone.
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
        write_text(holder, str(os.getpid()))
        new_inputs = _keep_only_matching(work, dict(signature), go_on)
        yield TrainingState(work, new_inputs)
    finally:
        lock.release()


def _content(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return "(unknown)"


def _keep_only_matching(work: Path, signature: dict[str, Any], go_on: bool) -> bool:
    """Set a state of another signature aside; returns whether one of other inputs is gone on from."""
    described = work / "signature.json"
    found = read_json(described) if described.is_file() else None
    if found == signature:
        return False
    if go_on and found and found | {"inputs": None} == signature | {"inputs": None}:
        (work / "finished.json").unlink(missing_ok=True)
        log.info("%s goes on with other data", work)
        write_json(described, signature)
        return True
    if work.exists():
        previous = work.with_name(work.name + ".previous")
        shutil.rmtree(previous, ignore_errors=True)
        work.rename(previous)
        log.info("%s was made with other settings or data: set aside as %s", work, previous)
    write_json(described, signature)
    return False
