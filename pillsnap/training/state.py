"""Folder of a training's state: its signature, whether the training is finished, and a lock against a second run."""

import contextlib
import logging
import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from pillsnap.files import read_json, sha256_of, write_json, write_text
from pillsnap.locks import WORK_CURE, explained_locks
from pillsnap.settings import Section
from pillsnap.training.processes import Processes
from pillsnap.workflow.arithmetic import is_portable
from pillsnap.workflow.code_inputs import hash_of_code
from pillsnap.workflow.provenance import package_versions

log = logging.getLogger(__name__)

UNSIGNED = {"epochs", "start_share", "checkpoint_every", "keep_checkpoints", "smallest_batch", "cache_gb"}
"""Settings that leave the bits of an epoch as they are."""


@dataclass(frozen=True)
class TrainingState:
    """A training's working folder, locked by its main process."""

    folder: Path
    new_inputs: bool = False
    """Whether the state was made with other inputs, which the training resumes from."""

    def finished(self, epochs: int) -> bool:
        """Whether the training that the signature describes has finished with so many `epochs` requested."""
        file = self.folder / "finished.json"
        return file.is_file() and read_json(file) == {"epochs": epochs}

    def mark_finished(self, epochs: int) -> None:
        """Record that the training has finished with so many `epochs` requested, and its files may be exported."""
        write_json(self.folder / "finished.json", {"epochs": epochs})


def training_signature(module: str, inputs: Mapping[str, Path], settings: Section, **values: Any) -> dict[str, Any]:
    """Everything that decides a training's result up to any epoch, JSON values.

    Args:
        module: the training's module, `train_detector` for instance; its code counts, with what it imports.
        inputs: files or folders by role; their contents count.
        settings: recipe; how many epochs it requests, and what only stores or caches, does not count.
        values: steering, seed, device, threads, processes.
    """
    versions = package_versions()
    return {
        "inputs": {role: sha256_of(path) for role, path in inputs.items()},
        "code": hash_of_code(module),
        "portable": is_portable(),
        "versions": {name: versions[name] for name in ("python", "numpy", "torch", "timm", "ultralytics")},
        "settings": settings.model_dump(exclude=UNSIGNED),
        **values,
    }


@contextlib.contextmanager
def locked_state(
    work: Path,
    signature: Mapping[str, Any],
    *,
    processes: Processes | None = None,
    resume_with_new_inputs: bool = False,
    poll_seconds: float = 10,
) -> Iterator[TrainingState]:
    """Lock the training folder `work` for all processes of a training.

    Where a process of another run holds the lock (one that outlived a killed Snakemake, say) this waits for its end,
    and then finds its finished state. A state made under another signature is set aside as `<work>.previous`.

    Args:
        work: the folder.
        signature: of `training_signature`; only the main process's counts.
        processes: the main one takes the lock, and the others wait for it; one alone by default.
        resume_with_new_inputs: resume from a state that differs in its inputs alone.
        poll_seconds: time between two attempts to take the lock.

    Raises:
        LockError: the folder's file system has no locks.
    """
    processes = processes or Processes()
    with contextlib.ExitStack() as stack:
        state = TrainingState(work)
        if processes.is_main:
            stack.enter_context(_lock(work, poll_seconds))
            state = TrainingState(work, _prepare(work, dict(signature), resume_with_new_inputs))
        processes.barrier()
        yield state


@contextlib.contextmanager
def _lock(work: Path, poll_seconds: float) -> Iterator[None]:
    work.parent.mkdir(parents=True, exist_ok=True)
    # a soft lock would outlive a machine that died
    lock = FileLock(work.with_name(work.name + ".lock"), fallback_to_soft=False)
    holder = work.with_name(work.name + ".pid")
    while not lock.is_locked:
        try:
            with explained_locks(work.parent, WORK_CURE):
                lock.acquire(timeout=poll_seconds)
        except Timeout:
            pid = holder.read_text() if holder.is_file() else "(unknown)"
            log.info("%s is locked by process %s: waiting for it to end", work, pid)
    try:
        write_text(holder, str(os.getpid()))
        yield
    finally:
        lock.release()


def _prepare(work: Path, signature: dict[str, Any], resume_with_new_inputs: bool) -> bool:
    """Set a state of another signature aside; returns whether the training resumes from one of other inputs."""
    described = work / "signature.json"
    found = read_json(described) if described.is_file() else None
    if found == signature:
        return False
    if resume_with_new_inputs and found and found | {"inputs": None} == signature | {"inputs": None}:
        (work / "finished.json").unlink(missing_ok=True)
        log.info("%s: resuming with new inputs", work)
        write_json(described, signature)
        return True
    if work.exists():
        previous = work.with_name(work.name + ".previous")
        shutil.rmtree(previous, ignore_errors=True)
        work.rename(previous)
        log.info("%s was made with other settings or data: set aside as %s", work, previous)
    write_json(described, signature)
    return False
